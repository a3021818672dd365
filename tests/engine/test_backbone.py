from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from tests.engine.conftest import make_tokenizer, perturb, save_model, tiny_llama

ROWS = [[5, 20, 33, 47, 60, 71], [9, 100, 12], [7, 8, 150, 200]]


def logits(backbone: Backbone, adapter: str | None = None, side: str = "right") -> list[torch.Tensor]:
    """[T, V] of each row, padding taken off."""
    ids, mask = pad(ROWS, backbone.pad_id, side)  # type: ignore[arg-type]
    with torch.no_grad():
        found = backbone.logits(backbone.hidden(ids, mask, adapter))
    return [row[m.bool()] for row, m in zip(found, mask, strict=True)]


def same(one: list[torch.Tensor], other: list[torch.Tensor], tolerance: float = 1e-5) -> bool:
    return all(torch.allclose(a, b, atol=tolerance) for a, b in zip(one, other, strict=True))


def test_padding_side_and_neighbours_do_not_change_logits(backbone: Backbone) -> None:
    right, left = logits(backbone), logits(backbone, side="left")
    assert same(right, left)
    for row, found in zip(ROWS, right, strict=True):
        ids, mask = pad([row], backbone.pad_id)
        assert torch.allclose(backbone.logits(backbone.hidden(ids, mask, None))[0], found, atol=1e-5)


def test_logits_are_those_of_plain_transformers(backbone: Backbone, tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    expected = [model(torch.tensor([row])).logits[0] for row in ROWS]
    assert same(logits(backbone), expected)


def test_a_fresh_adapter_is_the_base_exactly(backbone: Backbone) -> None:
    base = logits(backbone)
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(logits(backbone, "policy"), base, strict=True))
    perturb(backbone, "policy")
    assert not same(logits(backbone, "policy"), base)
    assert all(torch.equal(a, b) for a, b in zip(logits(backbone), base, strict=True))


def test_an_adapter_added_last_is_the_one_that_is_used(backbone: Backbone) -> None:
    for name, seed in (("policy", 0), ("value", 1)):
        backbone.add_adapter(name, r=4, alpha=8, seed=seed)
        perturb(backbone, name, seed)
    value = logits(backbone, "value")
    assert not same(value, logits(backbone, "policy"))
    assert same(value, logits(backbone, "value"))


def test_using_adapters_leaves_requires_grad_as_declared(backbone: Backbone, tmp_path: Path) -> None:
    backbone.add_adapter("reward", r=4, alpha=8, seed=1, head=True)
    perturb(backbone, "reward")
    backbone.save_adapter("reward", tmp_path / "reward", {})
    backbone = Backbone.load(backbone._folder, device="cpu")
    backbone.load_adapter("reward", tmp_path / "reward", head=True)
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    backbone.add_adapter("value", r=4, alpha=8, seed=0, head=True)
    for used in ("policy", "reward", None, "value", "reward"):
        logits(backbone, used)
        with backbone.generation("policy"):
            pass
        for name in ("policy", "value", "reward"):
            wanted = name != "reward"
            assert all(p.requires_grad == wanted for p in backbone.parameters_of(name).values()), (used, name)
    trained = {id(p) for name in ("policy", "value") for p in backbone.parameters_of(name).values()}
    assert all(id(p) in trained for p in backbone.model.parameters() if p.requires_grad)


def test_gradients_reach_only_the_adapter_that_was_used(backbone: Backbone) -> None:
    for name in ("policy", "value"):
        backbone.add_adapter(name, r=4, alpha=8, seed=0, head=name == "value")
        perturb(backbone, name)
    ids, mask = pad(ROWS, backbone.pad_id)
    hidden = backbone.hidden(ids, mask, "value")
    backbone.hidden(ids, mask, "policy")
    backbone.head("value", hidden).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in backbone.parameters_of("value").values())
    assert all(p.grad is None for p in backbone.parameters_of("policy").values())


def test_merging_for_generation_gives_the_same_logits_and_restores_the_base_bit_for_bit(backbone: Backbone) -> None:
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    perturb(backbone, "policy")
    weights = {name: p.clone() for name, p in backbone.model.named_parameters()}
    expected = logits(backbone, "policy")
    for _ in range(3):
        with backbone.generation("policy"):
            assert same(logits(backbone, "policy"), expected, 1e-4)
    assert all(torch.equal(p, weights[name]) for name, p in backbone.model.named_parameters())
    with backbone.generation("policy"), pytest.raises(RuntimeError, match="merged"):
        logits(backbone, None)


