"""Random kill -9, half an hour of it: ``PYTHONPATH=. python tests/benchmarks/kills.py``.

In turn, whoever ranks, trains (SFT, reward, PPO, RLOO, DPO), writes checkpoints, migrates a database, imports, backs
up and restores is killed with SIGKILL again and again; each stage gets three times as much time as each of the rest. Then everything that was
acknowledged must be there, every database sound, every run able to go on, and its curves and weights those of a run
that was never killed, bit for bit. What each kind of victim has to bear is told in ``kill_*.py``. Prints a table, and
with ``--json FILE`` writes the figures; exits with 1 where anything was lost.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import kill_files, kill_ranking
from tests.benchmarks.kill_training import OWN, Victims
from tests.benchmarks.killing import FAULTS, Tally

LIGHT = {
    "ranking": kill_ranking.kills,
    "checkpoint writing": kill_files.checkpoints,
    "migration": kill_files.migrations,
    "import": kill_files.imports,
    "backup and restore": kill_files.restores,
}


def table(found: dict[str, Tally]) -> str:
    """One row a kind of victim, and their sum."""
    total = Tally()
    for tally in found.values():
        for name in ("kills", "runs", "seconds", *FAULTS):
            setattr(total, name, getattr(total, name) + getattr(tally, name))
    head = ["killed in", "kills", "brought to its end and compared", *FAULTS.values(), "seconds"]
    rows = [
        [kind, tally.kills, tally.runs, *(getattr(tally, name) for name in FAULTS), round(tally.seconds)]
        for kind, tally in [*found.items(), ("all", total)]
    ]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=30, help="each kind has one turn at least")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", nargs="*", choices=[*LIGHT, *OWN], default=[*LIGHT, *OWN])
    options.add_argument("--json", type=Path, help="where to write the figures")
    wanted = options.parse_args()
    rng, began = random.Random(wanted.seed), time.monotonic()
    found = {kind: Tally() for kind in wanted.only}
    with tempfile.TemporaryDirectory() as name:
        victims: dict[str, Iterator[Tally]] = {
            kind: LIGHT[kind](Path(name), rng) for kind in wanted.only if kind in LIGHT
        }
        if stages := [stage for stage in OWN if stage in wanted.only]:
            training = Victims(Path(name), stages)
            victims |= {stage: training.runs(stage, rng) for stage in stages}
        while time.monotonic() - began < wanted.minutes * 60 or not all(tally.seconds for tally in found.values()):
            kind = min(found, key=lambda kind: found[kind].seconds / (1 if kind in LIGHT else 3))
            turn = time.monotonic()
            seconds = found[kind].seconds
            found[kind] = next(victims[kind])
            found[kind].seconds = seconds + time.monotonic() - turn
    sys.stdout.write(table(found))
    for kind, tally in found.items():
        for what, count in tally.notes.items():
            sys.stdout.write(f"{kind}: {count} × {what}\n")
        for words in tally.said:
            sys.stdout.write(f"FAULT {words}\n")
    if wanted.json:
        wanted.json.write_text(json.dumps({kind: vars(tally) for kind, tally in found.items()}, indent=1))
    sys.exit(any(tally.faults for tally in found.values()))


if __name__ == "__main__":
    main()
