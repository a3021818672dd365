"""Archives and tables that lie: each ends as a problem line or a sentence, soon and in little memory."""

import csv
import gzip
import io
import json
import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.importer import ImportResult, import_files
from rlhf_lab.data.preview import preview
from rlhf_lab.store import Store
from tests.data.containers import CONTAINERS

GOOD = b'{"prompt": "fine", "chosen": "yes", "rejected": "no"}\n'
OTHER = b'{"prompt": "also fine", "chosen": "yes", "rejected": "no"}\n'
ROWS = [
    {"prompt": [{"role": "user", "content": f"q{n}"}], "chosen": [{"role": "assistant", "content": "yes" * (n + 1)}],
     "rejected": [{"role": "assistant", "content": "no"}], "n": n}
    for n in range(100)
]  # fmt: skip


def imported(tmp_path: Path, content: bytes) -> ImportResult:
    (tmp_path / "data").write_bytes(content)
    with Store.open(tmp_path / "lab.sqlite") as store:
        return import_files([tmp_path / "data"], store)[0]


def zeros(size: int, before: bytes, packer: str) -> bytes:
    """A gigabyte of zeros takes a megabyte, after a few records."""
    if packer == "gzip":
        # Members one after the other are one file.
        return gzip.compress(before) + gzip.compress(bytes(2**24)) * (size // 2**24)
    compressor = zstandard.ZstdCompressor(level=1)
    return compressor.compress(before) + compressor.compress(bytes(2**24)) * (size // 2**24)


@pytest.mark.parametrize("packer", ["gzip", "zstandard"])
@pytest.mark.parametrize("array", [False, True])
def test_a_gigabyte_of_zeros_in_a_small_archive(packer: str, array: bool, tmp_path: Path) -> None:
    before = b"[" + GOOD + b"," + OTHER + b"," if array else GOOD + OTHER
    packed = zeros(2**30, before, packer)
    assert len(packed) < 2 * 2**20
    start = time.perf_counter()
    tracemalloc.start()
    result = imported(tmp_path, packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.records == 2
    assert "unpacks to more than 200 times its size" in result.problems[-1].reason
    assert result.problems[-1].line == 3
    assert peak < 150 * 2**20
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize("packer", ["gzip", "zstandard"])
def test_nothing_but_zeros_is_refused(packer: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"holds nothing that could be read|not a data set"):
        imported(tmp_path, zeros(2**28, b"", packer))


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstandard": zstandard.ZstdCompressor(write_checksum=True).compress,
}


@pytest.mark.parametrize("packer", PACK)
def test_what_comes_before_the_end_of_a_cut_archive_is_stored(packer: str, tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [{"prompt": f"q{n}", "chosen": f"{draw.random()}", "rejected": "no"} for n in range(20_000)]
    packed = PACK[packer]("".join(json.dumps(row) + "\n" for row in rows).encode())
    result = imported(tmp_path, packed[: len(packed) // 2])
    assert 1000 < result.records < 20_000
    assert result.records < result.problems[-1].line <= result.records + 2
    assert "damaged or cut off" in result.problems[-1].reason


@pytest.mark.parametrize("packer", PACK)
def test_damaged_archives_end_in_words(packer: str, tmp_path: Path) -> None:
    draw = random.Random(1)
    packed = PACK[packer]((GOOD + OTHER) * 50)
    for _ in range(100):
        broken = bytearray(packed)
        for _ in range(draw.choice([1, 3])):
            broken[draw.randrange(4, len(broken))] = draw.randrange(256)
        (tmp_path / "x").write_bytes(broken)
        try:
            shown = preview(tmp_path / "x")
        except LabError:
            continue
        assert all(record.prompt.text for record in shown.records)


def test_archives_in_archives_and_empty_ones_are_refused(tmp_path: Path) -> None:
    for content, words in {
        gzip.compress(gzip.compress(GOOD)): "inside an archive",
        gzip.compress(b"PAR1 and so on"): "inside an archive",
        gzip.compress(b""): "of nothing",
        gzip.compress(b"PK\x03\x04"): "a zip archive",
        b"\x1f\x8b\x08": "damaged or cut off",
        b"\x28\xb5\x2f\xfd": "of nothing|damaged or cut off",
    }.items():
        with pytest.raises(LabError, match=words):
            imported(tmp_path, content)


@pytest.mark.parametrize("container", ["Parquet", "Arrow", "Arrow stream"])
def test_damaged_tables_end_in_words(container: str, tmp_path: Path) -> None:
    draw = random.Random(2)
    whole = CONTAINERS[container](ROWS)
    for turn in range(120):
        broken = bytearray(whole)
        if turn % 4 == 0:
            broken = broken[: draw.randrange(8, len(broken))]
        for _ in range(draw.choice([1, 2, 20])):
            broken[draw.randrange(6, len(broken))] = draw.randrange(256)
        (tmp_path / "x").write_bytes(broken)
        try:
            shown = preview(tmp_path / "x", limit=200)
        except LabError:
            continue
        assert len(shown.records) + len(shown.problems) <= 201


def test_text_in_a_table_that_is_not_utf8_is_a_problem(tmp_path: Path) -> None:
    def texts(*values: bytes) -> pa.Array:
        binary = pa.array(values, pa.binary())
        return pa.StringArray.from_buffers(len(binary), *binary.buffers()[1:])

    table = pa.table({"prompt": ["p", "q", "r"], "chosen": texts(b"a", b"\xff\xfe", b"c"), "rejected": ["x", "y", "z"]})
    pq.write_table(table, tmp_path / "t")
    shown = preview(tmp_path / "t")
    assert [record.prompt.text for record in shown.records] == ["p", "r"]
    assert [problem.line for problem in shown.problems] == [2]
    assert "UTF8" in shown.problems[0].reason


def test_a_table_that_repeats_a_long_text_costs_little_memory(tmp_path: Path) -> None:
    # A megabyte once in the file, and again in each of its rows.
    table = pa.table({"prompt": [f"q{n}" for n in range(64)], "completion": ["x" * 2**20] * 64})
    pq.write_table(table, tmp_path / "t")
    assert (tmp_path / "t").stat().st_size < 2**20
    with Store.open(tmp_path / "lab.sqlite") as store:
        tracemalloc.start()
        (result,) = import_files([tmp_path / "t"], store)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert result.records == 64
    assert peak < 48 * 2**20


def test_hostile_json_in_the_cells_of_a_table(tmp_path: Path) -> None:
    messages = '[{"role": "user", "content": "Q%d"}, {"role": "assistant", "content": "A"}]'
    hostile = {
        "deep": "[" * 10_000 + "]" * 10_000,
        "twice": '[{"role": "user", "role": "user"}]',
        "digits": '[{"role": "user", "content": ' + "9" * 5000 + "}]",
        "surrogate": r'[{"role": "user", "content": "\ud800"}]',
        "NaN": '[{"role": NaN}]',
    }
    out = io.StringIO()
    csv.writer(out).writerows(
        [["messages"], *([messages % n] for n in range(50)), *([cell] for cell in hostile.values())]
    )
    result = imported(tmp_path, out.getvalue().encode())
    assert (result.records, result.problems_total) == (50, len(hostile))
    assert all("expected a list of messages" in problem.reason for problem in result.problems)


def test_numbers_that_json_cannot_hold_are_a_problem_in_a_native_table(tmp_path: Path) -> None:
    prompts = [{"messages": [{"role": "user", "content": f"Q{n}"}]} for n in range(3)]
    tags = [{"x": 1.5}, {"x": float("nan")}, {"x": float("inf")}]
    pq.write_table(pa.table({"kind": ["prompt"] * 3, "prompt": prompts, "tags": tags}), tmp_path / "t")
    shown = preview(tmp_path / "t")
    assert [record.tags for record in shown.records] == [{"x": 1.5}]
    assert [problem.line for problem in shown.problems] == [2, 3]


def test_a_ranking_of_too_many_answers_is_a_problem(tmp_path: Path) -> None:
    def row(count: int) -> bytes:
        answers = [{"answer": f"a{n}", "rank": n} for n in range(count)]
        return json.dumps({"prompt": f"Q{count}", "answers": answers}).encode() + b"\n"

    result = imported(tmp_path, row(64) + row(65) + row(20_000))
    assert (result.records, [problem.line for problem in result.problems]) == (1, [2, 3])
    assert "no more than 64" in result.problems[0].reason


def test_a_tree_that_is_a_chain_or_a_brush_is_read_in_bounded_time(tmp_path: Path) -> None:
    def message(text: str, replies: list[object], **more: object) -> dict[str, object]:
        return {"text": text, "role": "assistant", "replies": replies, "rank": 0, **more}

    brush = [message(f"a{n}", []) for n in range(20_000)]
    rows = [{"message_tree_id": "t", "prompt": {**message("Q", brush), "role": "prompter"}}]
    good = {"message_tree_id": "g", "prompt": {**message("Q", brush[:2]), "role": "prompter"}}
    start = time.perf_counter()
    result = imported(tmp_path, "".join(json.dumps(row) + "\n" for row in [good, *rows]).encode())
    assert (result.records, result.problems_total) == (1, 1)
    assert "more than 10,000 messages" in result.problems[0].reason or "no more than 64" in result.problems[0].reason
    assert time.perf_counter() - start < 60
