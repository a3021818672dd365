"""Every format, from a small file of it to the records that it becomes."""

import json
from pathlib import Path

import pytest

from rlhf_lab.core.records import AnyRecord, PromptOnly
from rlhf_lab.data.preview import preview
from tests.data.family_cases import CASES, Case, asked, demonstration, pair, unpaired

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
