"""Kill training and migration at random moments: ``PYTHONPATH=. python tests/benchmarks/kill_training.py --minutes 20``.

Each stage runs once without interruption: its curves are the reference. Then the same run is made again and again, a
checkpoint after every step, and whoever trains, whoever follows and records, or both are killed with SIGKILL at a
random moment, from loading to the last checkpoint, until the run gets to its end. After each kill the database must
pass its integrity check; the run must go on when it is resumed; and at the end the curves must be those of the
reference, bit for bit (times and memory aside). Migrations of an old database are killed likewise. Verdicts are
``kill_ranking.py``'s.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from rlhf_lab.core.config import STAGES, RunConfig, Stage
from rlhf_lab.core.events import Resumed
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.follow import follow
from rlhf_lab.runs.log import Tail
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun
from rlhf_lab.store import Store
from rlhf_lab.store.schema import MIGRATIONS

VARYING = ("time/", "perf/")
VERSION_1 = Path(__file__).parents[1] / "golden" / "version-1.sql"
SMALL: dict[str, Any] = {
    "lora_r": 4,
    "batch_size": 8,
    "micro_batch_size": 8,
    "max_prompt_tokens": 48,
    "max_new_tokens": 16,
    "checkpoint_every": 1,
    "eval_every": 4,
    "eval_size": 8,
    "threads": 1,
}
OWN: dict[Stage, dict[str, Any]] = {
    "sft": {"dataset": "lab world demonstrations", "max_steps": 60},
    "reward": {"dataset": "lab world pairs", "max_steps": 60},
    "ppo": {"dataset": "lab world prompts", "updates": 12, "epochs": 1, "adaptive_kl": True},
    "rloo": {"dataset": "lab world prompts", "updates": 16, "samples": 4},
    "dpo": {"dataset": "lab world pairs", "max_steps": 40},
}


@dataclass
class Tally:
    """What happened to one kind of victim; all but the first and the last two must stay 0."""

    kills: int = 0
    corrupt_databases: int = 0
    could_not_resume: int = 0
    differing_curves: int = 0
    resumed_from_a_checkpoint: int = 0
    runs: int = 0
    said: list[str] = field(default_factory=list)


def config_of(stage: Stage, reward: str | None) -> RunConfig:
    """A short run with everything on that a checkpoint has to hold."""
    own = OWN[stage] | ({"reward_model": reward} if stage in ("ppo", "rloo") else {})
    return STAGES[stage](**SMALL, **own)


def follow_run(project: Path, run: str) -> None:
    """What the follower's process does: start or resume the run, record all it says, see it end."""
    with Project.open(project) as opened:
        folder = opened.run(run)
        recorder = Recorder(opened.store)
        recorder.catch_up(folder)
        source = ProcessRun(folder)
        source.start(resume=folder.attempt() > 0)
        finished = follow(source, recorder)
    assert finished is not None
    if finished.outcome != "done":
        raise SystemExit(f"{finished.outcome}: {finished.message}")
    sys.exit(0)


def start(project: Path, run: str) -> subprocess.Popen[bytes]:
    """The follower, and through it the trainer, in sessions of their own."""
    command = [sys.executable, __file__, "--follow", str(project), run]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)


def kill(folder: RunFolder, follower: subprocess.Popen[bytes], rng: random.Random) -> None:
    """Trainer, follower or both, in random order; whoever is left is killed a moment later."""
    trainer = folder.process()
    victims = [follower.pid, *([trainer.pid] if trainer is not None and trainer.alive() else [])]
    rng.shuffle(victims)
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.2)
    follower.wait()
    for pid in victims:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(10)


def sound(database: Path) -> bool:
    """Whether SQLite finds nothing wrong."""
    with closing(sqlite3.connect(database)) as db:
        return db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def curves(project: Path, run: str) -> dict[str, Any]:
    """The database's curves, without what depends on the clock."""
    with Project.open(project) as opened:
        found = opened.store.curves(run)
    return {name: curve for name, curve in found.items() if not name.startswith(VARYING)}


def attempts_resumed(folder: RunFolder) -> int:
    """How many attempts went on from a checkpoint."""
    tail, count = Tail(folder.events_path), 0
    while batch := tail.read():
        count += sum(isinstance(event, Resumed) for event, _ in batch)
    return count


