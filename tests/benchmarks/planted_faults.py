"""Which verdict appears on which fault, and after how many updates? ``python tests/benchmarks/planted_faults.py DIR``.

First the guided recipe for three seeds, SFT, reward model and PPO: on healthy runs no verdict may appear. Then each
fault of `faults.py` is planted in a run of the same recipe from the first seed's SFT and reward model (with
smaller batches), which ends when a verdict that recognises the fault appears, or when
all is done. What lies in DIR already is not run again. Printed is a table, or with ``--json`` one object.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from faults import FAULTS, Fault

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.config_toml import parse_config
from rlhf_lab.core.control import Control, NoControl, StopRequested
from rlhf_lab.core.events import Event, Finished, Health, dump_event
from rlhf_lab.core.naming import Stage
from rlhf_lab.core.records import AnyRecord, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.engine import ppo, rloo
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.stages import TRAIN
from rlhf_lab.runs.experiment import guided_config
from rlhf_lab.runs.watched import watched
from rlhf_lab.world.judge import judge

SEEDS = (0, 1, 2)
_DATA = {
    "sft": "lab-world-demonstrations",
    "reward": "lab-world-pairs",
    "ppo": "lab-world-prompts",
    "rloo": "lab-world-prompts",
    "dpo": "lab-world-pairs",
}
_WORLD = {"max_prompt_tokens": 64, "max_new_tokens": 80, "micro_batch_size": 32, "checkpoint_every": 0}
_POLICY = {"batch_size": 16, "eval_every": 0, "eval_size": 32}
_RECIPES: dict[str, dict[str, Any]] = {
    "sft": {},
    "reward": {"max_steps": 320, "eval_every": 80, "eval_size": 192},
    "ppo": _POLICY,
    "rloo": _WORLD
    | _POLICY
    | {"minibatches": 4, "updates": 22, "learning_rate": 6e-4, "kl_coef": 0.025, "lora_r": 8, "lora_alpha": 16},
    "dpo": _WORLD
    | {"batch_size": 16, "max_steps": 160, "eval_every": 40, "eval_size": 64, "learning_rate": 6e-4}
    | {"lora_r": 8, "lora_alpha": 16},
}
"""What faults are planted in: small batches, and looks only where a verdict needs them."""


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of one run: the verdicts with the step of each, and how it ended."""

    name: str
    stage: Stage
    expected: tuple[str, ...]
    verdicts: dict[str, int]
    steps: int
    outcome: str
    seconds: float

    @property
    def recognised(self) -> bool:
        """Whether a fault has a verdict that fits, and a healthy run none."""
        return any(code in self.verdicts for code in self.expected) if self.expected else not self.verdicts


class Until(NoControl):
    """Asks to stop once enough was seen."""

    enough = False

    def tick(self) -> None:
        if self.enough:
            raise StopRequested


@cache
def records_of(stage: Stage) -> tuple[AnyRecord, ...]:
    """The bundled data of a stage."""
    lines = (resource("datasets") / f"{_DATA[stage]}.jsonl").read_bytes().splitlines()
    return tuple(load_record(line) for line in lines)


def config_of(stage: Stage, seed: int, changes: dict[str, Any]) -> RunConfig:
    """The guided recipe where it has the stage, with these changes."""
    if stage in ("sft", "reward", "ppo"):
        settings = guided_config(stage, seed, {"sft": "sft", "reward": "reward"}).model_dump()
    else:
        settings = {"stage": stage, "seed": seed, "start_from": "sft"}
        settings |= {"reward_model": "reward"} if stage == "rloo" else {}
    return parse_config(settings | changes, stage)


