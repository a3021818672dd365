"""Rows that must not become records: each is a line of the problem list, and the rest is stored."""

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Pair
from rlhf_lab.data.importer import ImportResult, import_files
from rlhf_lab.data.mapping import NeedsMapping
from rlhf_lab.store import Store
from tests.data.family_cases import CASES

GOOD = {"prompt": "fine", "chosen": "yes", "rejected": "no"}


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def imported(tmp_path: Path, rows: list[Any]) -> ImportResult:
    with Store.open(tmp_path / "lab.sqlite") as store:
        (result,) = import_files([write(tmp_path / "data.jsonl", rows)], store)
        assert result.records + result.problems_total == len([row for row in rows if row != ""])
        return result


def import_rows(tmp_path: Path, rows: list[Any]) -> ImportResult:
    """Where one row can be several records."""
    with Store.open(tmp_path / "lab.sqlite") as store:
        return import_files([write(tmp_path / "data.jsonl", rows)], store)[0]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


HH = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello!", "rejected": "\n\nHuman: Hi\n\nAssistant: No"}
UF = {
    "prompt": "Q",
    "chosen": [user("Q"), assistant("A")],
    "rejected": [user("Q"), assistant("B")],
    "score_chosen": 5,
    "score_rejected": 1,
}
CHAT = {"messages": [user("Q"), assistant("A")]}
VERDICT = {"question": "Q", "response_a": "x", "response_b": "y", "winner": "a"}
KTO = {"prompt": "Q", "completion": "A", "label": True}

FIRST = {case.format: case.rows[0] for case in reversed(CASES)}
OPENAI, SHP, NECTAR, ARENA = (FIRST[name] for name in ("OpenAI comparisons", "SHP", "Nectar", "Arena conversations"))
TABLE, EVAL, ARGILLA, RAW = (FIRST[name] for name in ("Arena table", "AlpacaEval", "Argilla", "UltraFeedback, raw"))
PAIRWISE, RANKER, TREE = (
    FIRST[name] for name in ("Label Studio, pairwise", "Label Studio, ranker", "OpenAssistant tree")
)


def ranked(**buckets: list[str]) -> dict[str, Any]:
    result = {"type": "ranker", "value": {"ranker": buckets}}
    return {**RANKER, "annotations": [{"result": [result]}]}


