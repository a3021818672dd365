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
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Completion, Message, Pair, Prompt
from rlhf_lab.store import Judged, Store
from tests.benchmarks.killing import Tally, killed_after, sound
from tests.store.ranking_oracle import Oracle

NAME, RECORDS, PEOPLE = "d", 12, ("Ada", "Ben")
ROUNDS_ON_ONE = 25
"""Kills that one database has to bear before the next one begins."""

LONGEST_S = 0.06
"""That a writer lives."""


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


def write(path: Path, ids: list[int], seed: int, tell: Callable[[bytes], object]) -> None:
    """What the writer does until it is killed."""
    rng = random.Random(seed)
    with Store.open(path) as store:
        while True:
            todo = action(rng, ids)
            tell(json.dumps(todo).encode())
            act(store, todo)
            tell(b"done")


def kill_one(
    path: Path, ids: list[int], seed: int, after_s: float
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Start a writer, kill it so long after its first action; what it acknowledged, and what it had begun."""
    lines, killed = killed_after(lambda tell: write(path, ids, seed, tell), after_s)
    assert killed, "the writer ended by itself"
    begun = [json.loads(line) for line in lines if line != b"done"]
    acknowledged = lines.count(b"done")
    return begun[:acknowledged], begun[acknowledged] if len(begun) > acknowledged else None


def state(path: Path, steps: int) -> tuple[Any, ...]:
    """What the database says of verdicts: those that count, and each person's history, so many steps back and forth."""
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


def kills(folder: Path, rng: random.Random, turn: int = 5) -> Iterator[Tally]:
    """One writer after the other is killed; a tally after so many, and after a fault, which is the last."""
    tally = Tally()
    for database in count():
        path, oracle = folder / f"ranked-{database}.sqlite", Oracle()
        ids = make(path)
        for kill in range(ROUNDS_ON_ONE):
            done, under_way = kill_one(path, ids, rng.getrandbits(32), rng.random() * LONGEST_S)
            tally.kills += 1
            tally.note("acknowledged actions", len(done))
            for one in done:
                act(oracle, one)
            last = kill == ROUNDS_ON_ONE - 1
            tally.runs += last
            if not sound(path):
                tally.fault("corrupt", f"ranking: kill {tally.kills}: the database is damaged")
            elif stage := compared(path, oracle, under_way, 1_000_000 if last else 2):
                tally.note(stage)
            else:
                tally.fault("lost", f"ranking: kill {tally.kills}: the database and the acknowledged actions differ")
            if tally.faults:
                break
            if tally.kills % turn == 0:
                yield tally
        for file in folder.glob(f"{path.name}*"):
            file.unlink()
        if tally.faults:
            while True:
                yield tally


def compared(path: Path, oracle: Oracle, under_way: dict[str, Any] | None, steps: int) -> str:
    """Where the kill came, with what was stored taken into the oracle; "" where database and oracle differ."""
    found = state(path, steps)
    if found == _told(oracle, steps):
        return "between two actions" if under_way is None else "in an action that was not stored"
    if under_way is not None:
        act(oracle, under_way)
        if found == _told(oracle, steps):
            return "in an action that was stored but not acknowledged"
    return ""


def main() -> None:
    """Print one JSON object; exit with 1 where anything was lost."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    wanted = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for tally in kills(Path(folder), random.Random(wanted.seed)):
            if tally.kills >= wanted.kills or tally.faults:
                break
    json.dump({**vars(tally), "faults": tally.faults}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    sys.exit(bool(tally.faults))


if __name__ == "__main__":
    main()
