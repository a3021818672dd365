"""Real checkpoints, damaged in every way: found, said, and the one before is used. The long form is a benchmark."""

import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import checkpoint
from tests.benchmarks.damaged_checkpoints import CONFIGS, records_of, resumed, trained, try_all

from .stage_runs import parts, run


@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[2]], ids=lambda config: config.stage)
def test_damage_in_any_place_is_found_and_the_save_before_is_used(
    config: RunConfig, tiny_model: Path, tmp_path: Path
) -> None:
    kept = trained(config, tiny_model, tmp_path)
    found = list(try_all(kept, step=10))
    assert len(found) > 120
    assert not [one for one in found if one[2]]
    assert resumed(config, tiny_model, kept) == ""


def test_without_the_hashes_the_damage_would_not_be_found(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = trained(CONFIGS[0], tiny_model, tmp_path)
    true = checkpoint._fingerprint
    monkeypatch.setattr(checkpoint, "_fingerprint", lambda file: true(file) and mock.ANY)
    assert [kind for _, kind, problem in try_all(kept, step=10) if problem and "byte of each tensor" in kind]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "changed since this run began"),
        ({"learning_rate": "much"}, "of no run with these settings"),
        ({"learning_rate": None, "evaluated": []}, "of no run with these settings"),
        ({"evaluated": "never"}, "of no run with these settings"),
    ],
)
def test_a_state_of_something_else_is_refused_in_words(
    state: dict[str, Any], words: str, tiny_model: Path, tmp_path: Path
) -> None:
    kept = trained(CONFIGS[0], tiny_model, tmp_path)
    step, tensors, good = checkpoint.newest(kept) or (0, {}, {})
    checkpoint.save(kept, step, tensors, good | state if state else {})
    with pytest.raises(LabError, match=words):
        run(CONFIGS[0], parts(kept.parent, tiny_model, records_of(CONFIGS[0]), resume=True))


@pytest.mark.parametrize("wrong", [torch.zeros(1), torch.zeros(2, 2, dtype=torch.float64), None])
def test_weights_of_something_else_are_refused_in_words(
    wrong: torch.Tensor | None, tiny_model: Path, tmp_path: Path
) -> None:
    kept = trained(CONFIGS[0], tiny_model, tmp_path)
    step, tensors, state = checkpoint.newest(kept) or (0, {}, {})
    name = next(name for name in tensors if name.startswith("exp_avg/"))
    tensors = {key: tensor for key, tensor in tensors.items() if key != name} | (
        {name: wrong} if wrong is not None else {}
    )
    checkpoint.save(kept, step, tensors, state)
    with pytest.raises(LabError, match=r"step-2 is whole, but of no run with these settings .*exp_avg"):
        run(CONFIGS[0], parts(kept.parent, tiny_model, records_of(CONFIGS[0]), resume=True))


def test_two_good_ones_are_kept_beside_newer_ones_that_are_damaged(tmp_path: Path) -> None:
    (tmp_path / "step-9").mkdir()
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, {"w": torch.zeros(1)}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-2", "step-3", "step-9"]


def test_what_killed_writers_left_is_cleared_and_what_they_moved_away_comes_back(tmp_path: Path) -> None:
    def save(step: int, value: float) -> None:
        checkpoint.save(tmp_path, step, {"w": torch.full((3,), value)}, {"value": value})

    save(1, 1.0)
    save(2, 2.0)
    shutil.copytree(tmp_path / "step-2", tmp_path / ".step-7.new")
    (tmp_path / "step-2").rename(tmp_path / ".step-2.old")  # as a kill leaves it between the two moves of a second save
    shutil.copytree(tmp_path / "step-1", tmp_path / ".step-1.old")
    (tmp_path / ".step-9.old").symlink_to(tmp_path.parent / "nowhere")
    step, tensors, state = checkpoint.newest(tmp_path) or (0, {}, {})
    assert (step, tensors["w"].tolist(), state) == (2, [2.0] * 3, {"value": 2.0})
    save(2, 2.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-1", "step-2"]
