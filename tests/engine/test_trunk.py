"""Adapters on the top layers: the trunk below is computed once, and nothing comes out otherwise for it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config

from rlhf_lab.core.config import DpoConfig, PpoConfig, RewardConfig, RlooConfig, RunConfig, SftConfig
from rlhf_lab.core.events import Checkpointed, Warned
from rlhf_lab.core.small_files import read_json
from rlhf_lab.engine import dpo
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.blocks import top_blocks
from rlhf_lab.engine.examples import Encoder
from rlhf_lab.engine.pairs import encode
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.scoring import Episodes, pack, states_before
from tests.engine.conftest import ON_POLICY, demonstrations, make_tokenizer, pairs, perturb, save_model, tiny_llama
from tests.engine.stage_runs import StopAfterTicks, curves, last, of, parts, run
from tests.engine.test_ppo_update import ASKED, config, learned, roll, weights

ROWS = [[5, 20, 33, 47, 60, 71], [9, 100, 12], [7, 8, 150, 200]]
SHAPES: dict[str, Callable[[int], Any]] = {
    "llama": lambda size: tiny_llama(size, num_hidden_layers=4),
    "gpt2": lambda size: GPT2Config(vocab_size=size, n_embd=32, n_layer=4, n_head=4, n_positions=128, eos_token_id=1),
    "gemma2": lambda size: Gemma2Config(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=64,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    ),
}
TRAINED: dict[str, RunConfig] = {
    "ppo": PpoConfig(**ON_POLICY, lora_layers=0.5),
    "rloo": RlooConfig(**ON_POLICY, lora_layers=0.5),
}
_OFFLINE: dict[str, Any] = {
    "batch_size": 4,
    "micro_batch_size": 4,
    "max_steps": 4,
    "max_prompt_tokens": 48,
    "max_new_tokens": 12,
    "learning_rate": 3e-3,
    "lora_r": 4,
    "lora_alpha": 8,
    "eval_every": 2,
    "eval_size": 4,
    "checkpoint_every": 2,
    "lora_layers": 0.5,
    "threads": 1,
    "device": "cpu",
}
TRAINED |= {"sft": SftConfig(**_OFFLINE), "reward": RewardConfig(**_OFFLINE), "dpo": DpoConfig(**_OFFLINE)}


@pytest.fixture(scope="module", params=SHAPES)
def deep(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers of each kind: two of the trunk, two on top."""
    tokenizer = make_tokenizer()
    folder = tmp_path_factory.mktemp(request.param)
    return save_model(folder, SHAPES[request.param](len(tokenizer)), tokenizer)


@pytest.fixture(scope="module")
def deep_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = make_tokenizer()
    return save_model(tmp_path_factory.mktemp("llama"), SHAPES["llama"](len(tokenizer)), tokenizer)


def on_top(folder: Path, *, value: float = 0.5) -> Backbone:
    """Policy, critic and reward model on the top half, all of which say something."""
    backbone = Backbone.load(folder, device="cpu")
    for seed, name in enumerate(("policy", "value")):
        layers = value if name == "value" else 0.5
        backbone.add_adapter(name, r=4, alpha=8, seed=seed, head=name == "value", layers=layers)
        perturb(backbone, name, seed, 0.05)
    return backbone