def one_run(
    project: Path, config: RunConfig, wanted: dict[str, Any], seconds: float, rng: random.Random, tally: Tally
) -> None:
    """Make the run, kill it until it gets to its end, compare."""
    with Project.open(project) as opened:
        folder = opened.create_run(config)
    failures = 0
    while True:
        follower = start(project, folder.run)
        try:
            follower.wait(timeout=rng.random() * seconds)
        except subprocess.TimeoutExpired:
            kill(folder, follower, rng)
            tally.kills += 1
            if not sound(project / "lab.sqlite"):
                tally.corrupt_databases += 1
            continue
        if follower.returncode == 0:
            break
        failures += 1
        if failures == 3:  # once may be a process that was not quite dead yet
            tally.could_not_resume += 1
            assert follower.stderr is not None
            tally.said.append(f"{folder.run}: {follower.stderr.read()[-600:].decode(errors='replace')}")
            return
    tally.runs += 1
    tally.resumed_from_a_checkpoint += attempts_resumed(folder)
    found = curves(project, folder.run)
    if found != wanted:
        tally.differing_curves += 1
        differing = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        tally.said.append(f"{folder.run}: {', '.join(differing[:6])}")


def reference(project: Path, config: RunConfig) -> tuple[str, dict[str, Any], float]:
    """The run without interruption, its curves, and how long it took."""
    with Project.open(project) as opened:
        run = opened.create_run(config).run
    began = time.monotonic()
    follower = start(project, run)
    if follower.wait():
        assert follower.stderr is not None
        raise SystemExit(f"{run} did not get to its end:\n{follower.stderr.read().decode(errors='replace')}")
    return run, curves(project, run), time.monotonic() - began


def migrations(folder: Path, rng: random.Random) -> Iterator[Tally]:
    """Old databases of some size, killed while they are brought up to date; a tally after each."""
    tally = Tally()
    template = folder / "old.sqlite"
    with closing(sqlite3.connect(template)) as db:
        db.executescript(VERSION_1.read_text(encoding="utf-8"))
        rows = [(2, 1, n, n, "metrics", 0, "{}" * 40) for n in range(20_000)]
        db.executemany(
            "INSERT INTO events (run, attempt, seq, step, kind, superseded, body) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        )
        db.commit()
        before = db.execute("SELECT count(*), sum(length(body)) FROM events").fetchone()
    for round_ in range(10_000_000):
        path = folder / f"{round_}" / "lab.sqlite"
        path.parent.mkdir()
        path.write_bytes(template.read_bytes())
        for _ in range(3):
            child = os.fork()
            if child == 0:
                with suppress(BaseException):
                    Store.open(path).close()
                os._exit(0)
            time.sleep(rng.random() * 0.05)
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            tally.kills += os.WIFSIGNALED(status)
            tally.corrupt_databases += not sound(path)
        Store.open(path).close()
        tally.runs += 1
        with closing(sqlite3.connect(path)) as db:
            after = db.execute("SELECT count(*), sum(length(body)) FROM events").fetchone()
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if after != before or version != len(MIGRATIONS):
            tally.could_not_resume += 1
            tally.said.append(f"{path}: {before} became {after}, version {version}")
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
        yield tally


def main() -> None:
    """Print one JSON object; exit with 1 where anything was lost."""
    if sys.argv[1:2] == ["--follow"]:
        follow_run(Path(sys.argv[2]), sys.argv[3])
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=20)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--stages", nargs="*", choices=list(OWN), default=list(OWN))
    options.add_argument("--migrations", type=int, default=60, help="kills while a database is migrated")
    wanted = options.parse_args()
    rng, began = random.Random(wanted.seed), time.monotonic()
    found: dict[str, Tally] = {stage: Tally() for stage in wanted.stages}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for tally in migrations(folder, rng):
            found["migration"] = tally
            if tally.kills >= wanted.migrations:
                break
        project = folder / "project"
        with Project.open(project) as opened:
            opened.ensure_bundled()
        reward = reference(project, config_of("reward", None))[0]
        references = {stage: reference(project, config_of(stage, reward)) for stage in wanted.stages}
        while time.monotonic() - began < wanted.minutes * 60:
            for stage in wanted.stages:
                _, curve, seconds = references[stage]
                one_run(project, config_of(stage, reward), curve, seconds, rng, found[stage])
    lost = sum(t.corrupt_databases + t.could_not_resume + t.differing_curves for t in found.values())
    figures = {kind: vars(tally) for kind, tally in found.items()}
    figures["all"] = {"kills": sum(t.kills for t in found.values()), "lost": lost}
    figures["all"]["seconds"] = round(time.monotonic() - began)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
