"""Copies of the database: made in the middle of writing, checked, thinned; and put back without losing what is there."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Completion, Message, Pair, Prompt
from rlhf_lab.store import Filters, Store, schema
from rlhf_lab.store import backups as module
from rlhf_lab.store.backups import (
    ASKED,
    BEFORE_RESTORE,
    DAY,
    HOUR,
    SCHEDULED,
    WEEK,
    Backup,
    back_up,
    backups,
    due,
    kept,
    thin,
)
from rlhf_lab.store.restore import restore
from rlhf_lab.store.sqlite_words import DamagedError

NOON = 1_800_000_000.0


def pairs(count: int) -> Iterator[Pair]:
    for n in range(count):
        prompt = Prompt(messages=(Message(role="user", content=f"Is {n} a number?"),))
        yield Pair(prompt=prompt, chosen=Completion(text=f"Yes, {n} is."), rejected=Completion(text="No."))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "lab.sqlite"
    with Store.open(path) as store, store.new_dataset("first", "lab", "pair") as writer:
        writer.add(pairs(50))
    return path


def names(database: Path) -> list[str]:
    with Store.open(database) as store:
        return [row.name for row in store.datasets()]


def make(database: Path, *whens: float) -> None:
    """Scheduled copies of one byte, made at these times."""
    for when in whens:
        module.place_for(database, SCHEDULED, when).write_bytes(b"x")


def test_a_copy_is_of_one_moment_while_others_write(database: Path) -> None:
    """A writer adds rows all the time: each copy is sound, and never holds half a transaction."""
    script = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
db.execute("CREATE TABLE twins (a INTEGER, b BLOB)")
print("ready", flush=True)
while True:
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO twins VALUES (1, randomblob(20000))")
    db.execute("INSERT INTO twins VALUES (2, randomblob(20000))")
    db.execute("COMMIT")
"""
    with subprocess.Popen([sys.executable, "-c", script, str(database)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        copies = [back_up(database, ASKED) for _ in range(5)]
        writer.kill()
    counts = []
    for copy in copies:
        with closing(sqlite3.connect(copy.path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            ones, all_ = db.execute("SELECT sum(a = 1), count(*) FROM twins").fetchone()
            counts.append(all_)
            assert all_ == 2 * (ones or 0)
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_a_copy_is_one_private_file_that_opens_by_itself(database: Path, tmp_path: Path) -> None:
    copy = back_up(database, ASKED)
    assert [path.name for path in copy.path.parent.iterdir()] == [copy.path.name]
    if os.name == "posix":
        assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(copy.path.parent.stat().st_mode) == 0o700
    elsewhere = tmp_path / "elsewhere" / "lab.sqlite"
    elsewhere.parent.mkdir()
    shutil.copy(copy.path, elsewhere)
    assert names(elsewhere) == ["first"]
    assert backups(database) == [Backup(copy.path, pytest.approx(copy.when, abs=0.001), ASKED, copy.size)]


def test_a_copy_that_is_cancelled_or_finds_no_room_leaves_nothing(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LabError, match="cancelled"):
        back_up(database, ASKED, cancelled=lambda: True)
    monkeypatch.setattr(module, "_TO_SPARE", 1 << 60)
    with pytest.raises(LabError, match="MB are needed"):
        back_up(database, ASKED)
    assert list((database.parent / "backups").iterdir()) == []


def test_a_damaged_database_never_becomes_a_backup(database: Path) -> None:
    damage(database)
    with pytest.raises(DamagedError, match="damaged"):
        back_up(database, ASKED)
    assert backups(database) == []


def test_a_copy_is_due_when_something_changed_and_the_last_one_is_old(database: Path) -> None:
    changed = database.stat().st_mtime
    assert due(database, changed + 1)
    make(database, changed + 1)
    assert not due(database, changed + 9 * DAY), "nothing has changed since"
    os.utime(database, (changed + 2, changed + 2))
    assert not due(database, changed + HOUR), "the last one is an hour old in one second"
    assert due(database, changed + HOUR + 2)
    assert due(database, changed - DAY), "the clock was set back: better one too many"
    assert not due(database.with_name("none.sqlite"), changed)


def test_a_large_database_is_copied_once_a_day(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL_BYTES", 1000)
    changed = database.stat().st_mtime
    make(database, changed - HOUR)
    assert not due(database, changed + 2 * HOUR)
    assert due(database, changed + DAY)


def test_thinning_keeps_hours_then_days_then_weeks_and_all_that_was_asked_for(database: Path) -> None:
    old = module.place_for(database, ASKED, NOON - 400 * DAY)
    old.write_bytes(b"x")
    make(database, *(NOON - n * HOUR for n in range(24 * 150)))
    thin(database, NOON)
    left = backups(database)
    ages = [NOON - backup.when for backup in left if backup.why == SCHEDULED]
    assert [age for age in ages if age < DAY] == [n * HOUR for n in range(24)]
    assert len([age for age in ages if DAY <= age < 14 * DAY]) in (13, 14)
    assert len([age for age in ages if age >= 14 * DAY]) in (15, 16)
    assert max(ages) < 17 * WEEK
    assert left[-1].path == old


def test_thinning_keeps_within_its_room_but_never_less_than_two(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(database, *(NOON - n * HOUR for n in range(10)))
    monkeypatch.setattr(module, "MOST_BYTES", 4)
    thin(database, NOON)
    assert [NOON - backup.when for backup in backups(database)] == [n * HOUR for n in range(4)]
    monkeypatch.setattr(module, "MOST_BYTES", 0)
    thin(database, NOON)
    assert len(backups(database)) == 2


def test_thinning_clears_what_a_killed_process_left(database: Path) -> None:
    make(database, NOON)
    left = database.parent / "backups" / "20260101T000000.000Z-scheduled.sqlite.77.part"
    left.write_bytes(b"half")
    os.utime(left, (NOON - 2 * DAY, NOON - 2 * DAY))
    thin(database, NOON)
    assert not left.exists()


@given(st.lists(st.floats(0, 200 * DAY), unique=True, max_size=60))
def test_what_is_kept_is_bounded_holds_the_newest_and_stays_kept(ages: list[float]) -> None:
    times = {NOON - age for age in ages}
    stay = kept(times, NOON)
    assert stay <= times
    assert len(stay) <= 25 + 15 + 18
    assert kept(stay, NOON) == stay
    young = {when for when in times if NOON - when < 17 * WEEK}
    assert not young or max(young) in stay


def test_restoring_brings_back_what_was_and_keeps_what_is(database: Path) -> None:
    copy = back_up(database, ASKED)
    with Store.open(database) as store:
        store.delete_dataset("first")
        with store.new_dataset("second", "lab", "pair") as writer:
            writer.add(pairs(3))
    aside = restore(database, copy)
    assert names(database) == ["first"]
    with Store.open(database) as store:
        assert len(list(store.records("first"))) == 50
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    [kept_aside] = [backup for backup in backups(database) if backup.why == BEFORE_RESTORE]
    assert kept_aside.path == aside
    restore(database, kept_aside)
    assert names(database) == ["second"]


def test_whoever_has_it_open_sees_the_restored_one_next(database: Path) -> None:
    copy = back_up(database, ASKED)
    with Store.open(database) as store:
        store.rename_dataset("first", "other")
        restore(database, copy)
        assert [row.name for row in store.datasets()] == ["first"]
        store.rename_dataset("first", "third")
    assert names(database) == ["third"]


def test_a_writer_in_another_process_is_waited_for_then_said(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlhf_lab.store.restore._WAIT_S", 0.2)
    copy = back_up(database, ASKED)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE datasets SET name = 'theirs'")
        with pytest.raises(LabError, match="in use by another process"):
            restore(database, copy)
        other.execute("COMMIT")
    assert names(database) == ["theirs"]


def test_a_backup_that_is_damaged_newer_or_foreign_is_refused_and_nothing_changes(database: Path) -> None:
    damaged, newer, foreign = (back_up(database, ASKED) for _ in range(3))
    damage(damaged.path)
    with closing(sqlite3.connect(newer.path, isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with closing(sqlite3.connect(foreign.path, isolation_level=None)) as db:
        db.execute("PRAGMA application_id = 7")
    before = sorted(path.name for path in (database.parent / "backups").iterdir())
    for backup, words in ((damaged, "damaged"), (newer, "newer RLHF Lab"), (foreign, "not a backup of a lab")):
        with pytest.raises(LabError, match=words):
            restore(database, backup)
    assert names(database) == ["first"]
    assert sorted(path.name for path in (database.parent / "backups").iterdir()) == before


def test_a_backup_of_the_first_release_is_migrated_on_the_way(database: Path) -> None:
    golden = Path(__file__).parents[1] / "golden" / "version-1.sql"
    old = module.place_for(database, ASKED, NOON)
    with closing(sqlite3.connect(old)) as db:
        db.executescript(golden.read_text(encoding="utf-8"))
    restore(database, backups(database)[0])
    assert "answers" in names(database)
    with Store.open(database) as store:
        assert store.annotators() == []
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1, "the backup itself stays as it was"


@pytest.mark.parametrize("how", ["page", "header", "gone"])
def test_a_database_that_cannot_be_read_is_moved_aside_and_replaced(database: Path, how: str) -> None:
    copy = back_up(database, ASKED)
    if how == "page":
        damage(database)
    elif how == "header":
        database.write_bytes(b"no database at all" * 1000)
    else:
        database.unlink()
    broken = database.read_bytes() if database.exists() else None
    if how == "header":
        with pytest.raises(DamagedError):
            Store.open(database)
    aside = restore(database, copy)
    assert names(database) == ["first"]
    assert (aside.read_bytes() if aside else None) == broken
    assert [backup.path for backup in backups(database)] == [copy.path], "what is damaged is not offered"


def test_indexes_of_words_are_made_anew_after_a_restore(database: Path) -> None:
    """They know a data set by when it was made and count its changes: the restored one counts from less."""
    copy = back_up(database, ASKED)
    with Store.open(database) as store:
        key = store.page("first")[0].id
        store.edit("first", key, next(pairs(1)).model_copy(update={"chosen": Completion(text="Indeed.")}))
        store.build_search("first")
    restore(database, copy)
    with Store.open(database) as store:
        assert not store.search_ready("first")
        store.build_search("first")
        assert store.count("first", Filters(search="indeed")) == 0
        assert store.count("first", Filters(search="yes")) == 50


def damage(path: Path) -> None:
    """Overwrite pages in the middle, as a bad disk does."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(size // 4))
