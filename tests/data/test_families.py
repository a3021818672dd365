"""Every format, from a small file of it to the records that it becomes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rlhf_lab.core.records import (
    AnyRecord,
    Completion,
    Demonstration,
    Message,
    Pair,
    Prompt,
    PromptOnly,
    Unpaired,
    dump_record,
)
from rlhf_lab.data.preview import preview


def asked(*contents: str, system: str = "") -> Prompt:
    """User and assistant in turn."""
    roles = ["user", "assistant"]
    turns = [Message(role=roles[n % 2], content=content) for n, content in enumerate(contents)]
    return Prompt(messages=tuple([Message(role="system", content=system)] * bool(system) + turns))


def pair(prompt: Prompt, chosen: str, rejected: str, **more: Any) -> Pair:
    return Pair(prompt=prompt, chosen=Completion(text=chosen), rejected=Completion(text=rejected), **more)


def demonstration(prompt: Prompt, text: str) -> Demonstration:
    return Demonstration(prompt=prompt, completion=Completion(text=text))


def unpaired(prompt: Prompt, text: str, label: bool) -> Unpaired:
    return Unpaired(prompt=prompt, completion=Completion(text=text), label=label)


@dataclass
class Case:
    format: str
    rows: list[dict[str, Any]]
    records: list[AnyRecord]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


NATIVE = pair(asked("Q"), "A", "B", tags={"annotator": "ann", "flipped": True}, split="heldout", margin=0.5)

CASES = [
    Case("lab", [json.loads(dump_record(NATIVE))], [NATIVE]),
    Case(
        "HH-RLHF",
        [
            {
                "chosen": "\n\nHuman: Hi\n\nAssistant: Hello!",
                "rejected": "\n\nHuman: Hi\n\nAssistant: Go away",
            },
            {
                "chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\nd\n\nAssistant: Assured",
                "rejected": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\nd\n\nAssistant: Assumed",
            },
        ],
        [pair(asked("Hi"), "Hello!", "Go away"), pair(asked("a", "b", "c\nd"), "Assured", "Assumed")],
    ),
    Case(
        "TRL",
        [{"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}],
        [pair(asked("The sky is"), " blue.", " green.")],
    ),
    Case(
        "TRL, implicit prompt",
        [{"chosen": "The sky is blue.", "rejected": "The sky is green."}],
        [pair(asked("The sky is"), " blue.", " green.")],
    ),
    Case(
        "TRL, conversational",
        [{"prompt": [user("Sky?")], "chosen": [assistant("Blue.")], "rejected": [assistant("Green.")]}],
        [pair(asked("Sky?"), "Blue.", "Green.")],
    ),
    Case(
        "TRL, conversational",
        [
            {
                "prompt": [{"role": "system", "content": "Be brief."}, user("Sky?")],
                "chosen": [{"role": "system", "content": "Be brief."}, user("Sky?"), assistant("Blue.")],
                "rejected": [{"role": "system", "content": "Be brief."}, user("Sky?"), assistant("Green.")],
            }
        ],
        [pair(asked("Sky?", system="Be brief."), "Blue.", "Green.")],
    ),
    Case(
        "TRL, conversational, implicit prompt",
        [{"chosen": [user("Sky?"), assistant("Blue.")], "rejected": [user("Sky?"), assistant("Green.")]}],
        [pair(asked("Sky?"), "Blue.", "Green.")],
    ),
    Case(
        "UltraFeedback, binarised",
        [
            {
                "prompt": "Sky?",
                "prompt_id": "ab12",
                "chosen": [user("Sky?"), assistant("Blue.")],
                "rejected": [user("Sky?"), assistant("Green.")],
                "messages": [user("Sky?"), assistant("Blue.")],
                "score_chosen": scores[0],
                "score_rejected": scores[1],
            }
            for scores in [(8.5, 4.0)]
        ],
        [pair(asked("Sky?"), "Blue.", "Green.", margin=4.5)],
    ),
    Case(
        "Alpaca ranking",
        [{"instruction": "Q", "input": "", "chosen": "good", "rejected": "bad"}],
        [pair(asked("Q"), "good", "bad")],
    ),
    Case(
        "ShareGPT ranking",
        [
            {
                "conversations": [
                    {"from": "system", "value": "S"},
                    {"from": "human", "value": "Q"},
                    {"from": "gpt", "value": "A"},
                    {"from": "human", "value": "R"},
                ],
                "chosen": {"from": "gpt", "value": "good"},
                "rejected": {"from": "gpt", "value": "bad"},
            }
        ],
        [pair(asked("Q", "A", "R", system="S"), "good", "bad")],
    ),
    Case(
        "two answers and a verdict",
        [
            {"question": "Q1", "response_a": "x", "response_b": "y", "preference": "A"},
            {"question": "Q2", "response_a": "x", "response_b": "y", "preference": "response_b"},
            {"question": "Q3", "response_a": "x", "response_b": "y", "preference": "tie"},
        ],
        [pair(asked("Q1"), "x", "y"), pair(asked("Q2"), "y", "x"), pair(asked("Q3"), "x", "y", tie=True)],
    ),
    Case(
        "two answers and a verdict, 1 or 2",
        [
            {"prompt": "Q1", "answer_a": "x", "answer_b": "y", "winner": 1},
            {"prompt": "Q2", "answer_a": "x", "answer_b": "y", "winner": 2},
        ],
        [pair(asked("Q1"), "x", "y"), pair(asked("Q2"), "y", "x")],
    ),
    Case(
        "two answers and a verdict, 0 or 1",
        [
            {"instruction": "Q1", "response_a": "x", "response_b": "y", "label": 1},
            {"instruction": "Q2", "response_a": "x", "response_b": "y", "label": 0},
        ],
        [pair(asked("Q1"), "y", "x"), pair(asked("Q2"), "x", "y")],
    ),
    Case(
        "Alpaca",
        [
            {"instruction": "Add", "input": "2+2", "output": "4", "system": "", "history": [["q", "a"]]},
            {"instruction": "Say", "input": "", "output": "B", "system": "S", "history": []},
        ],
        [demonstration(asked("q", "a", "Add\n2+2"), "4"), demonstration(asked("Say", system="S"), "B")],
    ),
    Case(
        "ShareGPT",
        [
            {
                "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}],
                "system": "S",
            }
        ],
        [demonstration(asked("Q", system="S"), "A")],
    ),
    Case("messages", [{"messages": [user("Q"), assistant("A")]}], [demonstration(asked("Q"), "A")]),
    Case(
        "messages",
        [{"messages": [user("Q"), {"role": "assistant", "content": [{"type": "text", "text": "A"}]}]}],
        [demonstration(asked("Q"), "A")],
    ),
    Case("prompt and completion", [{"prompt": "Q", "completion": "A"}], [demonstration(asked("Q"), "A")]),
    Case(
        "prompt and completion",
        [{"prompt": [user("Q")], "completion": [assistant("A")]}],
        [demonstration(asked("Q"), "A")],
    ),
    Case("prompts", [{"prompt": "Q", "id": 1}], [PromptOnly(prompt=asked("Q"))]),
    Case(
        "KTO",
        [{"prompt": "Q", "completion": "A", "label": True}, {"prompt": "Q", "completion": "B", "label": False}],
        [unpaired(asked("Q"), "A", True), unpaired(asked("Q"), "B", False)],
    ),
    Case(
        "KTO, messages",
        [{"messages": [user("Q"), assistant("A")], "label": True}],
        [unpaired(asked("Q"), "A", True)],
    ),
    Case(
        "KTO, conversations",
        [{"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}], "kto_tag": False}],
        [unpaired(asked("Q"), "A", False)],
    ),
]

_IDS = [f"{n}-{case.format}" for n, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=_IDS)
@pytest.mark.parametrize("container", ["JSONL", "JSON"])
def test_a_small_file_becomes_its_records(case: Case, container: str, tmp_path: Path) -> None:
    # The name says nothing: detection is by content.
    path = tmp_path / "download"
    if container == "JSONL":
        path.write_text("".join(json.dumps(row) + "\n" for row in case.rows))
    else:
        path.write_text(json.dumps(case.rows, indent=2, ensure_ascii=False))
    shown = preview(path, heldout=0)
    assert shown.format == f"{case.format} ({container})"
    assert shown.records == case.records
    assert shown.problems == []


TABLES = [
    ("TRL", "Prompt,chosen,rejected\nQ,good,bad\n", [pair(asked("Q"), "good", "bad")]),
    (
        "two answers and a verdict",
        'question,response_a,response_b,winner\n"Q, with ""quotes""\nand lines",x,y,b\n',
        [pair(asked('Q, with "quotes"\nand lines'), "y", "x")],
    ),
    (
        "two answers and a verdict, 1 or 2",
        "question,response_a,response_b,winner\nQ,x,y,2\n",
        [pair(asked("Q"), "y", "x")],
    ),
    (
        "Alpaca",
        "instruction,input,output\nAdd,2+2,4\nSay,,B\n",
        [demonstration(asked("Add\n2+2"), "4"), demonstration(asked("Say"), "B")],
    ),
    (
        "KTO",
        "prompt,completion,label\nQ,A,TRUE\nQ,B,0\n",
        [unpaired(asked("Q"), "A", True), unpaired(asked("Q"), "B", False)],
    ),
    ("prompt and completion", "prompt,completion\nQ,A\n", [demonstration(asked("Q"), "A")]),
    ("prompts", "prompt\nQ\nR\n", [PromptOnly(prompt=asked("Q")), PromptOnly(prompt=asked("R"))]),
    (
        "HH-RLHF",
        'chosen,rejected\n"\n\nHuman: Hi\n\nAssistant: Hello!","\n\nHuman: Hi\n\nAssistant: No"\n',
        [pair(asked("Hi"), "Hello!", "No")],
    ),
]


@pytest.mark.parametrize(("format", "content", "records"), TABLES, ids=[name for name, _, _ in TABLES])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_small_table_becomes_its_records(
    format: str, content: str, records: list[AnyRecord], ending: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.txt"
    # Lines within a quoted cell keep their ends, so that only tables without such cells change theirs.
    path.write_bytes((content if '"' in content else content.replace("\n", ending)).encode("utf-8-sig"))
    shown = preview(path, heldout=0)
    assert (shown.format, shown.records, shown.problems) == (f"{format} (CSV)", records, [])


@pytest.mark.parametrize(("delimiter", "container"), [("\t", "TSV"), (";", "CSV")])
def test_other_delimiters(delimiter: str, container: str, tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_text("prompt,chosen,rejected\nQ,good,bad\n".replace(",", delimiter))
    shown = preview(path, heldout=0)
    assert (shown.format, shown.records) == (f"TRL ({container})", [pair(asked("Q"), "good", "bad")])


def test_columns_that_no_record_holds_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"prompt": "Q", "chosen": "a", "rejected": "b", "rating": 5, "url": "u"}\n')
    shown = preview(path)
    assert shown.unused == ("rating", "url")
    assert shown.note == "Columns that are not used: 'rating', 'url'."


def test_hh_says_that_texts_can_be_offensive(tmp_path: Path) -> None:
    path = tmp_path / "hh.jsonl"
    path.write_text(json.dumps(CASES[1].rows[0]) + "\n")
    assert "offensive" in preview(path).note


def test_numbers_as_verdicts_say_how_they_were_read(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text("question,response_a,response_b,winner\nQ,x,y,0\nR,x,y,1\n")
    assert "0 was read as: the first answer is better" in preview(path).note


def test_a_preview_shows_the_first_records_and_problems_alone(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    rows = [{"prompt": f"Q{n}", "completion": "" if n == 2 else "A"} for n in range(50)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = preview(path, limit=5)
    assert [record.prompt.text for record in shown.records] == ["Q0", "Q1", "Q3", "Q4"]
    assert [problem.line for problem in shown.problems] == [3]
