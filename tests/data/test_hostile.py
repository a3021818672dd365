"""Hostile files: each ends as a problem line or a sentence, soon and in little memory."""

import json
import os
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.importer import ImportResult, import_files
from rlhf_lab.data.preview import preview
from rlhf_lab.store import Store

GOOD = b'{"prompt": "fine", "chosen": "yes", "rejected": "no"}\n'
OTHER = b'{"prompt": "also fine", "chosen": "yes", "rejected": "no"}\n'


def row(chosen: bytes) -> bytes:
    return b'{"prompt": "p", "rejected": "no", "chosen": ' + chosen + b"}\n"


HOSTILE = {
    "invalid UTF-8": (row(b'"\xff\xfe"'), "byte 46 of the line is not UTF-8"),
    "NUL byte": (row(b'"a\0b"'), "no valid JSON"),
    "zeros": (b"\0" * 5000 + b"\n", "no valid JSON"),
    "escaped NUL": (row(rb'"a\u0000b"'), "NUL"),
    "lone surrogate": (row(rb'"\ud800"'), "no valid Unicode"),
    "nesting": (b"[" * 10_000 + b"]" * 10_000 + b"\n", "nested too deep"),
    "nesting in a column": (row(b'{"a":' * 10_000 + b"1" + b"}" * 10_000), "nested too deep"),
    "nesting where text belongs": (row(b"[" * 900 + b"]" * 900), "chosen: found a list"),
    "huge integer": (row(b"9" * 5000), "a whole number of 5,000 digits"),
    "duplicate key": (b'{"prompt": "a", "chosen": "b", "rejected": "c", "chosen": "d"}\n', "the key 'chosen' occurs twice"),
    "NaN": (b'{"prompt": "p", "chosen": "a", "rejected": "b", "score": NaN}\n', "NaN, which is no JSON number"),
    "too large": (b'{"prompt": "p", "chosen": "a", "rejected": "b", "score": 1e999}\n', "1e999, which is too large"),
    "infinity": (b'{"prompt": "p", "chosen": "a", "rejected": "b", "score": -Infinity}\n', "-Infinity"),
    "other schema": (b'{"messages": [{"role": "user", "content": "x"}]}\n', "prompt: not there"),
    "17 MB": (row(b'"' + b"x" * (17 * 2**20) + b'"'), "longer than 16 MB"),
}  # fmt: skip


def imported(tmp_path: Path, content: bytes, name: str = "data") -> ImportResult:
    (tmp_path / name).write_bytes(content)
    with Store.open(tmp_path / "lab.sqlite") as store:
        return import_files([tmp_path / name], store)[0]


