"""Every format in every container: detected, counted, read alike, and its bad row found; and folders of files."""

import gzip
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.importer import import_files
from rlhf_lab.data.preview import preview
from rlhf_lab.store import Store
from tests.data.containers import CONTAINERS
from tests.data.family_cases import CASES, Case

_IDS = [f"{n}-{case.format}" for n, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=_IDS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_format_in_every_container(case: Case, container: str, tmp_path: Path) -> None:
    path = tmp_path / "download"  # the name says nothing
    path.write_bytes(CONTAINERS[container]([*case.rows, case.bad]))
    shown = preview(path, heldout=0)
    if container == "TSV" and len(shown.columns) == 1:
        container = "CSV"  # one column has no delimiter to tell them apart by
    assert shown.format == f"{case.format} ({container})"
    assert shown.container == container
    assert shown.records == case.records
    (problem,) = shown.problems
    assert case.reason in problem.reason
    assert shown.kind == case.records[0].kind


@pytest.mark.parametrize("container", ["JSONL, zstandard", "CSV", "Parquet"])
def test_an_import_stores_what_a_preview_shows(container: str, tmp_path: Path) -> None:
    with Store.open(tmp_path / "lab.sqlite") as store:
        for case in CASES:
            path = tmp_path / "download"
            path.write_bytes(CONTAINERS[container]([*case.rows, case.bad]))
            shown = preview(path, heldout=0)
            (result,) = import_files([path], store, heldout=0)
            assert (result.format, result.kind, result.problems) == (shown.format, shown.kind, shown.problems)
            assert list(store.records(result.name)) == shown.records == case.records
            assert case.note in result.note


def test_lines_of_text_are_prompts(tmp_path: Path) -> None:
    path = tmp_path / "questions"
    path.write_bytes("\ufeffWhy, oh why?\r\nName a bird, please.\nWas ist grün?\n\n".encode())
    shown = preview(path, heldout=0)
    assert (shown.format, shown.kind) == ("prompts (plain text)", "prompt")
    assert [record.prompt.text for record in shown.records] == ["Why, oh why?", "Name a bird, please.", "Was ist grün?"]
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert preview(packed, heldout=0).records == shown.records


NO_LISTS = ["# Title\nText\n", "<html>\n", "A line\n\nAnother paragraph\n", "bell\x07\n", "---\na: 1\n", "%PDF-like\n"]


@pytest.mark.parametrize("text", NO_LISTS)
def test_other_text_is_no_list_of_prompts(text: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(LabError):
        preview(tmp_path / "x")


def table(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_nulls_in_a_table_are_columns_that_are_not_there(tmp_path: Path) -> None:
    columns = {"prompt": ["P", "Q", None], "chosen": ["a", None, "c"], "rejected": ["b", "b", "b"]}
    shown = preview(table(tmp_path / "t", columns))
    assert [(problem.line, problem.reason) for problem in shown.problems] == [
        (2, "chosen: not there, expected text"),
        (3, "prompt: not there, expected text"),
    ]


def test_odd_types_in_a_table(tmp_path: Path) -> None:
    columns = {
        "prompt": pa.array(["P", "Q"], pa.large_string()).dictionary_encode(),
        "chosen": pa.array(["a", "b"], pa.string_view()),
        "rejected": pa.array(["x", "y"]),
        "raw": pa.array([b"x", b"\xff"], pa.binary()),
        "when": pa.array([0, 1], pa.timestamp("us")),
        "cost": pa.array([None, None], pa.decimal128(5, 2)),
    }
    shown = preview(table(tmp_path / "t", columns))
    assert (shown.unused, shown.problems) == (("raw", "when", "cost"), [])
    assert [record.model_dump()["chosen"]["text"] for record in shown.records] == ["a", "b"]


def test_a_table_with_the_line_ends_of_old_macs_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes(b"prompt,chosen,rejected\rQ,a,b\r")
    with pytest.raises(LabError, match=r"header line of old\.csv cannot be read: its lines end as on old Macs"):
        preview(tmp_path / "old.csv")


def test_a_folder_stands_for_the_files_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "data" / "train.d").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config.jsonl").write_text('{"prompt": "hidden"}\n')
    (folder / "data" / "train.d" / "b.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "in b"}\n'))
    (folder / "data" / "a.jsonl").write_text('{"prompt": "in a"}\n')
    (folder / "data" / "again").symlink_to(folder, target_is_directory=True)
    (folder / "data" / "loop.jsonl").symlink_to("loop.jsonl")
    os.mkfifo(folder / "data" / "pipe.jsonl")
    (folder / "README.md").write_text("One line of words\n")
    (folder / "empty.csv").write_text("prompt\n")
    (folder / "odd.csv").write_text("x,y\n1,2\n")
    with Store.open(tmp_path / "lab.sqlite") as store:
        results = {result.name: result for result in import_files([folder], store)}
        assert [(row.name, row.records) for row in store.datasets()] == [("set/data/a", 1), ("set/data/train.d/b", 1)]
    refused = {name: result.problems[0].reason for name, result in results.items() if not result.format}
    assert {name: result.problems_total for name, result in results.items()} == {
        "set/data/a": 0,
        "set/data/train.d/b": 0,
        **dict.fromkeys(refused, 1),
    }
    for name, words in {
        "set/README": "plain text",
        "set/empty": "no record",
        "set/odd": "the columns 'x', 'y'",
        "set/data/loop": "leads back to itself",
        "set/data/pipe": "a pipe or a device",
    }.items():
        assert words in refused.pop(name)
    assert refused == {}


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").mkdir()
    with Store.open(tmp_path / "lab.sqlite") as store, pytest.raises(LabError, match="no file in the folder"):
        import_files([tmp_path / "data.jsonl"], store)
