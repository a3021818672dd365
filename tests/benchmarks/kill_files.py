"""Victims that train nothing: a checkpoint being written, a migration, an import, a backup, a restore.

Each is a generator: one turn kills a few times, checks what it left, brings it to its end, and yields.
"""

import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Completion, Message, Pair, Prompt
from rlhf_lab.data.importer import import_files
from rlhf_lab.engine import checkpoint
from rlhf_lab.store import Store
from rlhf_lab.store.backups import ASKED, SCHEDULED, back_up, backups, check_sound
from rlhf_lab.store.restore import restore
from rlhf_lab.store.schema import MIGRATIONS
from tests.benchmarks.killing import Tally, killed_after, moment, sound

VERSION_1 = Path(__file__).parents[1] / "golden" / "version-1.sql"
ROWS = 3000
"""Of the file that is imported."""


def tensors_of(step: int) -> dict[str, Tensor]:
    """As many and as large as those of a small LoRA adapter and its moments."""
    return {f"weight/{n}": torch.full((64, 48), float(step * 100 + n)) for n in range(60)}


def checkpoints(folder: Path, rng: random.Random, kills: int = 6) -> Iterator[Tally]:
    """Checkpoints written as fast as can be, some of them twice; after each kill the newest is whole and not too old."""
    tally, place, reached = Tally(), folder / "checkpoints", 0

    def write(tell: Callable[[bytes], object]) -> None:
        step = reached
        while True:
            step += 1
            for again in (False, True) if step % 3 == 0 else (False,):
                tell(b"%d" % step)
                checkpoint.save(place, step, tensors_of(step), {"step": step, "again": again})
                tell(b"saved")

    while True:
        for _ in range(kills):
            told, killed = killed_after(write, moment(rng, 0.1))
            tally.kills += killed
            if not killed:
                tally.fault("not_resumed", f"checkpoints: after step {reached} none could be written")
            acknowledged = max((int(told[n - 1]) for n, line in enumerate(told) if line == b"saved"), default=reached)
            tally.note("in the middle of one", bool(told) and told[-1] != b"saved")
            damaged: list[str] = []
            found = checkpoint.newest(place, lambda path, why, said=damaged: said.append(f"{path.name}: {why}"))
            if damaged:
                tally.fault("corrupt", f"checkpoints: {damaged}")
            step, tensors, state = found or (0, {}, {})
            if not acknowledged <= step <= acknowledged + 1:
                tally.fault("lost", f"checkpoints: step {acknowledged} was saved, {step} is there")
            elif step and not _same(tensors, state, step):
                tally.fault("lost", f"checkpoints: step {step} is not what was saved")
            reached = step
            tally.runs += 1
        reached += 1
        checkpoint.save(place, reached, tensors_of(reached), {"step": reached, "again": False})
        if len(left := list(place.iterdir())) > checkpoint.KEEP:
            tally.fault("lost", f"checkpoints: room, to {sorted(path.name for path in left)}")
        yield tally


def _same(tensors: dict[str, Tensor], state: dict[str, object], step: int) -> bool:
    wanted = tensors_of(step)
    same = tensors.keys() == wanted.keys() and all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    return same and state["step"] == step


