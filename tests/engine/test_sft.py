import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, PreTrainedConfig

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Changed, Checkpointed, Progress, Resumed, Samples, Started, Warned
from rlhf_lab.engine import sft
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.examples import Example
from tests.engine.conftest import demonstrations, make_tokenizer, pairs, perturb, prompt, save_model, tiny_llama
from tests.engine.stage_runs import StopAfterTicks, curves, last, metric, of, parts, run

CONFIG = SftConfig(
    batch_size=6,
    micro_batch_size=4,
    max_steps=6,
    max_prompt_tokens=64,
    max_new_tokens=16,
    lora_r=4,
    lora_alpha=8,
    learning_rate=1e-2,
    eval_every=3,
    eval_size=8,
    checkpoint_every=2,
    device="cpu",
    threads=1,
)


def tiny_gpt2(vocabulary: int) -> GPT2Config:
    """Absolute positions and fused attention weights."""
    return GPT2Config(
        vocab_size=vocabulary,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=128,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=0,
        initializer_range=0.2,
    )


EXAMPLES = [
    Example([5, 20, 33], [60, 71, 1]),
    Example([9], [12, 1]),
    Example([7, 8, 9, 10, 11], [150]),
    Example([4, 90], [30, 31, 32, 33, 34, 35, 1]),
]


def test_the_loss_is_the_token_mean_over_answers_only(backbone: Backbone) -> None:
    total = sum(len(e.answer) for e in EXAMPLES)
    found = sft.answer_loss(backbone, None, [[e] for e in EXAMPLES], total, learn=False)
    summed, hits = 0.0, 0
    for example in EXAMPLES:
        logits = backbone.model(torch.tensor([example.row])).logits[0].log_softmax(-1)
        for i, token in enumerate(example.answer):
            place = logits[len(example.prompt) + i - 1]
            summed -= place[token].item()
            hits += int(place.argmax() == token)
    assert found.loss == pytest.approx(summed / total, abs=1e-5)
    assert found.hits == hits


@pytest.mark.parametrize("size", [1, 2, 3])
def test_micro_batches_change_neither_loss_nor_gradient(
    load: Callable[..., Backbone], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = []
    for at_once in (len(EXAMPLES), size):
        # The vocabulary part is split too: two places at once.
        monkeypatch.setattr(sft, "_LOGITS_AT_ONCE", 2**24 if at_once == len(EXAMPLES) else 600)
        backbone = load()
        backbone.add_adapter("sft", r=4, alpha=8, seed=0)
        perturb(backbone, "sft")
        total = sum(len(e.answer) for e in EXAMPLES)
        loss = 0.0
        for start in range(0, len(EXAMPLES), at_once):
            part = EXAMPLES[start : start + at_once]
            loss += sft.answer_loss(backbone, "sft", [[e] for e in part], total, learn=True).loss
        gradients.append([torch.tensor(loss), *[p.grad for p in backbone.parameters_of("sft").values()]])
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("family", [tiny_llama, tiny_gpt2])
def test_packing_is_exact(
    tmp_path: Path, load: Callable[..., Backbone], family: Callable[[int], PreTrainedConfig]
) -> None:
    tokenizer = make_tokenizer()
    folder = save_model(tmp_path / "model", family(len(tokenizer)), tokenizer)
    total = sum(len(e.answer) for e in EXAMPLES)
    found = []
    for rows in ([[e] for e in EXAMPLES], [EXAMPLES], [[EXAMPLES[3], EXAMPLES[1]], [EXAMPLES[2], EXAMPLES[0]]]):
        backbone = load(folder)
        backbone.add_adapter("sft", r=4, alpha=8, seed=0)
        perturb(backbone, "sft")
        part = sft.answer_loss(backbone, "sft", rows, total, learn=True)
        gradients = [p.grad for p in backbone.parameters_of("sft").values()]
        found.append([torch.tensor(part.loss), torch.tensor(part.hits), *gradients])
    for packed in found[1:]:
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found[0], packed, strict=True))


