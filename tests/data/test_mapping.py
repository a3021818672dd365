"""Columns that no format has: said by a person, guessed by their names; ratings chosen; what else rows say kept as tags."""

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Pair
from rlhf_lab.data.duplicates import Duplicate, Duplicates
from rlhf_lab.data.importer import import_files
from rlhf_lab.data.mapping import COMPLETE, ROLES, Mapping, NeedsMapping, guessed
from rlhf_lab.data.preview import preview
from rlhf_lab.store import Store
from tests.data.family_cases import CASES, asked, demonstration, judged, pair, unpaired


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def roles(**columns: str) -> Mapping:
    return Mapping(columns=columns)


def test_columns_of_every_shape_become_records(tmp_path: Path) -> None:
    row = {"q": "Q", "good": "x", "poor": "y", "who": "ann", "from": "web", "meta": {"sys": "S"}, "ok": "1"}
    file = write(tmp_path / "d", row)
    for mapping, record in {
        ("prompt=q", "chosen=good", "rejected=poor"): pair(asked("Q"), "x", "y"),
        ("prompt=q", "chosen=good", "rejected=poor", "annotator=who", "source=from"): pair(
            asked("Q"), "x", "y", tags={"annotator": "ann", "source": "web"}
        ),
        ("prompt=q", "completion=good", "system=meta.sys"): demonstration(asked("Q", system="S"), "x"),
        ("prompt=q", "completion=good", "label=ok"): unpaired(asked("Q"), "x", True),
    }.items():
        given = Mapping(columns=dict(pair.split("=") for pair in mapping))
        shown = preview(file, given, heldout=0)
        assert shown.records == [record]
        assert shown.roles == given.columns
        assert "q" not in shown.unused
    assert preview(file, roles(prompt="q", response_a="good", response_b="poor")).kind == "candidates"
    assert preview(file, roles(prompt="q")).kind == "prompt"


def test_what_a_verdict_says_can_be_said(tmp_path: Path) -> None:
    rows = [
        {"q": f"Q{n}", "l": "x", "r": "y", "v": verdict} for n, verdict in enumerate(["Left!", "RIGHT!", None, 3, "?"])
    ]
    given = Mapping({"prompt": "q", "response_a": "l", "response_b": "r", "preference": "v"}, {"left!": "a", "Right!": "b", "3": "tie"})  # fmt: skip
    shown = preview(write(tmp_path / "d", *rows), given, heldout=0)
    assert shown.records == [
        pair(asked("Q0"), "x", "y"),
        pair(asked("Q1"), "y", "x"),
        pair(asked("Q3"), "x", "y", tie=True),
    ]
    assert [problem.line for problem in shown.problems] == [3, 5]


@pytest.mark.parametrize("numbers", [[1, 1, 1], ["1"], [1.0], [0, 1, 2], [0, 2]])
def test_numbers_that_could_mean_either_answer_are_asked_about(tmp_path: Path, numbers: list[Any]) -> None:
    rows = [{"prompt": f"Q{n}", "answer_a": "x", "answer_b": "y", "label": value} for n, value in enumerate(numbers)]
    file = write(tmp_path / "d", *rows)
    with pytest.raises(NeedsMapping, match="do not say whether 1 is the first answer or the second") as needed:
        preview(file)
    with pytest.raises(NeedsMapping, match="do not say whether 1 is the first answer or the second"):
        preview(file, needed.value.guess)
    meant = {"0": "tie", "1": "b", "2": "a"}
    shown = preview(file, Mapping(verdicts=meant), heldout=0)  # type: ignore[arg-type] # a dict of verdicts
    words = [meant[f"{float(value):g}"] for value in numbers]
    assert [(found.chosen.text, found.tie) for found in shown.records if isinstance(found, Pair)] == [
        ("y" if word == "b" else "x", word == "tie") for word in words
    ]


def test_what_verdicts_mean_is_heeded_without_columns_too(tmp_path: Path) -> None:
    rows = [{"question": f"Q{n}", "answer_a": "x", "answer_b": "y", "winner": n} for n in (1, 2)]
    shown = preview(write(tmp_path / "d", *rows), Mapping(verdicts={"1": "b", "2": "a"}), heldout=0)
    assert shown.records == [pair(asked("Q1"), "y", "x"), pair(asked("Q2"), "x", "y")]
    with pytest.raises(LabError, match="not clear which columns hold the question"):
        preview(write(tmp_path / "e", {"q": "Q", "l": "x", "r": "y", "v": "l"}), Mapping(verdicts={"l": "a"}))


@pytest.mark.parametrize("column", ["better", "choice", "preferred", "verdict"])
def test_a_verdict_under_another_name_is_not_passed_over(tmp_path: Path, column: str) -> None:
    file = write(tmp_path / "d", {"prompt": "Q", "response_a": "x", "response_b": "y", column: "b"})
    with pytest.raises(NeedsMapping) as needed:
        preview(file)
    assert needed.value.guess.columns["preference"] == column
    assert preview(file, needed.value.guess, heldout=0).records == [pair(asked("Q"), "y", "x")]