def parts_of(folder: Path, stage: Stage, base: Path, seed: int, control: Control, records: Sequence[Any]) -> Parts:
    """A run in ``folder`` that stands on the SFT and reward adapters of ``base``."""
    folder.mkdir(parents=True, exist_ok=True)
    return Parts(
        folder=folder,
        records=records,
        model=resource("model"),
        start_adapters=() if stage == "sft" else (base / f"sft-{seed}" / "adapter",),
        reward_adapter=base / f"reward-{seed}" / "adapter" if stage in ("ppo", "rloo") else None,
        reward_model=None,
        reward_start_adapters=(),
        control=control,
        judge=judge,
    )


def watch(
    place: Path, name: str, stage: Stage, expected: tuple[str, ...], events: Iterable[Event], until: Until
) -> Row:
    """Follow a run to its end, or to the first verdict that was expected; its events are kept beside it."""
    began, found, end = time.perf_counter(), dict[str, int](), Finished(outcome="failed")
    place.mkdir(parents=True, exist_ok=True)
    for event in _kept(events, place / "events.jsonl"):
        if isinstance(event, Health) and event.on:
            found.setdefault(event.code, event.step)
            until.enough = until.enough or event.code in expected
        elif isinstance(event, Finished):
            end = event
    return Row(name, stage, expected, found, end.step, end.outcome, round(time.perf_counter() - began, 1))


def _kept(events: Iterable[Event], path: Path) -> Iterator[Event]:
    with path.open("wb") as file:
        for event in events:
            file.write(dump_event(event) + b"\n")
            yield event


def healthy(folder: Path, stage: Stage, seed: int) -> Row:
    """The guided recipe as it is; later runs stand on it."""
    place, config, until = folder / f"{stage}-{seed}", config_of(stage, seed, {}), Until()

    def make(control: Control) -> Iterable[Event]:
        return TRAIN[stage](config, parts_of(place, stage, folder, seed, control, records_of(stage)))

    return watch(place, f"healthy, seed {seed}", stage, (), watched(make, until, config), until)


def planted(folder: Path, fault: Fault) -> Row:
    """A run with the fault in it."""
    place = folder / "faults" / f"{fault.stage}-{'-'.join(fault.name.replace('/', '').split())}"
    until = Until()
    config = config_of(fault.stage, 0, _RECIPES[fault.stage] | fault.changes)
    records = fault.records(records_of(fault.stage))

    def make(control: Control) -> Iterable[Event]:
        parts = parts_of(place, fault.stage, folder, 0, control, records)
        if fault.rewards is None:
            return TRAIN[fault.stage](config, parts)
        return (ppo if fault.stage == "ppo" else rloo).train(config, parts, fault.rewards())

    with fault.plant():
        return watch(place, fault.name, fault.stage, fault.expected, watched(make, until, config), until)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where runs and results are kept")
    parser.add_argument("--only", nargs="+", default=[""], help="runs whose stage and name hold one of these texts")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    results = asked.folder / "results.json"
    done: dict[str, dict[str, Any]] = json.loads(results.read_text()) if results.exists() else {}
    work = [(f"healthy-{stage}-{seed}", healthy, (stage, seed)) for seed in SEEDS for stage in ("sft", "reward", "ppo")]
    work += [(f"{fault.stage} {fault.name}", planted, (fault,)) for fault in FAULTS]
    for key, run, given in (one for text in asked.only for one in work if text in one[0]):
        if key in done:
            continue
        row = run(asked.folder, *given)
        done[key] = dataclasses.asdict(row) | {"recognised": row.recognised}
        results.write_text(json.dumps(done, indent=1))
        sys.stderr.write(f"{key}: {row.verdicts or 'no verdict'}, {row.outcome} at {row.steps}, {row.seconds} s\n")
    if asked.json:
        sys.stdout.write(json.dumps(done) + "\n")
        return
    for row in done.values():
        said = ", ".join(f"{code} at {step}" for code, step in sorted(row["verdicts"].items(), key=lambda v: v[1]))
        mark = "ok" if row["recognised"] else "NOT"
        sys.stdout.write(f"{mark:4} {row['stage']:7} {row['name']:40} {said or 'no verdict'} ({row['steps']} steps)\n")


if __name__ == "__main__":
    main()