def test_a_packed_run_is_the_padded_run_in_fewer_rows(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[list[int]] = []
    real = sft.answer_loss

    def count(backbone: Backbone, adapter: str, part: list[list[Example]], total: int, *, learn: bool):
        if learn:
            rows.append([len(row) for row in part])
        return real(backbone, adapter, part, total, learn=learn)

    monkeypatch.setattr(sft, "answer_loss", count)
    found = []
    for packing in (False, True):
        config = CONFIG.model_copy(update={"packing": packing, "max_prompt_tokens": 80, "max_new_tokens": 40})
        found.append(curves(run(config, parts(tmp_path / str(packing), tiny_model, demonstrations()))))
    assert found[0].keys() == found[1].keys()
    assert all(math.isclose(found[0][key], found[1][key], rel_tol=2e-3, abs_tol=2e-4) for key in found[0])
    padded, packed = rows[: len(rows) - 6], rows[-6:]
    assert all(size == 1 for part in padded for size in part)
    assert max(size for part in packed for size in part) > 1
    assert sum(map(sum, packed)) == sum(map(sum, padded)) == 36


def test_it_learns_and_says_what_it_does(tiny_model: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"max_steps": 25, "batch_size": 16})
    events = run(config, parts(tmp_path / "run", tiny_model, demonstrations(60), judge=lambda p, t: {"gold": len(t)}))
    assert last(events).outcome == "done"
    losses = metric(events, "train/loss")
    assert losses[-1] < losses[0] / 2
    assert metric(events, "eval/loss")[-1] < metric(events, "eval/loss")[0]
    assert metric(events, "train/token_accuracy")[-1] > metric(events, "train/token_accuracy")[0]
    assert [e.done for e in of(events, Progress)] == list(range(1, 26))
    assert [type(e) for e in events[:2]][1] is Started
    rates = metric(events, "optim/learning_rate")
    assert rates[0] == config.learning_rate
    assert rates[-1] == pytest.approx(config.learning_rate / 25)
    shown = list(of(events, Samples))
    assert [s.step for s in shown] == [0, 3, 6, 9, 12, 15, 18, 21, 24, 25]
    assert metric(events, "eval/gold")[0] == pytest.approx(sum(len(r.completion) for r in shown[0].rows) / 8)
    assert metric(events, "eval/kl")[0] == pytest.approx(0, abs=1e-4) != metric(events, "eval/kl")[-1]
    assert [r.prompt for r in shown[0].rows] == [r.prompt for r in shown[-1].rows]
    assert shown[0].rows != shown[-1].rows
    assert all(r.values["gold"] == len(r.completion) for r in shown[0].rows)
    backbone = Backbone.load(tiny_model, device="cpu")
    backbone.load_adapter("sft", tmp_path / "run" / "adapter")


def test_chosen_answers_of_pairs_serve_and_ties_do_not(tiny_model: Path, tmp_path: Path) -> None:
    tied = [pair.model_copy(update={"tie": True}) for pair in pairs()]
    assert last(run(CONFIG, parts(tmp_path / "a", tiny_model, pairs()))).outcome == "done"
    with pytest.raises(LabError, match="nothing to imitate"):
        run(CONFIG, parts(tmp_path / "b", tiny_model, tied))


def test_micro_batch_size_does_not_change_a_run(tiny_model: Path, tmp_path: Path) -> None:
    found = []
    for size in (1, 6):
        config = CONFIG.model_copy(update={"micro_batch_size": size})
        found.append(curves(run(config, parts(tmp_path / str(size), tiny_model, demonstrations()))))
    assert found[0].keys() == found[1].keys()
    assert all(math.isclose(found[0][key], found[1][key], rel_tol=2e-3, abs_tol=2e-4) for key in found[0])


