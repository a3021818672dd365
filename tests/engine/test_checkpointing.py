"""Gradients that are checkpointed: a block is computed once more instead of kept, and nothing comes out otherwise."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from rlhf_lab.core.config import DpoConfig, PpoConfig, RewardConfig, RlooConfig, RunConfig, SftConfig
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from tests.engine.conftest import ON_POLICY, demonstrations, make_tokenizer, pairs, perturb, save_model
from tests.engine.stage_runs import curves, last, parts, run
from tests.engine.test_trunk import _OFFLINE, ROWS, SHAPES

# One minibatch: the first step goes back through the passes that scored, when other adapters had their turn.
_OWN_ANSWERS = ON_POLICY | {"minibatches": 1, "updates": 2}
TRAINED: dict[str, RunConfig] = {
    "sft": SftConfig(**_OFFLINE),
    "reward": RewardConfig(**_OFFLINE),
    "dpo": DpoConfig(**_OFFLINE),
    "ppo": PpoConfig(**_OWN_ANSWERS),
    "rloo": RlooConfig(**_OWN_ANSWERS),
}


@pytest.fixture(scope="module", params=SHAPES)
def deep(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers of each kind."""
    tokenizer = make_tokenizer()
    return save_model(tmp_path_factory.mktemp(request.param), SHAPES[request.param](len(tokenizer)), tokenizer)


@pytest.fixture(scope="module")
def deep_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = make_tokenizer()
    return save_model(tmp_path_factory.mktemp("llama"), SHAPES["llama"](len(tokenizer)), tokenizer)


def with_two(folder: Path, share: float, *, recompute: bool) -> Backbone:
    """Policy and critic, both of which say something."""
    backbone = Backbone.load(folder, device="cpu", recompute=recompute)
    for seed, name in enumerate(("policy", "value")):
        backbone.add_adapter(name, r=4, alpha=8, seed=seed, layers=share)
        perturb(backbone, name, seed, 0.05)
    return backbone


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_gradients_are_those_of_the_plain_path_whoever_had_a_turn_since(deep: Path, share: float) -> None:
    found = []
    for recompute in (False, True):
        backbone = with_two(deep, share, recompute=recompute)
        ids, mask = pad(ROWS, backbone.pad_id)
        trunk = backbone.trunk(ids, mask)
        assert (trunk is None) == (share == 1.0)
        read = mask[:, 2:].bool()
        policy, value = (backbone.hidden(ids, mask, name, trunk, places=2)[read] for name in ("policy", "value"))
        with torch.no_grad():
            backbone.hidden(ids, mask, None, trunk)
        policy.square().sum().backward()
        value.square().sum().backward()
        named = backbone.parameters_of("policy") | {f"value {k}": v for k, v in backbone.parameters_of("value").items()}
        gradients = {name: parameter.grad for name, parameter in named.items() if parameter.grad is not None}
        assert len(gradients) == len(named)
        found.append((policy.detach(), value.detach(), gradients))
    torch.testing.assert_close(found[1], found[0], atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("stage", TRAINED)
def test_a_run_is_that_of_the_plain_path(stage: str, share: float, deep_llama: Path, tmp_path: Path) -> None:
    """Every loss, score, norm of a gradient and look of a whole run, a short one."""
    records = {"reward": pairs(), "dpo": pairs()}.get(stage, demonstrations())
    rewards: dict[str, Any] = {}
    if stage in ("ppo", "rloo"):
        made = Backbone.load(deep_llama, device="cpu")
        made.add_adapter("reward", r=4, alpha=8, seed=5, head=True, layers=share)
        perturb(made, "reward", 5)
        made.save_adapter("reward", tmp_path / "reward", {"score_mean": 0.4, "score_std": 2.5})
        rewards["reward_adapter"] = tmp_path / "reward"
    found = []
    for checkpointing in ("off", "on"):
        changes = {"lora_layers": share, "gradient_checkpointing": checkpointing}
        changes |= {"updates": 2} if stage in ("ppo", "rloo") else {}
        events = run(
            TRAINED[stage].model_copy(update=changes), parts(tmp_path / checkpointing, deep_llama, records, **rewards)
        )
        assert last(events).outcome == "done"
        found.append(curves(events))
    assert found[0].keys() == found[1].keys()
    assert found[1] == pytest.approx(found[0], rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_what_goes_into_each_block_is_all_that_is_kept(deep_llama: Path, share: float) -> None:
    rows, width = [list(range(5, 105))] * 2, 32
    states = 4 * 2 * 100 * width
    kept = []
    for recompute in (False, True):
        backbone = with_two(deep_llama, share, recompute=recompute)
        ids, mask = pad(rows, backbone.pad_id)
        weights = {parameter.data_ptr() for parameter in backbone.model.parameters()}
        saved: dict[int, int] = {}

        def pack(tensor: torch.Tensor, saved: dict[int, int] = saved, weights: set[int] = weights) -> torch.Tensor:
            if tensor.data_ptr() not in weights:
                saved[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            hidden = backbone.hidden(ids, mask, "policy")
        kept.append(sum(saved.values()))
        hidden.sum().backward()  # what was counted was alive till now
    blocks = round(4 * share)
    assert kept[1] < (blocks + 4) * states  # beside them the last norm's, and the places' rotations
    assert kept[0] > 8 * blocks * states