TRAPS: list[tuple[str, dict[str, Any], Any, str]] = [
    ("same pair", GOOD, GOOD, "the same pair again: only the row further up counts"),
    ("same pair reversed", GOOD, {**GOOD, "chosen": "no", "rejected": "yes"}, "the other way round"),
    ("chosen is rejected", GOOD, {**GOOD, "chosen": "no"}, "the same"),
    ("empty chosen", GOOD, {**GOOD, "chosen": " \n"}, "the chosen answer is empty"),
    ("empty rejected", GOOD, {**GOOD, "rejected": ""}, "the rejected answer is empty"),
    ("empty prompt", GOOD, {**GOOD, "prompt": ""}, "the prompt is empty"),
    ("no rejected", GOOD, {"prompt": "Q", "chosen": "a"}, "rejected: not there, expected text"),
    ("number", GOOD, {**GOOD, "chosen": 5}, "chosen: found 5, expected text"),
    ("null", GOOD, {**GOOD, "chosen": None}, "chosen: found nothing"),
    ("list among texts", GOOD, {**GOOD, "chosen": [assistant("a")]}, "chosen: found a list, expected text"),
    ("NUL", GOOD, {**GOOD, "chosen": "a\0b"}, "NUL"),
    ("not an object", GOOD, "[1, 2]", "found a list, expected an object"),
    ("not JSON", GOOD, "{'prompt': 'Q'}", "no valid JSON"),
    ("cut off", GOOD, '{"prompt": "Q", "chosen": "a', "no valid JSON"),
    ("HH, other prompt", HH, {**HH, "rejected": "\n\nHuman: Ho\n\nAssistant: No"}, "differ before the assistant's first"),
    ("HH, no dialogue", HH, {"chosen": "It is so.", "rejected": "It is not."}, "differ before the assistant's first"),
    ("HH, no answer", HH, {**HH, "rejected": "\n\nHuman: Hi\n\nAssistant:"}, "the rejected answer is empty"),
    ("HH, alike", HH, {**HH, "rejected": HH["chosen"]}, "the same"),
    ("UF, other prompt", UF, {**UF, "rejected": [user("R"), assistant("B")]}, "differ before their last message"),
    ("UF, wrong order", UF, {**UF, "score_chosen": 0}, "scores higher"),
    ("UF, no score", UF, {**UF, "score_chosen": None}, "score_chosen: found nothing"),
    ("chat without answer", CHAT, {"messages": [user("Q")]}, "ends with a user message"),
    ("chat without question", CHAT, {"messages": [assistant("A")]}, "the prompt: found nothing"),
    ("unknown role", CHAT, {"messages": [{"role": "tool", "content": "x"}, assistant("A")]}, "found 'tool', expected system, user"),
    ("picture", CHAT, {"messages": [{"role": "user", "content": [{"type": "image"}]}, assistant("A")]}, "a part of type 'image'"),
    ("empty messages", CHAT, {"messages": []}, "expected a list of messages"),
    ("unknown verdict", VERDICT, {**VERDICT, "question": "R", "winner": "c"}, "winner: found 'c', expected a, b or tie"),
    ("number as verdict", VERDICT, {**VERDICT, "question": "R", "winner": 1}, "winner: found 1"),
    ("truth as verdict", VERDICT, {**VERDICT, "question": "R", "winner": True}, "winner: found true, expected a, b or tie"),
    ("part without type", CHAT, {"messages": [{"role": "user", "content": [5]}, assistant("A")]}, "found 5, expected text"),
    ("deep verdict", VERDICT, {**VERDICT, "question": "R", "winner": [[[]]]}, "winner: found a list"),
    ("KTO again", KTO, KTO, "the same answer again"),
    ("KTO contradicts", KTO, {**KTO, "label": False}, "with the other label"),
    ("OpenAI, one summary", OPENAI, {**OPENAI, "summaries": OPENAI["summaries"][:1]}, "summaries: found a list, expected a list of two"),
    ("OpenAI, no post", OPENAI, {**OPENAI, "info": {"id": "x"}}, "post: not there"),
    ("OpenAI, truth as choice", OPENAI, {**OPENAI, "choice": True}, "choice: found true"),
    ("SHP, label", SHP, {**SHP, "history": "R", "labels": 2}, "labels: found 2, expected 1 where A is preferred"),
    ("SHP, null", SHP, {**SHP, "history": "R", "labels": None}, "labels: found nothing"),
    ("Nectar, no rank", NECTAR, {**NECTAR, "answers": [{"answer": "a", "rank": None}]}, "answers: rank: found nothing"),
    ("Nectar, not an answer", NECTAR, {**NECTAR, "answers": ["a", "b"]}, "expected a list of answers with their ranks"),
    ("Nectar, again", NECTAR, {**NECTAR, "answers": NECTAR["answers"][::-1]}, "the same answers to the same prompt again"),
    ("Arena, unknown winner", ARENA, {**ARENA, "judge": "x", "winner": "model_c"}, "winner: found 'model_c', expected model_a"),
    ("Arena, other question", ARENA, {**ARENA, "conversation_b": [user("R"), assistant("y")]}, "differ before the last one"),
    ("Arena, no answer", ARENA, {**ARENA, "conversation_a": [user("Q")]}, "ends with a user message"),
    ("table, two winners", TABLE, {**TABLE, "prompt": "R", "winner_tie": 1}, "found 1, 0, 1, expected one 1"),
    ("table, null text", TABLE, {**TABLE, "response_a": "[null]"}, "response_a: found nothing (null), expected text"),
    ("table, no text", TABLE, {**TABLE, "response_a": "[]"}, "response_a: found nothing, expected a text"),
    ("table, not JSON", TABLE, {**TABLE, "response_a": "[\\ud800"}, "response_a: no valid JSON"),
    ("eval, no preference", EVAL, {**EVAL, "instruction": "R", "preference": None}, "preference: found nothing"),
    ("eval, a word", EVAL, {**EVAL, "instruction": "R", "preference": "nan"}, "preference: found 'nan', expected a number"),
    ("Argilla, none", ARGILLA, {**ARGILLA, "prompt": "R", "preference": []}, "found no verdict that was submitted"),
    ("Argilla, half", ARGILLA, {**ARGILLA, "prompt": "R", "preference": [{"value": [{"rank": 1, "value": "response1"}]}]}, "a rank for 1 of two responses"),
    ("pairwise, no answer", PAIRWISE, {**PAIRWISE, "data": {"prompt": "Q", "answer1": "x"}}, "found no second answer, expected it as answer2"),
    ("pairwise, nothing said", PAIRWISE, {**PAIRWISE, "annotations": []}, "found no result of kind 'selected'"),
    ("ranker, two buckets", RANKER, ranked(good=["id1"], bad=["id2"]), "found 2 buckets with items"),
    ("ranker, other id", RANKER, ranked(bucket=["id1", "id9"]), "expected ids of the task's items (id1, id2)"),
    ("tree, other role", TREE, {"prompt": {"text": "Q", "role": "prompter", "replies": [{"text": "x", "role": "robot"}]}}, "role: found 'robot', expected prompter"),
    ("tree, no text", TREE, {"prompt": {"text": "Q", "role": "prompter", "replies": [5]}}, "a message of the tree: found 5"),
    ("raw, no ratings", RAW, {**RAW, "completions": [{"response": "a"}, {"response": "b"}]}, "found 0 different answers"),
    ("KTO label", KTO, {**KTO, "prompt": "R", "label": "maybe"}, "label: found 'maybe', expected true or false"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "reason"), [t[1:] for t in TRAPS], ids=[t[0] for t in TRAPS])
