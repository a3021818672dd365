"""A finished run that goes on further: no step is done twice, and where nothing decays it is the longer run."""

from pathlib import Path

import pytest

from rlhf_lab.core.config import DpoConfig, PpoConfig, RewardConfig, RlooConfig, RunConfig, SftConfig
from rlhf_lab.core.events import Event, Resumed

from .conftest import demonstrations, pairs
from .stage_runs import curves, last, metric, of, parts, run

SMALL = {
    "batch_size": 4,
    "micro_batch_size": 4,
    "max_prompt_tokens": 32,
    "max_new_tokens": 6,
    "eval_size": 4,
    "eval_every": 2,
    "checkpoint_every": 0,
    "lora_r": 2,
    "threads": 1,
}
ON_POLICY = {**SMALL, "updates": 2, "epochs": 1, "length_weight": 1.0, "learning_rate": 1e-3}
STEPS = {**SMALL, "max_steps": 2}


def longer(config: RunConfig) -> RunConfig:
    return config.model_copy(update={"updates" if hasattr(config, "updates") else "max_steps": 4})


@pytest.mark.parametrize("config", [PpoConfig(**ON_POLICY), RlooConfig(**ON_POLICY, samples=2)], ids=lambda c: c.stage)
def test_more_updates_are_bit_for_bit_the_longer_run(config: RunConfig, tiny_model: Path, tmp_path: Path) -> None:
    short = run(config, parts(tmp_path / "run", tiny_model, demonstrations()))
    assert last(short).outcome == "done"
    on = run(longer(config), parts(tmp_path / "run", tiny_model, demonstrations(), resume=True))
    whole = run(longer(config), parts(tmp_path / "whole", tiny_model, demonstrations()))
    assert last(on).outcome == last(whole).outcome == "done"
    assert curves(short, on) == curves(whole)
    assert resumed_at(on) == (2, 4)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


@pytest.mark.parametrize(
    "config", [SftConfig(**STEPS), RewardConfig(**STEPS), DpoConfig(**STEPS)], ids=lambda c: c.stage
)
def test_more_steps_go_on_at_the_rate_of_the_new_length(config: RunConfig, tiny_model: Path, tmp_path: Path) -> None:
    records = demonstrations() if config.stage == "sft" else pairs()
    short = run(config, parts(tmp_path / "run", tiny_model, records))
    assert last(short).outcome == "done"
    on = run(longer(config), parts(tmp_path / "run", tiny_model, records, resume=True))
    assert last(on).outcome == "done"
    assert resumed_at(on) == (2, 4)
    assert metric(short, "optim/learning_rate") == [config.learning_rate, config.learning_rate / 2]
    assert metric(on, "optim/learning_rate") == [config.learning_rate / 2, config.learning_rate / 4]
    assert {step for step, _ in curves(on)} >= {3, 4}


def resumed_at(events: list[Event]) -> tuple[int, int]:
    [resumed] = of(events, Resumed)
    return resumed.step, resumed.total_steps


def weights(folder: Path) -> bytes:
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()
