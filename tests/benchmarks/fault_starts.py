"""Faults that a window finds when it opens: what was killed before, what is newer, older, or of another machine's time."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil

from rlhf_lab.store import Store
from rlhf_lab.store.backups import backups
from tests.benchmarks.fault_bench import PAIRS, Bench, Steps, kill, python, release, sound
from tests.benchmarks.fault_rows import HOLD, press, ranking

VERSION_1 = Path(__file__).parents[1] / "golden" / "version-1.sql"
MIGRATE = "import sys; from pathlib import Path; from rlhf_lab.store import Store; print(1, flush=True); Store.open(Path(sys.argv[1]))"


def victim(kind: str, folder: Path, place: Path) -> None:
    """A window that does something until it is killed; it says a line when it is at it."""
    bench = Bench(place)
    bench.open(folder)

    def at_it() -> Steps:
        yield bench.ready()
        if kind == "ranking":
            yield from ranking(bench)
            for _ in range(7):
                press("1")
        else:
            run = bench.train(checkpoint_every=1 if kind == "checkpointing" else 0, lora_r=32)
            yield bench.reached(run, 5)
        sys.stdout.write("at it\n")
        sys.stdout.flush()
        while True:
            if kind == "ranking":
                press("1")
            yield lambda: True

    bench.play(at_it(), deadline_s=600)


def start_victim(kind: str, folder: Path, place: Path) -> subprocess.Popen[str]:
    """Such a window in a process of its own, at it."""
    command = [sys.executable, "-m", "tests.benchmarks.fault_table", "--victim", kind, str(folder), str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "at it\n"
    return process


def trainers(folder: Path) -> list[psutil.Process]:
    """Of all runs of the project."""
    found = []
    for note in folder.glob("runs/*/process.json"):
        pid = json.loads(note.read_text())["pid"]
        if psutil.pid_exists(pid):
            found.append(psutil.Process(pid))
    return found


def killed(bench: Bench, folder: Path, kind: str, whom: tuple[str, ...]) -> None:
    """Kill while the window does that; then what the next window shows."""
    process = start_victim(kind, folder, bench.place)
    who = " and ".join(whom)
    if "trainer" in whom:
        for trainer in trainers(folder):
            kill(trainer)
    if "window" in whom:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    bench.open(folder)
    bench.inject(f"{who} killed while {kind}", "SIGKILL; then the lab is opened again")

    def look() -> Steps:
        lab = bench.lab
        if kind == "ranking":
            given = len(list(lab.project.store.verdicts(PAIRS)))
            yield from ranking(bench)
            judged = {record for record, _ in lab.project.store.verdicts(PAIRS)}
            fresh = bench.window.pane("rank").desk.current.id not in judged
            bench._found = f"Rank opens with the next pair: {fresh}"
            bench.seen()
            bench.then(f"all {given} verdicts stand")
            return
        if "trainer" in whom:
            yield bench.says("was interrupted", "Resume")
            bench.seen()
            run = lab.project.store.runs()[-1].run
            bench.window.messages.messages()[0].findChildren(type(bench.window.strip.stop))[1].click()
            yield lambda: lab.state(run).outcome == "running" and lab.state(run).step > 0
            bench.then(f"Resume: goes on, step {lab.state(run).step}")
        else:
            run = lab.project.store.runs()[-1].run
            at = lab.state(run).step
            yield bench.reached(run, at + 2)
            bench._found = f"{lab.state(run).title}: its curve goes on (step {lab.state(run).step})"
            bench.seen()
            bench.then("re-attached, same process")
        lab.stop(run)
        yield bench.ended(run)

    bench.play(look())
    bench.close()


def killed_migrating(bench: Bench, folder: Path) -> None:
    """A window that updates an old database is killed in the middle of it."""
    old_database(folder)
    process = python(MIGRATE, folder / "lab.sqlite")
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.02)
    process.kill()
    process.wait()
    was_sound = sound(folder / "lab.sqlite")
    bench.open(folder)
    bench.inject("killed while migrating", "SIGKILL 20 ms into Store.open; then the lab is opened again")

    def look() -> Steps:
        yield lambda: bench.window.pane("data").list.count() > 0
        bench._found = f"the window as usual; the database was sound: {was_sound}"
        bench.seen()
        copies = [copy.why for copy in backups(folder / "lab.sqlite")]
        bench.then(f"migrated; copies: {', '.join(copies)}")

    bench.play(look())
    bench.close()


def older(bench: Bench, folder: Path) -> None:
    """A database of the first release."""
    old_database(folder)
    bench.open(folder)
    bench.inject("database of an older version", "the first release's, opened")

    def look() -> Steps:
        yield lambda: bench.window.pane("data").list.count() > 0
        bench._found = "its data sets, as usual"
        bench.seen()
        bench.then(f"copied first: {', '.join(copy.name for copy in backups(folder / 'lab.sqlite'))}")

    bench.play(look())
    bench.close()


def old_database(folder: Path) -> None:
    """As the first release left it."""
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "lab.sqlite")) as db:
        db.executescript(VERSION_1.read_text())


def newer(bench: Bench, folder: Path) -> None:
    """The program itself refuses, in words, and changes nothing."""
    folder.mkdir(parents=True)
    database = folder / "lab.sqlite"
    Store.open(database).close()
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA user_version = 99")
    before = database.read_bytes()
    command = [sys.executable, "-m", "rlhf_lab", "--project", str(folder)]
    bench.inject("database of a newer version", "PRAGMA user_version = 99; rlhf-lab started")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    bench._found = next(line for line in process.stderr if "newer RLHF Lab" in line).strip()
    bench.seen()
    process.kill()  # its dialog waits for a person
    process.wait()
    bench.then(f"left as it was: {database.read_bytes() == before}")
    bench.rows[-1].gap_ms = 0.0


def another_time(bench: Bench, folder: Path) -> None:
    """The clock was set back an hour while a run trained without a window; then a pid that is another's now."""
    process = start_victim("training", folder, bench.place)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    [note] = folder.glob("runs/*/process.json")
    content = json.loads(note.read_text())
    note.write_text(json.dumps(content | {"create_time": content["create_time"] + 3600}))
    os.utime(note.parent / "heartbeat", (time.time() + 3600,) * 2)
    bench.open(folder)
    bench.inject("clock set back under a living run", "its process.json and heartbeat are an hour in the future")

    def attached() -> Steps:
        yield lambda: bool(bench.lab.live())
        [run] = bench.lab.live()
        yield bench.reached(run, bench.lab.state(run).step + 1)
        bench._found = f"{bench.lab.state(run).title}: its curve goes on"
        bench.seen()
        bench.then("re-attached, same process")
        kill(bench.trainer(run))
        yield bench.ended(run)

    bench.play(attached())
    bench.close()
    stranger = subprocess.Popen(["sleep", "600"])
    with closing(sqlite3.connect(folder / "lab.sqlite")) as db:
        db.execute("UPDATE runs SET outcome = 'running'")
        db.execute("DELETE FROM events WHERE kind = 'finished'")
        db.commit()
    log = note.parent / "events.jsonl"
    log.write_bytes(b"".join(line for line in log.read_bytes().splitlines(keepends=True) if b'"finished"' not in line))
    note.write_text(json.dumps(content | {"pid": stranger.pid}))
    bench.open(folder)
    bench.inject("the dead run's pid is another program's now", "process.json names a sleeping stranger")

    def interrupted() -> Steps:
        yield bench.says("was interrupted")
        bench.seen()
        bench.then(f"the stranger lives: {stranger.poll() is None}")

    bench.play(interrupted())
    bench.close()
    stranger.kill()
    stranger.wait()


