"""A NaN planted at step k of each stage: what becomes of the run? ``python tests/benchmarks/planted_nan.py``.

On the bundled model, short runs. The NaN comes out of the model in the training forward (a loss), or stands in a
gradient after a sound forward, or is a score. Looked at is how the run ended, which term its message names, which
step its newest checkpoint holds, and whether every weight of its adapter is a number.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file
from torch import Tensor

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.config_toml import parse_config
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.events import Event, Finished, Metrics
from rlhf_lab.core.naming import Stage
from rlhf_lab.core.records import AnyRecord, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.engine import checkpoint, ppo, rloo
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.optimiser import Optimiser
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.scoring import Episodes
from rlhf_lab.engine.stages import TRAIN

STEPS = 5
_DATA = {"sft": "demonstrations", "reward": "pairs", "ppo": "prompts", "rloo": "prompts", "dpo": "pairs"}
_SETTINGS: dict[str, Any] = {
    "max_prompt_tokens": 64,
    "max_new_tokens": 12,
    "batch_size": 4,
    "micro_batch_size": 4,
    "eval_every": 0,
    "eval_size": 4,
    "checkpoint_every": 0,
    "lora_r": 2,
    "threads": 1,
}


@dataclass(frozen=True)
class Outcome:
    """``kept``: the step of the newest checkpoint. ``sound``: whether all saved weights are numbers."""

    stage: Stage
    place: str
    planted_at: int
    outcome: str
    step: int
    kept: int | None
    sound: bool
    message: str

    @property
    def right(self) -> bool:
        """Whether the run ended in the step before, with it kept."""
        before = self.planted_at - 1
        return self.outcome == "failed" and self.step == self.kept == before and self.sound and bool(self.message)


class Trap:
    """Springs in the step after the one that was seen last; ``set_for`` is the step that shall break."""

    def __init__(self, set_for: int) -> None:
        self._set_for = set_for
        self._step = 0

    def saw(self, event: Event) -> None:
        if isinstance(event, Metrics):
            self._step = max(self._step, event.step)

    @property
    def sprung(self) -> bool:
        return self._step == self._set_for - 1


@contextmanager
def in_the_loss(trap: Trap) -> Iterator[None]:
    """The model's hidden states of the training forward."""

    def spoiled(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def hidden(self: Backbone, *given: Any) -> Tensor:
            found = original(self, *given)
            return found * torch.nan if trap.sprung and found.requires_grad else found

        return hidden

    with (
        patch.object(Backbone, "hidden", spoiled(Backbone.hidden)),
        patch.object(Backbone, "hidden_of_branches", spoiled(Backbone.hidden_of_branches)),
    ):
        yield


@contextmanager
def in_the_gradient(trap: Trap) -> Iterator[None]:
    """One number of one parameter's gradient."""
    original = Optimiser.step

    def step(self: Optimiser, learning_rate: float) -> float:
        if trap.sprung:
            gradient = next(p.grad for p in self._parameters.values() if p.grad is not None)
            gradient.view(-1)[0] = torch.nan
        return original(self, learning_rate)

    with patch.object(Optimiser, "step", step):
        yield


def run(stage: Stage, place: str, planted_at: int, folder: Path) -> Outcome:
    """Train until the trap springs."""
    steps = {"updates": STEPS} if stage in ("ppo", "rloo") else {"max_steps": STEPS}
    reward = {"reward_model": "none"} if stage in ("ppo", "rloo") else {}
    config = parse_config({"stage": stage} | _SETTINGS | steps | reward, stage)
    trap = Trap(planted_at)

    def score(episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        lengths = torch.tensor([float(len(answer)) for answer in episodes.answer_ids])
        return lengths * torch.nan if place == "a score" and trap.sprung else lengths

    parts = Parts(
        folder=folder,
        records=records_of(stage),
        model=resource("model"),
        start_adapters=(),
        reward_adapter=None,
        reward_model=None,
        reward_start_adapters=(),
        control=NoControl(),
    )
    end = Finished(outcome="done")
    with {"the loss": in_the_loss, "a gradient": in_the_gradient}.get(place, _nowhere)(trap):
        for event in _events(config, parts, score):
            trap.saw(event)
            if isinstance(event, Finished):
                end = event
    newest = checkpoint.newest(folder / "checkpoints")
    weights = [tensor for file in (folder / "adapter").glob("*.safetensors") for tensor in load_file(file).values()]
    sound = bool(weights) and all(bool(tensor.isfinite().all()) for tensor in weights)
    return Outcome(stage, place, planted_at, end.outcome, end.step, newest and newest[0], sound, end.message)


def records_of(stage: Stage) -> list[AnyRecord]:
    lines = (resource("datasets") / f"lab-world-{_DATA[stage]}.jsonl").read_bytes().splitlines()
    return [load_record(line) for line in lines[:400]]


def _events(config: RunConfig, parts: Parts, score: Any) -> Iterable[Event]:
    if config.stage in ("ppo", "rloo"):
        return {"ppo": ppo, "rloo": rloo}[config.stage].train(config, parts, [score])
    return TRAIN[config.stage](config, parts)


@contextmanager
def _nowhere(trap: Trap) -> Iterator[None]:
    yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = []
    for stage in _DATA:
        places = ["the loss", "a gradient", *(["a score"] if stage in ("ppo", "rloo") else [])]
        for number, place in enumerate(places):
            with tempfile.TemporaryDirectory() as folder:
                outcome = run(stage, place, 2 + number, Path(folder))
            found.append(asdict(outcome) | {"right": outcome.right})
            if not asked.json:
                mark = "ok" if outcome.right else "NOT"
                said = f"NaN in {place} of step {outcome.planted_at}: {outcome.outcome} at {outcome.step}"
                sys.stdout.write(f"{mark:4} {stage:7} {said}, step {outcome.kept} kept. {outcome.message}\n")
    if asked.json:
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
