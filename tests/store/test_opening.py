"""Opening a project's database: fast, private, and refused in words where it cannot be."""

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.store import Store, connection, schema
from rlhf_lab.store.backups import backups
from rlhf_lab.store.connection import Connection


def run_python(code: str, *, path: Path | None = None) -> str:
    roots = [str(Path(__file__).parents[2]), *([str(path)] if path else [])]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(roots)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_opening_again_takes_milliseconds(tmp_path: Path) -> None:
    Store.open(tmp_path / "lab.sqlite").close()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        Store.open(tmp_path / "lab.sqlite").close()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.02


def test_opening_again_needs_no_sqlite_utils(tmp_path: Path) -> None:
    Store.open(tmp_path / "lab.sqlite").close()
    code = f"""
        import sys
        from pathlib import Path
        from rlhf_lab.store import Store
        Store.open(Path({str(tmp_path / "lab.sqlite")!r})).close()
        print(sorted({{"sqlite_utils", "pandas", "psutil", "numpy"}} & sys.modules.keys()))
    """
    assert run_python(code) == "[]"


def test_creating_imports_no_pandas_even_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("print('pandas was imported')\n")
    code = f"""
        import sys
        from pathlib import Path
        from rlhf_lab.store import Store
        Store.open(Path({str(tmp_path / "lab.sqlite")!r})).close()
        assert "sqlite_utils" in sys.modules and "pandas" not in sys.modules
        import pandas
    """
    assert run_python(code, path=tmp_path) == "pandas was imported"


if os.name == "posix":  # elsewhere a folder's owner decides

    def test_the_files_are_private(tmp_path: Path) -> None:
        with Store.open(tmp_path / "lab.sqlite") as store:
            store.add_run("sft-1", "sft", "runs/sft-1", "{}", 1.0)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert modes == dict.fromkeys(("lab.sqlite", "lab.sqlite-wal", "lab.sqlite-shm"), 0o600)


def test_it_is_in_wal_mode_with_strict_tables(tmp_path: Path) -> None:
    Store.open(tmp_path / "lab.sqlite").close()
    db = sqlite3.connect(tmp_path / "lab.sqlite")
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO records VALUES ('x', 'pair', 'train', 'p', '{}')")
    db.close()


def test_many_that_create_it_at_once_agree(tmp_path: Path) -> None:
    ready = threading.Barrier(3)
    failures: list[BaseException] = []

    def open_it() -> None:
        ready.wait()
        try:
            Store.open(tmp_path / "lab.sqlite").close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_it_waits_for_another_process_that_writes_before_it_is_in_wal_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lab.sqlite"
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(connection.time, "sleep", lambda seconds: other.execute("ROLLBACK"))
        with Store.open(path) as store:
            assert store.runs() == []


def test_another_process_that_makes_it_meanwhile_is_one_of_this_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lab.sqlite"
    pragma = Connection._pragma
    others: list[threading.Thread] = []

    def read(asking: Connection, name: str) -> int:
        found = pragma(asking, name)
        if not others and name == "application_id":
            others.append(threading.Thread(target=lambda: Store.open(path).close()))
            others[0].start()
            others[0].join(0.3)  # as long as what was read holds, it waits
        return found

    monkeypatch.setattr(Connection, "_pragma", read)
    with Store.open(path) as store:
        assert store.runs() == []
    others[0].join()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    Store.open(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(LabError, match="newer RLHF Lab"):
        Store.open(path)
    assert path.read_bytes() == before


def test_an_older_database_is_backed_up_and_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lab.sqlite"
    with Store.open(path) as store:
        store.add_run("sft-1", "sft", "runs/sft-1", "{}", 1.0)
    migrations = [*schema.MIGRATIONS, lambda db: db.execute("ALTER TABLE runs ADD COLUMN stars INTEGER")]
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    with Store.open(path) as store:
        assert [row.run for row in store.runs()] == ["sft-1"]
    db = sqlite3.connect(path)
    assert db.execute("SELECT stars FROM runs").fetchall() == [(None,)]
    assert db.execute("PRAGMA user_version").fetchone()[0] == len(migrations)
    db.close()
    [copy] = backups(path)
    assert copy.why == f"version-{len(migrations) - 1}"
    backup = sqlite3.connect(copy.path)
    assert backup.execute("SELECT * FROM runs").description[-1][0] != "stars"
    assert backup.execute("SELECT run FROM runs").fetchall() == [("sft-1",)]
    backup.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lab.sqlite"
    Store.open(path).close()

    def breaks(db: object) -> None:
        db.execute("DROP TABLE runs")  # type: ignore[attr-defined]
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, breaks])
        with pytest.raises(RuntimeError, match="power cut"):
            Store.open(path)
    with Store.open(path) as store:
        assert store.runs() == []


def test_what_is_no_database_of_ours_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("this is not a database at all, but a text that somebody named like one\n" * 20)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE songs (title TEXT)")
    db.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(LabError, match="not a database of this lab"):
            Store.open(path)
        assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be opened"):
        Store.open(tmp_path / "missing" / "lab.sqlite")


def test_a_locked_database_is_said_soon_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    with Store.open(path, busy_ms=50) as store:
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        start = time.perf_counter()
        with pytest.raises(LabError, match="in use by another process"):
            store.add_run("sft-1", "sft", "runs/sft-1", "{}", 1.0)
        assert time.perf_counter() - start < 1
        assert store.runs() == []
        blocker.execute("ROLLBACK")
        blocker.close()
        store.add_run("sft-1", "sft", "runs/sft-1", "{}", 1.0)
        assert [row.outcome for row in store.runs()] == ["queued"]