def migrations(folder: Path, rng: random.Random, kills: int = 3) -> Iterator[Tally]:
    """Databases of the first version, of some size, killed while they are brought up to date."""
    tally, template, path = Tally(), folder / "old.sqlite", folder / "migrated" / "lab.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(template)) as db:
        db.executescript(VERSION_1.read_text(encoding="utf-8"))
        rows = [(2, 1, n, n, "metrics", 0, "{}" * 40) for n in range(20_000)]
        db.executemany(
            "INSERT INTO events (run, attempt, seq, step, kind, superseded, body) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        )
        db.commit()
        before = db.execute("SELECT count(*), sum(length(body)) FROM events").fetchone()

    def migrate(tell: Callable[[bytes], object]) -> None:
        tell(b"begun")
        Store.open(path).close()

    while True:
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(template.read_bytes())
        for _ in range(kills):
            tally.kills += killed_after(migrate, moment(rng, 0.3))[1]
            if not sound(path):
                tally.fault("corrupt", f"migration: {path} is damaged")
        try:
            Store.open(path).close()
        except LabError as error:
            tally.fault("not_resumed", f"migration: {error}")
        with closing(sqlite3.connect(path)) as db:
            after = db.execute("SELECT count(*), sum(length(body)) FROM events").fetchone()
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if after != before or version != len(MIGRATIONS):
            tally.fault("lost", f"migration: {before} became {after}, version {version}")
        for backup in backups(path):
            with closing(sqlite3.connect(backup.path)) as db:
                check_sound(db, backup.path)
                if db.execute("SELECT count(*), sum(length(body)) FROM events").fetchone() != before:
                    tally.fault("lost", f"migration: {backup.name} is not the database of before")
            backup.path.unlink()
        for part in (path.parent / "backups").glob("*.part*"):
            part.unlink()
        tally.runs += 1
        yield tally


def imports(folder: Path, rng: random.Random, kills: int = 3) -> Iterator[Tally]:
    """A file imported again and again: a data set is there as a whole or not at all."""
    tally, path, file = Tally(), folder / "imports" / "lab.sqlite", folder / "pairs.jsonl"
    path.parent.mkdir()
    rows = ({"prompt": f"question {n}", "chosen": f"yes, {n}", "rejected": "no"} for n in range(ROWS))
    content = "".join(json.dumps(row) + "\n" for row in rows)
    Store.open(path).close()

    def fill(tell: Callable[[bytes], object]) -> None:
        with Store.open(path) as store:
            while True:
                # The same content once more would be known, and not imported.
                file.write_text(content.replace("yes", f"yes {time.monotonic_ns()}", 1))
                tell(b"begun")
                import_files([file], store)
                tell(b"done")

    while True:
        expected = 0
        for _ in range(kills):
            told, killed = killed_after(fill, moment(rng, 0.4))
            tally.kills += killed
            expected += told.count(b"done")
            if not sound(path):
                tally.fault("corrupt", f"import: {path} is damaged")
            with Store.open(path) as store:
                counts = [(row.records, store.count(row.name)) for row in store.datasets()]
            if any(numbers != (ROWS, ROWS) for numbers in counts):
                tally.fault("lost", f"import: half a data set: {counts}")
            if len(counts) not in (expected, expected + 1):
                tally.fault("lost", f"import: {expected} data sets were imported, {len(counts)} are there")
            expected = len(counts)
        with Store.open(path) as store:
            try:
                import_files([file], store)
            except LabError as error:
                tally.fault("not_resumed", f"import: {error}")
            for row in store.datasets():
                store.delete_dataset(row.name)
        with closing(sqlite3.connect(path)) as db:
            left = db.execute("SELECT count(*) FROM records").fetchone()[0]
        if left:
            tally.fault("lost", f"import: room, to {left} rows of no data set")
        tally.runs += 1
        yield tally


def restores(folder: Path, rng: random.Random, kills: int = 3) -> Iterator[Tally]:
    """A database backed up and two others put in its place in turn: it is one of the two, whole, and so are the copies."""
    tally, path = Tally(), folder / "restores" / "lab.sqlite"
    path.parent.mkdir()
    for name, count in (("one", 400), ("two", 30)):
        with Store.open(path) as store:
            for row in store.datasets():
                store.delete_dataset(row.name)
            with store.new_dataset(name, "lab", "pair") as writer:
                writer.add(_pair(n) for n in range(count))
        back_up(path, ASKED)
    wanted = [backup for backup in backups(path) if backup.why == ASKED]

    def turn(tell: Callable[[bytes], object]) -> None:
        while True:
            for backup in wanted:
                tell(b"begun")
                back_up(path, SCHEDULED)
                restore(path, backup)

    while True:
        for _ in range(kills):
            tally.kills += killed_after(turn, moment(rng, 0.4))[1]
            if not sound(path):
                tally.fault("corrupt", f"restore: {path} is damaged")
            with Store.open(path) as store:
                found = [(row.name, store.count(row.name)) for row in store.datasets()]
            if found not in ([("one", 400)], [("two", 30)]):
                tally.fault("lost", f"restore: {found}")
            for backup in backups(path):
                if not sound(backup.path):
                    tally.fault("corrupt", f"restore: {backup.name}")
                if backup.why != ASKED:
                    backup.path.unlink()
        try:
            restore(path, wanted[0])
        except LabError as error:
            tally.fault("not_resumed", f"restore: {error}")
        for left in (path.parent / "backups").iterdir():
            if left not in [backup.path for backup in wanted]:
                left.unlink()
        tally.runs += 1
        yield tally


def _pair(n: int) -> Pair:
    prompt = Prompt(messages=(Message(role="user", content=f"Is {n} a number?"),))
    return Pair(prompt=prompt, chosen=Completion(text=f"Yes, {n} is."), rejected=Completion(text="No."))