@pytest.fixture(scope="module")
def whole(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], float]:
    """The curves of a run that nobody stops."""
    return curves(run(CONFIG, parts(tmp_path_factory.mktemp("whole"), tiny_model, demonstrations())))


@pytest.mark.parametrize("ticks", [20, 39, 42, 60, 84])
def test_a_stopped_run_goes_on_to_the_very_same_curves(
    tiny_model: Path, tmp_path: Path, ticks: int, whole: dict[tuple[int, str], float]
) -> None:
    folder = tmp_path / "run"
    first = run(CONFIG, parts(folder, tiny_model, demonstrations(), control=StopAfterTicks(ticks)))
    assert last(first).outcome == "stopped"
    assert (folder / "adapter" / "adapter_model.safetensors").exists()
    second = run(CONFIG, parts(folder, tiny_model, demonstrations(), resume=True))
    assert last(second).outcome == "done"
    assert [e.step for e in of(second, Resumed)] == [last(first).step]
    assert curves(first, second) == whole


def test_a_damaged_checkpoint_is_passed_over_and_said(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    whole = curves(run(CONFIG, parts(folder, tiny_model, demonstrations())))
    newest = folder / "checkpoints" / "step-6" / "tensors.safetensors"
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)
    events = run(CONFIG, parts(folder, tiny_model, demonstrations(), resume=True))
    assert [e.step for e in of(events, Resumed)] == [4]
    assert [e.code for e in of(events, Warned)] == ["checkpoint_damaged"]
    assert {k: v for k, v in whole.items() if k[0] > 4} == {k: v for k, v in curves(events).items() if k[0] > 4}


def test_two_checkpoints_are_kept_and_named_relative_to_the_run(tiny_model: Path, tmp_path: Path) -> None:
    events = run(CONFIG, parts(tmp_path / "run", tiny_model, demonstrations()))
    assert [e.path for e in of(events, Checkpointed)] == [f"checkpoints/step-{n}" for n in (2, 4, 6)]
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["step-4", "step-6"]


def test_a_loss_that_explodes_ends_the_run_with_the_last_good_step(tiny_model: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"learning_rate": 1.0, "max_grad_norm": 1e6, "max_steps": 30})
    events = run(config, parts(tmp_path / "run", tiny_model, demonstrations(), control=Infinite()))
    end = last(events)
    assert end.outcome == "failed"
    assert f"In step {end.step + 1}, " in end.message
    assert "NaN or infinite" in end.message
    backbone = Backbone.load(tiny_model, device="cpu")
    backbone.load_adapter("sft", tmp_path / "run" / "adapter")
    assert all(p.isfinite().all() for p in backbone.parameters_of("sft").values())


class Infinite(NoControl):
    """Turns the learning rate up after two steps, far beyond what a person could set."""

    def __init__(self) -> None:
        self._calls = 0

    def changes(self) -> dict[str, float]:
        self._calls += 1
        return {"learning_rate": 1e30} if self._calls == 3 else {}


def test_a_changed_learning_rate_is_used_and_said(tiny_model: Path, tmp_path: Path) -> None:
    class Raise(NoControl):
        def changes(self) -> dict[str, float]:
            return {"learning_rate": 5e-3}

    events = run(CONFIG, parts(tmp_path / "run", tiny_model, demonstrations(), control=Raise()))
    assert metric(events, "optim/learning_rate")[0] == 5e-3
    assert {e.value for e in of(events, Changed)} == {5e-3}


def test_what_is_cut_is_counted(tiny_model: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"max_prompt_tokens": 20, "max_new_tokens": 4})
    long = [d.model_copy(update={"prompt": prompt("What is milk? " * 20)}) for d in demonstrations(10)]
    events = run(config, parts(tmp_path / "run", tiny_model, demonstrations() + long))
    (warned,) = (e for e in of(events, Warned) if e.code == "cut")
    assert "prompts were longer than 20 tokens" in warned.text
    assert "answers were longer than 4 tokens" in warned.text