def without_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on every pass goes through all layers, as if there were nothing to share."""
    real = Backbone._states
    monkeypatch.setattr(
        Backbone, "_states", lambda self, adapter, _, *rest, **told: real(self, adapter, None, *rest, **told)
    )


def test_the_top_share_is_rounded_and_never_empty() -> None:
    assert [len(top_blocks(n, 0.33)) for n in (2, 4, 6, 24, 30, 32)] == [1, 1, 2, 8, 10, 11]
    assert top_blocks(30, 0.33) == range(20, 30)
    assert top_blocks(4, 1.0) == range(4)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("adapter", ["policy", "value", None])
def test_what_begins_at_the_trunk_is_what_goes_through_all_layers(deep: Path, side: Any, adapter: str | None) -> None:
    backbone = on_top(deep)
    assert backbone.trunk_depth == 2
    ids, mask = pad(ROWS, backbone.pad_id, side)
    trunk = backbone.trunk(ids, mask)
    assert trunk is not None
    assert not trunk.requires_grad
    found, gradients = [], []
    for given in (None, trunk):
        states = backbone.hidden(ids, mask, adapter, given)[mask.bool()]
        found.append(states.detach())
        if adapter is not None:
            states.square().sum().backward()
            named = backbone.parameters_of(adapter)
            gradients.append({name: p.grad.clone() for name, p in named.items() if p.grad is not None})
            backbone.model.zero_grad()
    assert torch.equal(*found)
    assert gradients == [] or gradients[0].keys() == gradients[1].keys() != set()
    for name in gradients[0] if gradients else ():
        torch.testing.assert_close(gradients[1][name], gradients[0][name], atol=1e-6, rtol=1e-5)


def test_branches_begin_at_the_trunk_too(deep_llama: Path) -> None:
    backbone = on_top(deep_llama)
    batch = encode(Encoder(backbone.tokenizer, 64, 12), pairs(5))
    laid = dpo.lay_out(backbone, batch, [0, 2, 4])
    assert len(laid.told) == 3
    assert laid.trunk is not None
    with torch.no_grad():
        found = dpo.answer_logprobs(backbone, laid, "policy")
        plain = dataclasses.replace(laid, trunk=None)
        assert torch.equal(found, dpo.answer_logprobs(backbone, plain, "policy"))
    assert not torch.allclose(found, dpo.answer_logprobs(backbone, laid, None))


def test_the_trunk_is_computed_once_for_all_roles_and_epochs(deep_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = on_top(deep_llama)
    computed: list[int] = []
    real = Backbone.trunk

    def counted(self: Backbone, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor | None:
        computed.append(len(ids))
        return real(self, ids, mask)

    monkeypatch.setattr(Backbone, "trunk", counted)
    rollout = roll(backbone, config(epochs=3, minibatches=2))
    assert sum(computed) == len(ASKED)
    learned(backbone, rollout, config(epochs=3, minibatches=2))
    assert sum(computed) == len(ASKED)


@pytest.mark.parametrize("micro_batch_size", [1, 2, 6])
def test_an_update_is_that_of_the_plain_path(
    deep_llama: Path, monkeypatch: pytest.MonkeyPatch, micro_batch_size: int
) -> None:
    """Rows of different length, cut up differently in each epoch: every weight and metric after three epochs."""
    given = config(epochs=3, minibatches=2, micro_batch_size=micro_batch_size)
    outcomes = []
    for plain in (False, True):
        if plain:
            without_trunk(monkeypatch)
        backbone = on_top(deep_llama)
        metrics = learned(backbone, roll(backbone, given), given)
        outcomes.append((metrics, weights(backbone, "policy") | weights(backbone, "value")))
    (metrics, found), (plain_metrics, expected) = outcomes
    # Shares of tokens jump by one of a hundred where one lies on the border.
    counted = {name for name in plain_metrics if "clipfrac" in name}
    assert len(counted) == 2
    for name in sorted(metrics.keys() | plain_metrics.keys()):
        near = pytest.approx(plain_metrics[name], **({"abs": 0.015} if name in counted else {"abs": 1e-5, "rel": 1e-4}))
        assert metrics[name] == near, name
    # Adam makes a step of full length of a gradient that is rounding alone, so single weights may differ.
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=1e-4, rtol=1e-3)


def test_the_gradient_of_a_rollout_is_that_of_the_plain_path(deep_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = on_top(deep_llama)
    episodes = Episodes(ASKED, [[4, 9, 30], [77] * 9, [12], [40, 41], [3, 5, 6, 7], [250]])
    found = []
    for plain in (False, True):
        if plain:
            without_trunk(monkeypatch)
        for rows in ([0, 3], [1, 5, 2, 4], [5, 1, 0]):  # the third in another company than before
            states_before(backbone, pack(backbone, episodes, rows), "policy").square().sum().backward()
        found.append(
            {name: p.grad.clone() for name, p in backbone.parameters_of("policy").items() if p.grad is not None}
        )
        backbone.model.zero_grad()
    assert found[0].keys() == found[1].keys() != set()
    for name, gradient in found[1].items():
        torch.testing.assert_close(found[0][name], gradient, atol=1e-5, rtol=1e-5)


def test_an_adapter_that_reaches_into_the_trunk_is_computed_whole(deep_llama: Path, tmp_path: Path) -> None:
    made = Backbone.load(deep_llama, device="cpu")
    made.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
    perturb(made, "reward")
    made.save_adapter("reward", tmp_path / "reward", {})
    backbone = on_top(deep_llama)
    backbone.load_adapter("reward", tmp_path / "reward", head=True)
    assert backbone.trunk_depth == 2
    ids, mask = pad(ROWS, backbone.pad_id)
    whole = made.hidden(ids, mask, "reward")
    assert torch.equal(backbone.hidden(ids, mask, "reward", backbone.trunk(ids, mask)), whole)
    assert not torch.allclose(backbone.hidden(ids, mask, None, backbone.trunk(ids, mask)), whole)


# PEFT 0.21 asks transformers 5.23 for an attribute that is on its way out.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_plain_peft_loads_it_with_the_same_logits(deep: Path, tmp_path: Path) -> None:
    backbone = on_top(deep)
    backbone.save_adapter("policy", tmp_path / "adapter", {})
    assert read_json(tmp_path / "adapter" / "adapter_config.json")["layers_to_transform"] == [2, 3]
    names = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {name.split(".")[4] for name in names} == {"2", "3"}
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(deep), tmp_path / "adapter").eval()
    for row in ROWS:
        ids = torch.tensor([row])
        with torch.no_grad():
            found = backbone.logits(backbone.hidden(ids, torch.ones_like(ids), "policy"))
            torch.testing.assert_close(plain(ids).logits, found, atol=1e-5, rtol=1e-5)
    again = Backbone.load(deep, device="cpu")
    again.load_adapter("policy", tmp_path / "adapter", trainable=True)
    assert again.trunk_depth == 2


@pytest.mark.parametrize("stage", TRAINED)
def test_a_stage_trains_the_top_alone_and_resumes_exactly(
    stage: str, deep_llama: Path, reward_on_top: Path, tmp_path: Path
) -> None:
    settings = TRAINED[stage]
    records = {"sft": demonstrations(), "reward": pairs(), "dpo": pairs()}.get(stage, demonstrations())

    def given(name: str, **changes: Any) -> Parts:
        rewards = {"reward_adapter": reward_on_top} if stage in ("ppo", "rloo") else {}
        return parts(tmp_path / name, deep_llama, records, **rewards | changes)

    whole = run(settings, given("whole"))
    assert last(whole).outcome == "done"
    written = load_file(tmp_path / "whole" / "adapter" / "adapter_model.safetensors")
    assert {name.split(".")[4] for name in written} == {"2", "3"}
    assert any(bool(weight.any()) for name, weight in written.items() if "lora_B" in name)
    cut = run(settings, given("cut", control=StopAfterTicks(30)))
    assert last(cut).outcome == "stopped"
    assert any(of(cut, Checkpointed))
    rest = run(settings, given("cut", resume=True))
    assert last(rest).outcome == "done"
    assert curves(cut, rest) == curves(whole)
    again = load_file(tmp_path / "cut" / "adapter" / "adapter_model.safetensors")
    assert all(torch.equal(again[name], weight) for name, weight in written.items())


@pytest.mark.parametrize("stage", ["sft", "reward", "dpo", "ppo"])
def test_a_run_is_that_of_the_plain_path(
    stage: str, deep_llama: Path, reward_on_top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = {"sft": demonstrations(), "reward": pairs(), "dpo": pairs()}.get(stage, demonstrations())
    changes = {"learning_rate": 1e-4, "eval_every": 0} | ({"updates": 2} if stage == "ppo" else {})
    settings = TRAINED[stage].model_copy(update=changes)
    rewards = {"reward_adapter": reward_on_top} if stage == "ppo" else {}
    shared = run(settings, parts(tmp_path / "shared", deep_llama, records, **rewards))
    without_trunk(monkeypatch)
    plain = run(settings, parts(tmp_path / "plain", deep_llama, records, **rewards))
    found, expected = curves(shared), curves(plain)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-5, rel=1e-4)


def test_a_critic_begins_anew_where_the_reward_model_reaches_lower_and_it_is_said(
    deep_llama: Path, reward_on_top: Path, tmp_path: Path
) -> None:
    made = Backbone.load(deep_llama, device="cpu")
    made.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
    made.save_adapter("reward", tmp_path / "low", {"score_mean": 0.0, "score_std": 1.0})
    settings = TRAINED["ppo"].model_copy(update={"updates": 1})
    for folder, cold in ((tmp_path / "low", True), (reward_on_top, False)):
        events = run(settings, parts(tmp_path / f"run-{cold}", deep_llama, demonstrations(), reward_adapter=folder))
        assert last(events).outcome == "done"
        assert any(event.code == "cold_critic" for event in of(events, Warned)) is cold


@pytest.fixture
def reward_on_top(deep_llama: Path, tmp_path: Path) -> Path:
    """The adapter of a reward run on the top half."""
    backbone = Backbone.load(deep_llama, device="cpu")
    backbone.add_adapter("reward", r=4, alpha=8, seed=5, head=True, layers=0.5)
    perturb(backbone, "reward", 5)
    backbone.save_adapter("reward", tmp_path / "reward-on-top", {"score_mean": 0.4, "score_std": 2.5})
    return tmp_path / "reward-on-top"
