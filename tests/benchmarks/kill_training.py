"""Victims that train: whoever trains, whoever follows and records, or both are killed until the run gets to its end.

Each stage runs once without interruption, its trainer a process of the usual kind: that is the reference. Then the same
run is made again and again, a checkpoint after every step. A kill comes at any moment, or it is aimed: at a checkpoint
that is being written, or at the follower's transaction. After each the database must pass its integrity check, and
the run must go on when it is resumed, or followed by another while its trainer lives; at the end the curves must be
those of the reference, bit for bit (times and memory aside), and so must the adapter. Trainers and followers are
forked from this process, which has imported what takes seconds: a kill costs a second or two, not ten.
"""

import errno
import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from rlhf_lab.core.config import STAGES, RunConfig
from rlhf_lab.core.events import Finished, Resumed, Started, Warned
from rlhf_lab.core.naming import Stage
from rlhf_lab.core.records import load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.engine.machine import use_threads
from rlhf_lab.runs import child
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.follow import follow
from rlhf_lab.runs.log import said_so_far
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun
from rlhf_lab.runs.warm import Standby
from tests.benchmarks.killing import Tally, forked, sound

VARYING = ("time/", "perf/")
"""Metrics that tell of the machine."""
AIMS = ("any moment", "any moment", "checkpoint", "checkpoint", "recording")
NOTICED_WITHIN_S = 5.0
BEING_STARTED = "is just being started"
"""What a start says for ten seconds after one that was killed before it could say who it is."""
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
    "sft": {"dataset": "demonstrations", "max_steps": 30},
    "reward": {"dataset": "pairs", "max_steps": 30},
    "ppo": {"dataset": "prompts", "updates": 8, "epochs": 1, "adaptive_kl": True},
    "rloo": {"dataset": "prompts", "updates": 10, "samples": 4},
    "dpo": {"dataset": "pairs", "max_steps": 20},
}
TRAIN, HELDOUT = 240, 40
"""Records of each data set: as many as a start reads in no time."""


def config_of(stage: Stage, reward: str | None) -> RunConfig:
    """A short run with everything on that a checkpoint has to hold."""
    own = OWN[stage] | ({"reward_model": reward} if stage in ("ppo", "rloo") else {})
    return STAGES[stage](**SMALL, **own)


class ForkedStandby(Standby):
    """The warm child of the window, forked instead of started; its parent is the follower, as in the lab."""

    def __init__(self) -> None:
        super().__init__(enabled=False)
        reading, self._writing = os.pipe()

        def wait_for_a_run() -> None:
            os.close(self._writing)
            os.dup2(reading, 0)
            child.main(["--standby"], prepare=lambda: None)

        self._pid = forked(wait_for_a_run)
        os.close(reading)

    def adopt(self, arguments: Sequence[str]) -> Any:
        os.write(self._writing, json.dumps(list(arguments)).encode() + b"\n")
        os.close(self._writing)
        return ForkedChild(self._pid)