def test_a_bad_row_is_a_problem_with_its_line(good: dict[str, Any], bad: Any, reason: str, tmp_path: Path) -> None:
    result = import_rows(tmp_path, [good, "", bad])
    (problem,) = result.problems
    assert problem.line == 3
    assert reason in problem.reason


def test_equal_scores_are_a_tie_and_not_a_preference(tmp_path: Path) -> None:
    imported(tmp_path, [{**UF, "score_chosen": 1}])
    with Store.open(tmp_path / "lab.sqlite") as store:
        (record,) = store.records("data")
    assert (record.kind, record.model_dump()["tie"], record.model_dump()["margin"]) == ("pair", True, 0)


def test_two_annotators_may_judge_the_same_pair(tmp_path: Path) -> None:
    def native(who: str, chosen: str, rejected: str) -> dict[str, Any]:
        return {
            "kind": "pair",
            "prompt": {"messages": [user("Q")]},
            "chosen": {"text": chosen},
            "rejected": {"text": rejected},
            "tags": {"annotator": who},
        }

    result = imported(tmp_path, [native("ann", "a", "b"), native("bob", "b", "a"), native("ann", "b", "a")])
    assert (result.records, [problem.line for problem in result.problems]) == (2, [3])


def test_native_records_say_what_is_wrong_where(tmp_path: Path) -> None:
    good = {"kind": "prompt", "prompt": {"messages": [user("Q")]}}
    result = imported(tmp_path, [good, {**good, "prompt": {"messages": [{"role": "boss", "content": "x"}]}}])
    assert "prompt.messages.0.role" in result.problems[0].reason


def test_repeated_demonstrations_are_kept_and_counted(tmp_path: Path) -> None:
    result = imported(tmp_path, [{"prompt": "Q", "completion": "A"}] * 3)
    assert (result.records, result.problems, result.note) == (3, [], "Records that repeat an earlier one: 2.")


def test_no_more_than_a_thousand_problems_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    result = imported(tmp_path, [GOOD, *["broken"] * 2500])
    assert (result.records, len(result.problems), result.problems_total) == (1, 1000, 2500)
    assert [problem.line for problem in result.problems] == list(range(2, 1002))


