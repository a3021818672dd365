"""A bf16 base: what it says, how near its numbers are, and that sampling, scoring and learning stay one policy."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import Qwen2Config

from rlhf_lab.core.config import PpoConfig, SftConfig
from rlhf_lab.core.events import Started
from rlhf_lab.core.records import Demonstration, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.examples import Encoder
from rlhf_lab.engine.machine import pick_dtype
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.sft import answer_loss, encode
from tests.engine.conftest import ON_POLICY, demonstrations, make_tokenizer, perturb, save_model, tiny_llama
from tests.engine.stage_runs import last, metric, of, parts, run
from tests.engine.test_ppo_update import config, learned, roll, with_roles

ROWS = [[5, 20, 33, 47, 60, 71], [9, 100, 12], [7, 8, 150, 200]]


@pytest.mark.parametrize(
    ("capabilities", "expected"), [({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)]
)
def test_auto_is_bf16_where_the_processor_has_it(
    capabilities: dict[str, bool], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert pick_dtype("auto", torch.device("cpu")) == expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)])
def test_auto_is_bf16_where_the_gpu_has_it_and_not_where_it_would_be_emulated(
    capability: tuple[int, int], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = SimpleNamespace(major=capability[0], minor=capability[1])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)  # what emulation does
    assert pick_dtype("auto", torch.device("cuda")) == expected


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "auto"])
def test_a_run_says_its_precision_when_it_starts(dtype: str, tiny_model: Path, tmp_path: Path) -> None:
    settings = SftConfig(
        dtype=dtype,
        max_steps=1,
        batch_size=2,
        eval_size=2,
        lora_r=2,
        max_prompt_tokens=48,
        max_new_tokens=8,
        device="cpu",
        threads=1,
    )
    events = run(settings, parts(tmp_path / "run", tiny_model, demonstrations(10)))
    assert last(events).outcome == "done"
    used = pick_dtype(dtype, torch.device("cpu"))
    said = next(of(events, Started)).device
    assert ("bf16" if used == torch.bfloat16 else "fp32") in said


def test_the_loss_of_the_bundled_model_is_that_of_fp32_to_one_percent() -> None:
    lines = (resource("datasets") / "lab-world-demonstrations.jsonl").read_text(encoding="utf-8").splitlines()
    records = [record for line in lines[:32] if isinstance(record := load_record(line), Demonstration)]
    losses, gradients = [], []
    for dtype in ("fp32", "bf16"):
        backbone = Backbone.load(resource("model"), dtype=dtype, device="cpu")
        backbone.add_adapter("sft", r=8, alpha=16, seed=0)
        perturb(backbone, "sft", 0, 0.02)
        encoder = Encoder(backbone.tokenizer, 64, 80)
        examples = [encode(encoder, record) for record in records]
        total = sum(len(example.answer) for example in examples)
        losses.append(answer_loss(backbone, "sft", [[example] for example in examples], total, learn=True).loss)
        grads = [p.grad for p in backbone.parameters_of("sft").values() if p.grad is not None]
        gradients.append(torch.cat([grad.flatten() for grad in grads]))
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99


def test_the_first_ratio_is_one_in_bf16_too(load: Callable[..., Backbone]) -> None:
    backbone = with_roles(load(dtype="bf16"))
    perturb(backbone, "policy", size=0.05)
    found = learned(backbone, roll(backbone, config()), config())
    assert found["policy/ratio_first_dev"] < 1e-2
    assert found["policy/clipfrac_avg"] == 0


def test_the_trunk_of_a_bf16_base_is_kept_as_it_is_computed(load: Callable[..., Backbone]) -> None:
    backbone = load(dtype="bf16")
    backbone.add_adapter("policy", r=4, alpha=8, seed=0, layers=0.5)
    perturb(backbone, "policy")
    ids, mask = pad(ROWS, backbone.pad_id)
    trunk = backbone.trunk(ids, mask)
    assert trunk is not None
    assert trunk.dtype == torch.bfloat16
    assert torch.equal(backbone.hidden(ids, mask, "policy", trunk), backbone.hidden(ids, mask, "policy"))


def test_ppo_learns_on_a_bf16_base(given: Callable[..., Parts]) -> None:
    events = run(PpoConfig(**ON_POLICY, dtype="bf16"), given())
    assert last(events).outcome == "done"
    assert max(metric(events, "policy/ratio_first_dev")) < 1e-2
    assert all(norm > 0 for norm in metric(events, "optim/grad_norm"))


def test_with_biases_too_the_policy_that_changes_nothing_is_its_own_reference(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    shape = tiny_llama(len(tokenizer)).to_dict() | {"num_hidden_layers": 4}
    folder = save_model(tmp_path / "qwen", Qwen2Config(**shape), tokenizer)
    with safe_open(folder / "model.safetensors", "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    generator = torch.Generator().manual_seed(0)
    for name, weight in weights.items():
        if name.endswith("bias"):
            weights[name] = torch.randn(weight.shape, generator=generator)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    backbone = Backbone.load(folder, device="cpu", dtype="bf16")
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    ids, mask = pad(ROWS, backbone.pad_id)
    with torch.no_grad():
        for places in (0, 2, torch.tensor([[5], [2], [3]])):
            ours, reference = (backbone.hidden(ids, mask, name, places=places) for name in ("policy", None))
            assert torch.equal(ours, reference)