def locked_at_start(bench: Bench, folder: Path) -> None:
    """A run died, and the database is locked when the window opens."""
    process = start_victim("training", folder, bench.place)
    for trainer in trainers(folder):
        kill(trainer)
    process.kill()
    process.wait()
    holder = python(HOLD, folder / "lab.sqlite")
    assert holder.stdout is not None
    holder.stdout.readline()
    bench.open(folder)
    bench.inject("database locked while the window opens", "BEGIN IMMEDIATE held by another process; a run died before")

    def look() -> Steps:
        yield bench.says("could not be looked after")
        bench.seen()
        yield release(holder)
        yield bench.says("was interrupted")
        bench.then("with the lock gone, the dead run is told by itself")

    bench.play(look())
    bench.close()


def all_starts(bench: Bench, place: Path) -> None:
    """Each on a project of its own."""
    for kind, whom in (
        ("ranking", ("window",)),
        ("training", ("window",)),
        ("training", ("window", "trainer")),
        ("checkpointing", ("window", "trainer")),
    ):
        killed(bench, place / f"{kind} {'+'.join(whom)}", kind, whom)
    killed_migrating(bench, place / "migrating")
    older(bench, place / "older")
    newer(bench, place / "newer")
    another_time(bench, place / "another time")
    locked_at_start(bench, place / "locked")