class ForkedChild:
    """As much of a `subprocess.Popen` as a run's source asks for."""

    def __init__(self, pid: int) -> None:
        self.pid, self.returncode = pid, None

    def poll(self) -> int | None:
        if self.returncode is None and (done := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(done[1])
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def follow_run(project: Path, run: str, *, warm: bool = True) -> None:
    """What the follower's process does: start, resume or attach to the run, record all it says, see it end."""
    standby = ForkedStandby() if warm else None  # before the database is open, so that the trainer has no part in it
    with Project.open(project) as opened:
        folder = opened.run(run)
        recorder = Recorder(opened.store)
        recorder.catch_up(folder)
        source = ProcessRun(folder, standby=standby)
        process = folder.process()
        if process is not None and process.alive():
            source.attach()
        else:
            source.start(resume=folder.attempt() > 0)
        finished = follow(source, recorder)
    assert finished is not None
    if finished.outcome != "done":
        raise SystemExit(f"{finished.outcome}: {finished.message}")


class Victims:
    """The project and its reference runs."""

    def __init__(self, folder: Path, stages: Sequence[Stage]) -> None:
        use_threads(1)
        child.warm_up()
        self.project = folder / "project"
        self._said = folder / "said.txt"
        with Project.open(self.project) as opened:
            for name in ("demonstrations", "pairs", "prompts"):
                with opened.store.new_dataset(name, "lab", _some(name)[0].kind) as writer:
                    writer.add(_some(name))
        self._reward: str | None = None
        self._references = {"reward": self._reference("reward")}
        self._reward = self._references["reward"][0]
        self._references |= {stage: self._reference(stage) for stage in stages if stage != "reward"}

    def _reference(self, stage: Stage) -> tuple[str, dict[str, Any], float]:
        """The run without interruption, what came of it, and its seconds from the first event of its work."""
        with Project.open(self.project) as opened:
            folder = opened.create_run(config_of(stage, self._reward))
        pid = forked(lambda: follow_run(self.project, folder.run, warm=False), self._said)
        if os.waitpid(pid, 0)[1]:
            raise SystemExit(f"{folder.run} did not get to its end:\n{self._said.read_text()}")
        start, end = said_so_far(folder.events_path, Started, Finished)
        return folder.run, self._came_of(folder), end.time - start.time + 1.0

    def runs(self, stage: Stage, rng: random.Random) -> Iterator[Tally]:
        """Make the run, kill it until it gets to its end, compare; again and again."""
        tally = Tally()
        while True:
            with Project.open(self.project) as opened:
                folder = opened.create_run(config_of(stage, self._reward))
            if self._to_its_end(folder, self._references[stage][2], rng, tally):
                self._compare(folder, stage, tally)
            yield tally

    def _to_its_end(self, folder: RunFolder, seconds: float, rng: random.Random, tally: Tally) -> bool:
        failures = 0
        while True:
            follower = ForkedChild(forked(lambda: follow_run(self.project, folder.run), self._said))
            aim = rng.choice(AIMS)
            if self._wait(folder, follower, rng.random() * seconds / 2, aim, rng, tally):
                self._kill(folder, follower, aim, rng, tally)
                if not sound(self.project / "lab.sqlite"):
                    tally.fault("corrupt", f"{folder.run}: the database is damaged")
                continue
            if follower.returncode == 0:
                return True
            said = self._said.read_text()
            if BEING_STARTED in said:
                tally.note("had to wait for a start that was killed")
                time.sleep(1)
                continue
            failures += 1
            if failures == 2:
                tally.fault("not_resumed", f"{folder.run}: {said[-600:]}")
                return False

    def _wait(
        self, folder: RunFolder, follower: ForkedChild, seconds: float, aim: str, rng: random.Random, tally: Tally
    ) -> bool:
        """Until the moment has come; False where the follower came to its end before."""
        moment, log = time.monotonic() + seconds, self.project / "lab.sqlite-wal"
        size, until = None, moment + 10
        while follower.poll() is None:
            now = time.monotonic()
            if now < moment:
                time.sleep(min(0.02, moment - now))
                continue
            if aim == "any moment" or now > until:
                return True
            if aim == "checkpoint" and _being_written(folder.checkpoints):
                tally.note("a checkpoint was being written")
                time.sleep(rng.random() * 0.01)
                return True
            if aim == "recording":
                found = log.stat() if log.exists() else None
                seen = found and (found.st_size, found.st_mtime_ns)
                if size is not None and seen != size:
                    tally.note("events were being recorded")
                    time.sleep(rng.random() * 0.003)
                    return True
                size = seen or (0, 0)
            time.sleep(0.0003)
        return False

    def _kill(self, folder: RunFolder, follower: ForkedChild, aim: str, rng: random.Random, tally: Tally) -> None:
        """Trainer, follower or both; whoever is left is killed, or ends, or is followed by the next one."""
        trainer = folder.process()
        living = trainer is not None and trainer.alive()
        first = {"checkpoint": "trainer", "recording": "follower"}.get(aim) or rng.choice(("trainer", "follower"))
        if first == "trainer" and trainer is not None and living:
            _kill(trainer.pid, tally)
            if rng.random() < 0.5:  # the follower is to notice
                until = time.monotonic() + NOTICED_WITHIN_S
                while follower.poll() is None and time.monotonic() < until:
                    time.sleep(0.01)
                if follower.returncode is None:
                    tally.fault("not_resumed", f"{folder.run}: the trainer's death was not noticed in 5 s")
                else:
                    tally.note("the follower noticed")
        elif rng.random() < 0.5:
            time.sleep(rng.random() * 0.2)
        if follower.poll() is None:
            _kill(follower.pid, tally)
            follower.wait()
        if first == "follower" and living and rng.random() < 0.3:
            tally.note("left to train, and followed by another")
            return
        trainer = folder.process()
        if trainer is not None and trainer.alive():
            _kill(trainer.pid, tally)
        while trainer is not None and trainer.alive():
            time.sleep(0.001)

    def _compare(self, folder: RunFolder, stage: Stage, tally: Tally) -> None:
        tally.runs += 1
        tally.note("resumed from a checkpoint", len(said_so_far(folder.events_path, Resumed)))
        for warned in said_so_far(folder.events_path, Warned):
            if warned.code == "checkpoint_damaged":
                tally.fault("corrupt", f"{folder.run}: {warned.text}")
        wanted, found = self._references[stage][1], self._came_of(folder)
        if differing := sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)):
            tally.fault("differing", f"{folder.run}: {', '.join(differing[:6])}")

    def _came_of(self, folder: RunFolder) -> dict[str, Any]:
        """The database's curves without what depends on the clock, and the hash of each file of weights."""
        with Project.open(self.project) as opened:
            curves = opened.store.curves(folder.run)
        found: dict[str, Any] = {name: curve for name, curve in curves.items() if not name.startswith(VARYING)}
        for file in folder.adapter.glob("*.safetensors"):
            found[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        return found


def _some(name: str) -> list[Any]:
    with resource(f"datasets/lab-world-{name}.jsonl").open("rb") as lines:
        records = [load_record(line) for line in lines]
    train = islice((record for record in records if record.split == "train"), TRAIN)
    return [*train, *islice((record for record in records if record.split == "heldout"), HELDOUT)]


def _being_written(checkpoints: Path) -> bool:
    try:
        return any(entry.name.endswith(".new") for entry in os.scandir(checkpoints))
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return False


def _kill(pid: int, tally: Tally) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        tally.kills += 1