# PEFT 0.21 asks transformers 5.23 for an attribute that is on its way out.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_a_saved_adapter_loads_with_plain_peft_and_gives_the_same_logits(
    backbone: Backbone, tiny_model: Path, tmp_path: Path
) -> None:
    backbone.add_adapter("policy", r=4, alpha=6, seed=0)
    perturb(backbone, "policy")
    backbone.save_adapter("policy", tmp_path / "adapter", {"stage": "sft"})
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), tmp_path / "adapter").eval()
    with torch.no_grad():
        expected = [plain(torch.tensor([row])).logits[0] for row in ROWS]
    assert same(logits(backbone, "policy"), expected)


def test_adapter_and_head_survive_saving(load: Callable[..., Backbone], tmp_path: Path) -> None:
    backbone = load()
    backbone.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
    perturb(backbone, "reward")
    ids, mask = pad(ROWS, backbone.pad_id)
    expected = backbone.head("reward", backbone.hidden(ids, mask, "reward"))
    backbone.save_adapter("reward", tmp_path / "a", {})
    again = load()
    again.load_adapter("other", tmp_path / "a", head=True)
    assert torch.equal(again.head("other", again.hidden(ids, mask, "other")), expected)


def test_a_merged_start_adapter_is_the_base_of_what_follows(load: Callable[..., Backbone], tmp_path: Path) -> None:
    first = load()
    first.add_adapter("sft", r=4, alpha=8, seed=0)
    perturb(first, "sft")
    first.save_adapter("sft", tmp_path / "sft", {})
    merged = load(start_adapters=[tmp_path / "sft"])
    assert same(logits(merged), logits(first, "sft"))
    assert merged.base_hash != first.base_hash
    merged.add_adapter("policy", r=4, alpha=8, seed=1)
    perturb(merged, "policy", 1)
    merged.save_adapter("policy", tmp_path / "policy", {})
    chain = load(start_adapters=[tmp_path / "sft", tmp_path / "policy"])
    assert same(logits(chain), logits(merged, "policy"))
    with pytest.raises(LabError, match="other weights"):
        load().load_adapter("policy", tmp_path / "policy")
    with pytest.raises(LabError, match="other weights"):
        load(start_adapters=[tmp_path / "policy"])


def test_adapters_and_heads_are_fp32_on_a_bf16_base(load: Callable[..., Backbone]) -> None:
    backbone = load(dtype="bf16")
    backbone.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    assert backbone.dtype == torch.bfloat16
    assert {p.dtype for name in ("reward", "policy") for p in backbone.parameters_of(name).values()} == {torch.float32}
    ids, mask = pad(ROWS, backbone.pad_id)
    hidden = backbone.hidden(ids, mask, "reward")
    assert backbone.head("reward", hidden).dtype == backbone.logits(hidden).dtype == torch.float32


def test_a_base_saved_in_bf16_loads_in_the_precision_that_was_asked_for(
    load: Callable[..., Backbone], tmp_path: Path
) -> None:
    tokenizer = make_tokenizer()
    folder = save_model(tmp_path / "half", tiny_llama(len(tokenizer)), tokenizer, torch.bfloat16)
    assert {p.dtype for p in load(folder).model.parameters()} == {torch.float32}


def test_no_module_is_ever_in_training_mode(tmp_path: Path, load: Callable[..., Backbone]) -> None:
    tokenizer = make_tokenizer()
    folder = save_model(tmp_path / "drop", tiny_llama(len(tokenizer), attention_dropout=0.5), tokenizer)
    backbone = load(folder)
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    perturb(backbone, "policy")
    assert not any(module.training for module in backbone.model.modules())
    assert all(torch.equal(a, b) for a, b in zip(logits(backbone, "policy"), logits(backbone, "policy"), strict=True))


def test_the_same_seed_gives_the_same_adapter(load: Callable[..., Backbone]) -> None:
    found = []
    for seed in (3, 3, 4):
        backbone = load()
        backbone.add_adapter("policy", r=4, alpha=8, seed=seed, head=True)
        found.append(torch.cat([p.detach().flatten() for p in backbone.parameters_of("policy").values()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_damaged_and_foreign_adapters_are_refused_in_words(backbone: Backbone, tmp_path: Path) -> None:
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    backbone.save_adapter("policy", tmp_path / "a", {})
    with pytest.raises(LabError, match="no scalar head"):
        backbone.load_adapter("x", tmp_path / "a", head=True)
    file = tmp_path / "a" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(LabError, match="damaged"):
        backbone.load_adapter("x", tmp_path / "a")
    file.rename(file.with_name("adapter_model.bin"))
    with pytest.raises(LabError, match="pickled"):
        backbone.load_adapter("x", tmp_path / "a")
    with pytest.raises(LabError, match="no adapter"):
        backbone.load_adapter("x", tmp_path)


def test_too_long_for_the_model_is_said_at_the_start(backbone: Backbone) -> None:
    backbone.check_length(256)
    with pytest.raises(LabError, match="at most 256"):
        backbone.check_length(257)