def test_lines_of_an_array_and_of_a_table_are_those_of_the_file(tmp_path: Path) -> None:
    array = tmp_path / "array.json"
    array.write_text(json.dumps([GOOD, {**GOOD, "prompt": ""}, 7], indent=2))
    table = tmp_path / "table.csv"
    table.write_text('prompt,chosen,rejected\n"two\nlines",a,b\n\nQ,same,same\nQ,a\n"bad"cell",a,b\nlast,a,b\n')
    with Store.open(tmp_path / "lab.sqlite") as store:
        first, second = import_files([array, table], store)
    assert [(problem.line, problem.reason.split(",")[0]) for problem in first.problems] == [
        (7, "the prompt is empty"),
        (12, "found a number"),
    ]
    assert [problem.line for problem in second.problems] == [5, 6, 7]
    assert second.records == 2


REFUSED = [
    ('{"foo": "x", "bar": "y"}\n', "has the columns 'foo', 'bar'"),
    ('{"prompt": "Q", "good": "a", "bad": "b"}\n', "has the columns 'prompt', 'good', 'bad'"),
    ("question,answer,score\nQ,A,5\n", "has the columns 'question', 'answer', 'score'"),
    ('{"prompt":"Q","answers":[{"answer":"a","rank":1.0}]}\n', "found 1 different answers"),
    ('{"history":"Q?","ref_A":"a","ref_B":"b","labels":1}\n', "'ref_A'"),
    ("# A README\n\nThis is a text, and not a data set.\n", "not a data set"),
    ('{"data": [\n{"prompt": "Q"},\n{"prompt": "R"}]}\n', "none of its first lines is a whole record"),
    ("[1, 2, 3]\n", "not a data set"),
    ("[]\n", "no record"),
    ("[{}]\n", "(none)"),
    ("prompt,prompt,chosen\nQ,R,S\n", "more than one column named 'prompt'"),
    ("prompt,chosen,rejected\n", "no record"),
    ('{"prompt": "Q", "completion": ""}\n', "line 1: the answer is empty"),
    ("\n\n\n", "not a data set"),
    ("", "is empty"),
]


@pytest.mark.parametrize(("content", "words"), REFUSED)
def test_what_is_no_data_set_is_refused_in_words_and_nothing_is_stored(
    content: str, words: str, tmp_path: Path
) -> None:
    bad, good = tmp_path / "bad.txt", write(tmp_path / "good.jsonl", [GOOD])
    bad.write_text(content)
    with Store.open(tmp_path / "lab.sqlite") as store:
        with pytest.raises(LabError) as found:
            import_files([bad], store)
        assert words in str(found.value)
        assert str(found.value).startswith(("bad.txt", "No record of bad.txt"))
        assert store.datasets() == []
        assert import_files([good], store)[0].records == 1


def test_expected_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("foo,bar\n1,2\n")
    with (
        Store.open(tmp_path / "lab.sqlite") as store,
        pytest.raises(LabError, match="prompt, chosen, rejected") as found,
    ):
        import_files([tmp_path / "bad.csv"], store)
    assert "response_a, response_b" in str(found.value)


def test_equal_scores_are_told_as_ties(tmp_path: Path) -> None:
    result = imported(tmp_path, [{**UF, "score_chosen": 4, "score_rejected": 4}])
    assert "Records with ties (equally good answers): 1." in result.note


