"""Kill a process that ranks, a thousand times: ``PYTHONPATH=. python tests/benchmarks/kill_ranking.py``.

A writer judges, undoes and redoes as two people, as fast as it can, and tells of each action before and after
it: a verdict is acknowledged once `Store.judge` has returned. After some milliseconds it is killed with SIGKILL.
Then the database must be sound, and say what the acknowledged actions amount to, with or without the one that
was under way; each person's history is undone and redone to compare it too, some steps of it after each kill, all
of it before the next database begins.
(That the disk has it as well is up to ``PRAGMA synchronous = FULL``: a killed process is no power cut.)
"""

import argparse
import json
import os
import random
import select
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Completion, Message, Pair, Prompt
from rlhf_lab.store import Judged, Store
from tests.store.ranking_oracle import Oracle

NAME, RECORDS, PEOPLE = "d", 12, ("Ada", "Ben")
ROUNDS_ON_ONE = 25
"""Kills that one database has to bear before the next one begins."""

_STARTS_WITHIN_S = 60


def make(path: Path) -> list[int]:
    """A database with a few pairs; their ids."""
    with Store.open(path) as store:
        with store.new_dataset(NAME, "test", "pair") as writer:
            yes, no = Completion(text="yes"), Completion(text="no")
            writer.add(
                Pair(prompt=Prompt(messages=(Message(role="user", content=f"q{n}"),)), chosen=yes, rejected=no)
                for n in range(RECORDS)
            )
        return [row.id for row in store.page(NAME)]


def action(rng: random.Random, ids: list[int]) -> dict[str, Any]:
    """Mostly verdicts."""
    who, what = rng.choice(PEOPLE), rng.random()
    if what < 0.3:
        return {"do": "undo" if what < 0.2 else "redo", "who": who}
    ranks = rng.choice([(1, 2), (2, 1), (1, 1), ()])
    verdict = {(1, 1): "tie", (): "both_bad"}.get(ranks, "ranked")
    said = {"who": who, "when": rng.random(), "verdict": verdict, "ranks": ranks, "repeat": rng.random() < 0.1}
    return {"do": "judge", "record": rng.choice(ids), "said": said}


def act(on: Store | Oracle, done: dict[str, Any]) -> None:
    """Do it in the database or in the lists."""
    if done["do"] == "judge":
        on.judge(NAME, done["record"], Judgement.model_validate(done["said"]))
    elif done["do"] == "undo":
        on.undo(done["who"])
    else:
        on.redo(done["who"])


def write(path: Path, ids: list[int], seed: int, pipe: int) -> None:
    """What the writer does until it is killed."""
    rng = random.Random(seed)
    with Store.open(path) as store:
        while True:
            todo = action(rng, ids)
            os.write(pipe, json.dumps(todo).encode() + b"\n")
            act(store, todo)
            os.write(pipe, b"done\n")


def kill_one(
    path: Path, ids: list[int], seed: int, after_s: float
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Start a writer, kill it so long after its first action; what it acknowledged, and what it had begun."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            write(path, ids, seed, writing)
        finally:
            os._exit(1)
    os.close(writing)
    told, end, killed = b"", time.monotonic() + _STARTS_WITHIN_S, False
    while True:
        # The pipe is emptied all along: a full one would stop the writer at the same place each time.
        wait = max(0.0, end - time.monotonic())
        if not killed and wait == 0:
            os.kill(child, signal.SIGKILL)
            killed = True
        if killed or select.select([reading], [], [], wait)[0]:
            if not (part := os.read(reading, 65536)):
                break
            if b"done" not in told and b"done" in told + part:
                end = time.monotonic() + after_s
            told += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    lines = told.split(b"\n")[:-1]
    begun = [json.loads(line) for line in lines if line != b"done"]
    acknowledged = lines.count(b"done")
    return begun[:acknowledged], begun[acknowledged] if len(begun) > acknowledged else None


def state(path: Path, steps: int) -> tuple[Any, ...]:
    """What the database says of verdicts: those that count, and each person's history, so many steps back and forth."""
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the database is damaged"
    db.close()
    with Store.open(path) as store:
        return _told(store, steps)


def _told(on: Store | Oracle, steps: int) -> tuple[Any, ...]:
    live = list(on.live(NAME)) if isinstance(on, Oracle) else list(on.verdicts(NAME))
    histories = []
    for who in PEOPLE:
        forward = _all(on.redo, who, steps)
        back = _all(on.undo, who, len(forward) + steps)
        again = _all(on.redo, who, len(back) - len(forward))
        histories.append((forward, back, again))
    return live, histories


def _all(step: Callable[[str], Judged | None], who: str, most: int) -> list[Judged]:
    return list(takewhile(lambda found: found is not None, (step(who) for _ in range(most))))


def main() -> None:
    """Print one JSON object; exit with 1 where anything was lost."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--longest-ms", type=float, default=60)
    wanted = options.parse_args()
    rng, began = random.Random(wanted.seed), time.time()
    acknowledged = lost = between = under_way_stored = under_way_not = 0
    oracle, ids, path = Oracle(), list[int](), Path()
    with tempfile.TemporaryDirectory() as folder:
        for kill in range(wanted.kills):
            if kill % ROUNDS_ON_ONE == 0:
                path, oracle = Path(folder) / f"{kill}.sqlite", Oracle()
                ids = make(path)
            done, under_way = kill_one(path, ids, rng.getrandbits(32), rng.random() * wanted.longest_ms / 1000)
            acknowledged += len(done)
            for one in done:
                act(oracle, one)
            steps = 2 if (kill + 1) % ROUNDS_ON_ONE else 1_000_000
            found = state(path, steps)
            between += under_way is None
            if found == _told(oracle, steps):
                under_way_not += under_way is not None
                continue
            if under_way is not None:
                act(oracle, under_way)
            if under_way is None or found != _told(oracle, steps):
                lost += 1
                sys.stderr.write(f"kill {kill}: the database and the acknowledged actions differ\n")
                break
            under_way_stored += 1
    figures = {
        "kills": wanted.kills if not lost else kill + 1,
        "actions acknowledged": acknowledged,
        "kills after which anything acknowledged was lost": lost,
        "killed between two actions": between,
        "killed in an action that was not stored": under_way_not,
        "killed in an action that was stored but not acknowledged": under_way_stored,
        "seconds": round(time.time() - began, 1),
    }
    json.dump(figures, sys.stdout, indent=2)
    sys.stdout.write("\n")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