def test_a_mapping_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    file = write(tmp_path / "d", {"q": "Q", "x": 5})
    with pytest.raises(LabError, match="'question' is no role"):
        roles(question="q")
    with pytest.raises(LabError, match="which column holds the prompt"):
        preview(file, roles(completion="q"))
    with pytest.raises(NeedsMapping, match="the roles given to them fit no format") as needed:
        preview(file, roles(prompt="x"))
    assert needed.value.columns == ("q", "x")
    with pytest.raises(NeedsMapping):
        preview(file, roles(prompt="not.there"))


def test_columns_are_guessed_by_their_names(tmp_path: Path) -> None:
    assert guessed(["Question", "Answer-A", "answer b", "Winner"]).columns == {
        "prompt": "Question",
        "response_a": "Answer-A",
        "response_b": "answer b",
        "preference": "Winner",
    }
    assert guessed(["instruction", "response", "label"]).columns == {
        "prompt": "instruction",
        "completion": "response",
        "label": "label",
    }
    assert guessed(["x", "y"]).columns == {}
    assert set(guessed(ROLES).columns) >= {"prompt", "chosen", "rejected", "completion", "label", "annotator"}
    with pytest.raises(NeedsMapping) as needed:
        preview(write(tmp_path / "d", {"query": "Q", "better": "x", "worse": "y"}))
    assert needed.value.guess.columns == {"prompt": "query", "chosen": "better", "rejected": "worse"}
    assert preview(tmp_path / "d", needed.value.guess).records[0].kind == "pair"


def test_every_complete_set_of_roles_is_a_format(tmp_path: Path) -> None:
    values: dict[str, Any] = {**dict.fromkeys(ROLES, "text"), "chosen": "text a", "rejected": "text b", "label": True}
    values |= {"response_a": "a", "response_b": "b", "preference": "a"}
    file = write(tmp_path / "d", {f"c_{role}": value for role, value in values.items()})
    for needed, _ in COMPLETE:
        shown = preview(file, Mapping({role: f"c_{role}" for role in needed}))
        assert (len(shown.records), shown.problems) == (1, [])


def test_the_same_file_under_another_mapping_is_another_data_set(tmp_path: Path) -> None:
    file = write(tmp_path / "d", {"q": "Q", "x": "a", "y": "b"})
    one, other = roles(prompt="q", chosen="x", rejected="y"), roles(prompt="q", chosen="y", rejected="x")
    with Store.open(tmp_path / "lab.sqlite") as store:
        found = [import_files([file], store, mapping=mapping)[0] for mapping in (one, other, one)]
    assert [result.name for result in found] == ["d", "d (2)", "d"]
    assert [result.already for result in found] == [None, None, "d"]


def test_a_person_chooses_which_rating_ranks(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.format == "UltraFeedback, raw")
    file = write(tmp_path / "d", *case.rows)
    shown = preview(file)
    assert shown.rating == "overall_score"
    assert shown.rating_choices == ("overall_score", "mean of the aspects", "helpfulness", "honesty")
    assert "ranked by 'overall_score'; 4 ratings are there" in shown.note
    ratings = {
        name: preview(file, Mapping(rating=name)).records[0].model_dump()["ratings"] for name in shown.rating_choices
    }
    assert ratings["helpfulness"] == (4, 5, 1)
    assert ratings["mean of the aspects"] == (3, 3.5, 1.5)
    with pytest.raises(LabError, match=r"no rating named 'beauty'\. There are: overall_score, mean"):
        preview(file, Mapping(rating="beauty"))


def test_what_rows_say_beside_their_texts_is_kept(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Q", "chosen": "a", "rejected": "b", "dataset": "web", "lang": "de", "annotator": "ann"},
        {"prompt": "R", "chosen": "a", "rejected": "b", "dataset": 5, "lang": "x" * 300, "annotator": ""},
        {"prompt": "S", "chosen": "a", "rejected": "b", "dataset": [5], "lang": True, "annotator": 0.5},
    ]
    shown = preview(write(tmp_path / "d", *rows), heldout=0)
    first = {"source": "web", "language": "de", "annotator": "ann"}
    assert [record.tags for record in shown.records] == [first, {"source": "5"}, {}]
    assert shown.unused == ()


def test_duplicates_are_counted_in_the_preview(tmp_path: Path) -> None:
    row = {"prompt": "Q", "chosen": "a", "rejected": "b"}
    shown = preview(write(tmp_path / "d", row, row, {**row, "chosen": "b", "rejected": "a"}, {**row, "chosen": ""}))
    assert (shown.duplicates, shown.rows, len(shown.problems)) == (2, 4, 3)


def test_thousands_of_judgements_are_remembered_in_little_memory() -> None:
    seen = Duplicates()
    records = [judged(asked(f"Q{n}"), "a", "b") for n in range(4_000)]
    for record in records:
        seen.check(record)
    for record in records[::97]:
        with pytest.raises(Duplicate, match="the same pair again"):
            seen.check(record)
        with pytest.raises(Duplicate, match="the other way round"):
            seen.check(record.model_copy(update={"chosen": record.rejected, "rejected": record.chosen}))
    assert len(seen._seen._slots) * 8 < 4_000 * 32