def test_lines_that_an_open_quotation_mark_swallows_are_named(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('prompt,chosen,rejected\np1,a,b\np2,"a,b\np3,a,b\np4,a "q" x,b\np5,a,b\n')
    with Store.open(tmp_path / "lab.sqlite") as store:
        (result,) = import_files([tmp_path / "d.csv"], store)
    assert result.records == 2
    assert [problem.line for problem in result.problems] == [3]
    assert "up to line 5" in result.problems[0].reason


def test_a_table_of_the_lab_that_was_edited_elsewhere_is_checked_too(tmp_path: Path) -> None:
    answers = '"[{""text"":""a"",""source"":""""},{""text"":"""",""source"":""""}]"'
    rows = ["pair,train,p,a,a,,,", "pair,train,q,a,b,,,", f'ranking,train,p,,,{answers},"[1,2]",']
    header = "kind,split,prompt,chosen,rejected,completions,ranks,prompt_tags"
    (tmp_path / "d.csv").write_text("\n".join([header, *rows]))
    with Store.open(tmp_path / "lab.sqlite") as store:
        (result,) = import_files([tmp_path / "d.csv"], store)
    assert [(problem.line, problem.reason.partition(",")[0]) for problem in result.problems] == [
        (2, "the chosen and the rejected answer are the same"),
        (4, "an answer is empty"),
    ]


@pytest.mark.parametrize("row", [GOOD, EVAL, {**ARENA, "winner": "model_a"}, OPENAI], ids=lambda row: next(iter(row)))
def test_annotators_who_are_numbers_are_people_too(tmp_path: Path, row: dict[str, Any]) -> None:
    column = "judge" if row.keys() >= ARENA.keys() else "worker" if row is OPENAI else "annotator"
    rows = [{**row, column: who} for who in (7, 8, 9.0)]
    with Store.open(tmp_path / "lab.sqlite") as store:
        (result,) = import_files([write(tmp_path / "data.jsonl", rows)], store)
        assert (result.records, result.problems) == (3, [])
        assert [record.tags["annotator"] for record in store.records(result.name)] == ["7", "8", "9"]


@pytest.mark.parametrize("column", ["question", "Query", "input", "context"])
def test_a_question_under_another_name_is_asked_about_not_passed_over(tmp_path: Path, column: str) -> None:
    row = {"system": "S", column: "2 + 2?", "chosen": "The sum is 4.", "rejected": "The sum is 5."}
    file = write(tmp_path / "data.jsonl", [row])
    with Store.open(tmp_path / "lab.sqlite") as store:
        with pytest.raises(NeedsMapping) as asked:
            import_files([file], store)
        assert asked.value.guess.columns["prompt"] == column
        (result,) = import_files([file], store, mapping=asked.value.guess)
        (record,) = store.records(result.name)
        assert isinstance(record, Pair)
        assert [message.content for message in record.prompt.messages] == ["S", "2 + 2?"]
        assert (record.chosen.text, record.rejected.text) == (row["chosen"], row["rejected"])


@pytest.mark.parametrize("judged", [{"kto_tag": False}, {"label": False}])
def test_an_answer_that_nobody_liked_is_no_demonstration(tmp_path: Path, judged: dict[str, bool]) -> None:
    file = write(tmp_path / "data.jsonl", [{"instruction": "Q", "input": "", "output": "Go away.", **judged}])
    with Store.open(tmp_path / "lab.sqlite") as store:
        with pytest.raises(NeedsMapping) as asked:
            import_files([file], store)
        (result,) = import_files([file], store, mapping=asked.value.guess)
        assert [(record.kind, getattr(record, "label", None)) for record in store.records(result.name)] == [
            ("unpaired", False)
        ]


def argilla_verdict(who: str, *ranks: int) -> dict[str, Any]:
    return {
        "user_id": who,
        "status": "submitted",
        "value": [{"rank": rank, "value": f"response{n}"} for n, rank in enumerate(ranks, 1)],
    }


@pytest.mark.parametrize(
    ("row", "whole"),
    [
        ({**ARGILLA, "preference": [argilla_verdict("1", 1, 2), argilla_verdict("2", 1)]}, 1),
        ({**PAIRWISE, "annotations": [*PAIRWISE["annotations"], {"result": [{"value": {"selected": "both"}}]}]}, 2),
        ({**RANKER, "annotations": [*RANKER["annotations"], *ranked(good=["id1"], bad=["id2"])["annotations"]]}, 1),
    ],
    ids=["argilla", "pairwise", "ranker"],
)
def test_a_verdict_that_cannot_be_read_takes_no_other_along(tmp_path: Path, row: dict[str, Any], whole: int) -> None:
    result = import_rows(tmp_path, [row])
    assert (result.records, result.problems) == (whole, [])
    assert "1 verdicts that could not be read, beside others on the same answers" in result.note
