"""Memory that runs out in the middle of a step: the last whole step is kept, and the run goes on from it."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf_lab.core.config import DpoConfig, PpoConfig, RewardConfig, RlooConfig, RunConfig, SftConfig
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.events import Checkpointed, Event, Progress
from rlhf_lab.engine import on_policy_run
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.stages import TRAIN
from tests.engine.conftest import ON_POLICY, demonstrations, pairs, questions
from tests.engine.stage_runs import Counter, curves, last, parts, run

SMALL: dict[str, Any] = {
    "batch_size": 6,
    "micro_batch_size": 3,
    "max_prompt_tokens": 64,
    "max_new_tokens": 12,
    "lora_r": 2,
    "eval_every": 0,
    "checkpoint_every": 0,
    "device": "cpu",
    "threads": 1,
}
ON = ON_POLICY | {"eval_every": 0, "checkpoint_every": 0, "length_weight": 1.0, "reward_model": None}
RUNS: dict[str, tuple[RunConfig, Callable[[], list[Any]]]] = {
    "sft": (SftConfig(**SMALL, max_steps=5), demonstrations),
    "reward": (RewardConfig(**SMALL, max_steps=5), pairs),
    "dpo": (DpoConfig(**SMALL, max_steps=5), pairs),
    "ppo": (PpoConfig(**ON | {"value_warm_start": False}), questions),
    "rloo": (RlooConfig(**ON | {"epochs": 1, "minibatches": 1}), questions),
}


class Scarce(NoControl):
    """Memory runs out once, at the tick that it is told."""

    def __init__(self, ticks: int) -> None:
        self._left = ticks

    def tick(self) -> None:
        self._left -= 1
        if self._left == -1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.2 GiB")


def begun(stage: str, folder: Path, model: Path, ticks: int, **changes: Any) -> tuple[list[Event], BaseException]:
    config, records = RUNS[stage]
    seen: list[Event] = []
    events = TRAIN[stage](config, parts(folder, model, records(), control=Scarce(ticks), **changes))
    with pytest.raises(torch.OutOfMemoryError) as raised:
        seen.extend(events)
    return seen, raised.value


@pytest.mark.parametrize("stage", RUNS)
def test_the_last_whole_step_is_kept_and_a_resumed_run_is_the_uninterrupted_one(
    stage: str, tiny_model: Path, tmp_path: Path
) -> None:
    config, records = RUNS[stage]
    counted = Counter()
    ticks: dict[int, int] = {}
    whole = []
    for event in TRAIN[stage](config, parts(tmp_path / "whole", tiny_model, records(), control=counted)):
        whole.append(event)
        if isinstance(event, Progress):
            ticks[event.done] = counted.ticks
    middle = (ticks[2] + ticks[3]) // 2
    first, error = begun(stage, tmp_path / "run", tiny_model, middle)
    assert [event.path for event in first if isinstance(event, Checkpointed)] == ["checkpoints/step-2"]
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()
    # What was in the works is let go, so that there is memory to save with; where it broke is said in the log.
    assert "tick" not in [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert "in tick" in error.__notes__[0]
    second = run(config, parts(tmp_path / "run", tiny_model, records(), resume=True))
    assert last(second).outcome == "done"
    assert curves(first, second) == curves(whole)


def test_before_the_run_is_back_where_it_was_nothing_is_written_over(tiny_model: Path, tmp_path: Path) -> None:
    begun("sft", tmp_path / "run", tiny_model, 20)
    files = sorted(path for path in (tmp_path / "run").rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in files}
    assert any(path.parent.name.startswith("step-") for path in files)
    begun("sft", tmp_path / "run", tiny_model, 0, resume=True)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_where_it_runs_out_while_an_update_is_copied_nothing_half_is_saved(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, records = RUNS["ppo"]
    snapshot, calls = Trainable.snapshot, []

    def breaks(self: Trainable) -> dict[str, torch.Tensor]:
        calls.append(self)
        if len(calls) == 3:  # the start, a whole update, and this one
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return snapshot(self)

    monkeypatch.setattr(on_policy_run.Trainable, "snapshot", breaks)
    with pytest.raises(torch.OutOfMemoryError):
        run(config, parts(tmp_path / "run", tiny_model, records()))
    assert not (tmp_path / "run" / "checkpoints").exists()