@pytest.mark.parametrize("place", ["first", "later"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_line_is_one_problem_and_the_rest_is_stored(kind: str, place: str, tmp_path: Path) -> None:
    line, reason = HOSTILE[kind]
    result = imported(tmp_path, line + GOOD + OTHER if place == "first" else GOOD + line + OTHER)
    assert result.records == 2
    (found,) = result.problems
    assert found.line == (1 if place == "first" else 2)
    assert reason in found.reason
    assert len(found.reason) < 300


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_of_nothing_else_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    line, _ = HOSTILE[kind]
    with pytest.raises(LabError) as found:
        imported(tmp_path, line)
    assert len(str(found.value)) < 1000
    with Store.open(tmp_path / "lab.sqlite") as store:
        assert store.datasets() == []


@pytest.mark.parametrize(
    "kind", ["invalid UTF-8", "escaped NUL", "lone surrogate", "duplicate key", "huge integer", "NaN"]
)
def test_a_hostile_element_of_an_array_is_one_problem(kind: str, tmp_path: Path) -> None:
    result = imported(tmp_path, b"[" + GOOD + b"," + HOSTILE[kind][0] + b"," + OTHER + b"]")
    assert result.records == 2
    (problem,) = result.problems
    assert problem.line == 2
    assert HOSTILE[kind][1] in problem.reason or "not UTF-8" in problem.reason


def test_nesting_about_the_limit_is_a_record_or_a_problem(tmp_path: Path) -> None:
    depths = range(850, 1010, 5)
    rows = [
        b'{"prompt": "%d \\ud83d\\ude00", "chosen": "a", "rejected": "b", "x": %s}\n' % (n, b"[" * n + b"]" * n)
        for n in depths
    ]
    result = imported(tmp_path, b"".join(rows))
    assert result.records + result.problems_total == len(rows)
    assert {problem.reason for problem in result.problems} == {"nested too deep"}


BROKEN_ARRAYS = {
    "cut off": (b"[" + GOOD + b',{"prompt": "p", "ch', 2, "the file breaks off"),
    "cut off in an escape": (b"[" + GOOD + b',{"prompt": "p\\', 2, "the file breaks off"),
    "cut off between": (b"[" + GOOD + b",", 2, "the file breaks off"),
    "never closed": (b"[" + GOOD, 2, "the array never ends"),
    "no comma": (b"[" + GOOD + OTHER + b"]", 2, "a comma is missing"),
    "text behind": (b"[" + GOOD + b"]\n[]", 3, "more text after the end"),
    "a quote that never closes": (b"[" + GOOD + b',{"prompt": "p, "chosen": "a"},' + OTHER + b"]", 2, "breaks off"),
}


@pytest.mark.parametrize("kind", BROKEN_ARRAYS)
def test_what_comes_before_the_break_of_an_array_is_stored(kind: str, tmp_path: Path) -> None:
    content, line, words = BROKEN_ARRAYS[kind]
    result = imported(tmp_path, content)
    assert result.records == 1
    (problem,) = result.problems
    assert problem.line == line
    assert words in problem.reason
    assert problem.reason.endswith("nothing after it could be read")


BROKEN_ELEMENTS = {
    "nesting": (b"[" * 10_000 + b"]" * 10_000, "nested too deep"),
    "single quotes": (b"{'prompt': 'Q', 'chosen': [1]}", "no valid JSON"),
    "a word": (b"undefined", "no valid JSON"),
    "no value": (b'{"prompt": }', "no valid JSON"),
    "brackets in a string": (b'{"prompt": "]]}\\"", }', "no valid JSON"),
    "a number": (b"12", "found a number"),
    "17 MB": (b'{"prompt": "' + b'x\\"' * (17 * 2**18) + b'"' + b" " * (5 * 2**20) + b"}", "longer than 16 MB"),
}


@pytest.mark.parametrize("kind", BROKEN_ELEMENTS)
@pytest.mark.parametrize("chunk", [2**20, 7])
def test_a_broken_element_is_one_problem_and_the_rest_is_stored(
    kind: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    element, words = BROKEN_ELEMENTS[kind]
    if chunk < 100 and len(element) > 10_000:
        chunk = 2**16 + 1
    monkeypatch.setattr("rlhf_lab.data.source._CHUNK", chunk)
    start = time.perf_counter()
    result = imported(tmp_path, b"[" + GOOD + b"," + element + b",\n" + OTHER + b"]")
    assert result.records == 2
    (problem,) = result.problems
    assert problem.line == 2
    assert words in problem.reason
    assert time.perf_counter() - start < 30


def test_a_line_of_100_mb_costs_little_memory_and_time(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(GOOD)
        file.truncate(100 * 2**20)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + OTHER)
    with Store.open(tmp_path / "lab.sqlite") as store:
        tracemalloc.start()
        start = time.process_time()
        (result,) = import_files([path], store)
        seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (result.records, [problem.line for problem in result.problems]) == (2, [2])
    assert peak < 64 * 2**20
    assert seconds < 10


def test_long_arrays_are_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "array.json"
    rows = [{"prompt": f"{n}", "chosen": "x" * 10_000, "rejected": "é"} for n in range(4000)]
    path.write_text(json.dumps(rows), encoding="utf-8")
    with Store.open(tmp_path / "lab.sqlite") as store:
        tracemalloc.start()
        (result,) = import_files([path], store)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert result.records == 4000
    assert peak < 24 * 2**20 < path.stat().st_size


def test_a_quote_that_never_closes_does_not_swallow_the_table(tmp_path: Path) -> None:
    rows = b"".join(b"q%d,a,b\n" % n for n in range(10))
    result = imported(tmp_path, b"prompt,chosen,rejected\n" + rows + b'"open,a,b\n' + b"x" * (3 * 2**20) + b"\n")
    assert result.records == 10
    assert result.problems[0].line == 12


def test_bytes_that_are_not_utf8_in_a_table_are_a_problem(tmp_path: Path) -> None:
    result = imported(tmp_path, b"prompt,chosen,rejected\nq,a,b\nr,\xff,b\nnul,a\0,b\n")
    assert (result.records, [problem.line for problem in result.problems]) == (1, [3, 4])


REFUSED_CONTENT = {
    b"PK\x03\x04": "zip",
    b"SQLite format 3\x00": "SQLite",
    b"\xff\xfe{\0": "UTF-16",
    b"\x7fELF\x02\x01\x01\0": "not a data set",
}


@pytest.mark.parametrize("head", REFUSED_CONTENT)
def test_other_kinds_of_files_are_named_and_what_is_accepted_is_said(head: bytes, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=REFUSED_CONTENT[head]) as found:
        imported(tmp_path, head + b"\x00\x01" * 100, "data.jsonl")
    assert "Accepted are JSON Lines" in str(found.value)


def test_paths_that_are_no_files_are_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "data.jsonl"
    folder.mkdir()
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    loop = tmp_path / "loop.jsonl"
    loop.symlink_to(loop)
    expected = {
        folder: "is a folder",
        pipe: "is a pipe",
        loop: "leads back to itself",
        tmp_path / "missing.jsonl": "There is no file",
        tmp_path / ("x" * 300): "cannot be opened",
    }
    # In a thread, so that a pipe that is waited for fails the test instead of hanging it.
    for path, words in expected.items():
        said: list[str] = []

        def look(path: Path = path, said: list[str] = said) -> None:
            try:
                preview(path)
            except LabError as error:
                said.append(str(error))

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(5)
        assert said, f"{path} was opened"
        assert words in said[0]
