"""The data process: the same answers as in this process, and no import outlives a cancel, a kill or its window."""

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.importer import import_files
from rlhf_lab.data.mapping import Mapping, NeedsMapping
from rlhf_lab.data.preview import preview
from rlhf_lab.data.source import ImportCancelled
from rlhf_lab.data.statistics import statistics_of
from rlhf_lab.runs.importing import Importing, children_are_gone
from rlhf_lab.store import Store


def import_children() -> list[psutil.Process]:
    """The processes that import for this one, which may have others too."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "rlhf_lab.runs.import_child" in child.cmdline():
                found.append(child)
    return found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    Store.open(tmp_path / "lab.sqlite").close()
    return tmp_path / "lab.sqlite"


@pytest.fixture
def data(database: Path) -> Iterator[Importing]:
    with Importing(database) as client:
        yield client


def pairs_file(path: Path, count: int) -> Path:
    rows = ({"prompt": f"q {n}", "chosen": "yes", "rejected": "no" if n != 3 else "yes"} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_in(database: Path, table: str) -> int:
    with sqlite3.connect(database) as db:
        count = int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    db.close()
    return count


def test_a_child_previews_and_imports_as_this_process_does(data: Importing, database: Path, tmp_path: Path) -> None:
    file = pairs_file(tmp_path / "a.jsonl", 2500)
    assert data.preview(file) == preview(file)
    seen: list[tuple[int, int]] = []
    results = data.import_files([file], progress=lambda done, total: seen.append((done, total)))
    with Store.open(tmp_path / "other.sqlite") as other:
        assert results == import_files([file], other)
        with Store.open(database) as store:
            assert list(store.records("a")) == list(other.records("a"))
    assert seen == sorted(seen)
    assert seen[-1] == (file.stat().st_size, file.stat().st_size)


@pytest.mark.usefixtures("warm_children")
def test_columns_that_fit_no_format_ask_for_a_mapping(data: Importing, tmp_path: Path) -> None:
    file = tmp_path / "odd\udcff.csv"
    file.write_text("frage,erste,zweite,wer\nQ,x,y,1st\n")
    with pytest.raises(NeedsMapping) as needed:
        data.preview(file)
    assert needed.value.columns == ("frage", "erste", "zweite", "wer")
    assert needed.value.rows[0] == {"frage": "Q", "erste": "x", "zweite": "y", "wer": "1st"}
    roles = {"prompt": "frage", "response_a": "erste", "response_b": "zweite", "preference": "wer"}
    shown = data.preview(file, Mapping(roles, {"1st": "a"}))
    assert [record.model_dump()["chosen"]["text"] for record in shown.records] == ["x"]
    (result,) = data.import_files([file], mapping=Mapping(roles, {"1st": "b"}))
    assert result.records == 1


@pytest.mark.usefixtures("warm_children")
def test_a_child_counts_and_indexes_as_this_process_does(data: Importing, database: Path, tmp_path: Path) -> None:
    data.import_files([pairs_file(tmp_path / "a.jsonl", 60)])
    with Store.open(database) as store:
        assert data.statistics("a") == statistics_of(store.records("a"))
        assert not store.search_ready("a")
        seen: list[tuple[int, int]] = []
        assert data.build_search("a", progress=lambda done, total: seen.append((done, total)))
        assert store.search_ready("a")
    assert seen[-1][0] == seen[-1][1]
    with pytest.raises(LabError, match="no data set"):
        data.statistics("nowhere")


@pytest.mark.usefixtures("warm_children")
def test_export_and_import_again(data: Importing, database: Path, tmp_path: Path) -> None:
    data.import_files([pairs_file(tmp_path / "a.jsonl", 20)])
    assert data.export("a", tmp_path / "out.parquet", "parquet").records == 19
    (again,) = data.import_files([tmp_path / "out.parquet"])
    with Store.open(database) as store:
        assert list(store.records(again.name)) == list(store.records("a"))


@pytest.mark.usefixtures("warm_children")
def test_what_the_child_refuses_is_said_here(data: Importing, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="There is no file"):
        data.import_files([tmp_path / "missing"])
    with pytest.raises(LabError, match="no data set named 'b'"):
        data.export("b", tmp_path / "out", "native")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + b"\xff" * 100 + b"PAR1")
    with pytest.raises(LabError, match="no valid Parquet"):
        data.preview(tmp_path / "bad.parquet")
    assert data.preview(pairs_file(tmp_path / "a.jsonl", 2)).rows == 2


def test_a_cancel_is_heard_at_once_and_leaves_nothing(data: Importing, database: Path, tmp_path: Path) -> None:
    file = pairs_file(tmp_path / "a.jsonl", 60_000)
    asked: list[float] = []
    children: list[psutil.Process] = []

    def progress(done: int, total: int) -> None:
        if done > total // 4 and not asked:
            children.extend(import_children())
            asked.append(time.monotonic())

    with pytest.raises(ImportCancelled, match="was cancelled"):
        data.import_files([file], progress=progress, cancelled=lambda: bool(asked))
    assert time.monotonic() - asked[0] < 1.0
    # Another child is ready while the first one still cleans up.
    assert data.preview(file).rows > 0
    assert not psutil.wait_procs(children, timeout=20)[1]
    assert (rows_in(database, "datasets"), rows_in(database, "records")) == (0, 0)


def test_a_child_that_is_killed_fails_in_words(data: Importing, database: Path, tmp_path: Path) -> None:
    file = pairs_file(tmp_path / "a.jsonl", 60_000)

    def kill(done: int, total: int) -> None:
        for child in import_children():
            child.kill()

    with pytest.raises(LabError, match=r"was killed by signal 9; nothing of the file in hand was stored"):
        data.import_files([file], progress=kill)
    with Store.open(database) as store:
        assert store.datasets() == []
    (result,) = data.import_files([pairs_file(tmp_path / "b.jsonl", 10)])
    assert (result.records, rows_in(database, "records")) == (9, 9)


def test_a_window_that_goes_away_ends_its_import(database: Path, tmp_path: Path) -> None:
    file = pairs_file(tmp_path / "a.jsonl", 60_000)
    data = Importing(database)
    children: list[psutil.Process] = []

    def progress(done: int, total: int) -> None:
        if done > total // 4 and not children:
            children.extend(import_children())
            data.close()

    with pytest.raises(ImportCancelled):
        data.import_files([file], progress=progress)
    assert not psutil.wait_procs(children, timeout=20)[1]
    assert (rows_in(database, "datasets"), rows_in(database, "records")) == (0, 0)


def test_a_child_that_says_nothing_is_killed_when_it_is_cancelled(database: Path, tmp_path: Path) -> None:
    silent = (sys.executable, "-c", "import time; time.sleep(60)")
    with Importing(database, entry=silent) as data, pytest.raises(ImportCancelled):
        data.preview(tmp_path / "x", cancelled=lambda: True)


def test_this_process_never_imports_pyarrow(tmp_path: Path) -> None:
    code = (
        "import sys, rlhf_lab.runs.importing; print([m for m in ('pyarrow', 'zstandard', 'torch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.usefixtures("warm_children")
def test_packed_files_go_through_the_child(data: Importing, tmp_path: Path) -> None:
    plain = pairs_file(tmp_path / "a.jsonl", 30)
    packed = tmp_path / "b.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert data.preview(packed).format == "TRL (JSONL, gzip)"


def test_a_table_that_wants_more_memory_than_it_may_have_ends_in_words(database: Path, tmp_path: Path) -> None:
    # 32 MB once in the file, and a hundred times in its rows: 3 GB for a batch of them.
    written = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, pyarrow as pa, pyarrow.parquet as pq; "
            "texts = pa.DictionaryArray.from_arrays([0] * 100, ['x' * 2**25]); "
            "table = pa.table({'prompt': [f'q{n}' for n in range(100)], 'completion': texts}); "
            "pq.write_table(table, sys.argv[1], store_schema=False, compression='zstd')",
            str(tmp_path / "t"),
        ],
        check=False,
    )
    assert written.returncode == 0
    modest = "from rlhf_lab.runs import import_child as child; child._MOST_MEMORY = 2 * 2**30; child.main()"
    with Importing(database, entry=(sys.executable, "-c", modest)) as data:
        with pytest.raises(LabError, match=r"holds no record that could be read|Not enough memory"):
            data.preview(tmp_path / "t")
        assert data.preview(pairs_file(tmp_path / "a.jsonl", 2)).rows == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the child waits at a pipe that has a name")
def test_one_that_still_removes_what_was_cancelled_can_be_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = 'print(\'{"kind": "cancelled"}\', flush=True)'
    removes = (sys.executable, "-c", f"import sys; {said}; open(sys.argv[1]).read()")
    with Importing(pipe, entry=removes) as client, pytest.raises(ImportCancelled):
        client.import_files([tmp_path])
    assert not children_are_gone(0)
    pipe.write_bytes(b"")
    assert children_are_gone(60)
