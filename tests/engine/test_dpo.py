"""DPO: the loss by hand, ln 2 at the start, true labels recovered, exact resume, a planted NaN."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from rlhf_lab.core.config import DpoConfig
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Changed, Checkpointed, Event, Metrics, Resumed, Samples, Warned
from rlhf_lab.core.records import Completion, Pair
from rlhf_lab.engine import checkpoint, dpo
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.examples import Encoder
from rlhf_lab.engine.pairs import Compared, encode
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.training import Training
from tests.engine.conftest import demonstrations, pairs, perturb, prompt
from tests.engine.stage_runs import Counter, Person, StopAfterTicks, curves, last, metric, of, parts, run

CONFIG = DpoConfig(
    batch_size=6,
    micro_batch_size=4,
    max_steps=6,
    max_prompt_tokens=64,
    max_new_tokens=12,
    lora_r=4,
    lora_alpha=8,
    learning_rate=5e-3,
    eval_every=3,
    eval_size=6,
    checkpoint_every=2,
    device="cpu",
    threads=1,
)
POLICY = torch.tensor([[-10.0, -12.0], [-7.0, -3.0]])
REFERENCE = torch.tensor([[-11.0, -11.5], [-7.0, -4.0]])
LENGTHS = torch.tensor([[4.0, 8.0], [2.0, 5.0]])


def config(**changes: object) -> DpoConfig:
    return CONFIG.model_copy(update=changes)


@pytest.fixture
def given(tiny_model: Path, tmp_path: Path) -> Callable[..., Parts]:
    """``given("name", **changes)``: parts of a run on pairs in a folder of that name."""
    return lambda name="run", records=None, **changes: parts(
        tmp_path / name, tiny_model, pairs() if records is None else records, **changes
    )


def loss(wrong: float = 0.0, **changes: object) -> list[float]:
    found = dpo.preference_loss(POLICY, REFERENCE, LENGTHS, torch.full((2,), wrong), config(**changes))
    return found.tolist()


def test_the_loss_by_hand():
    # Log-ratios: chosen +1 and 0, rejected −½ and +1; so the differences are 1½ and −1.
    low, high = math.log1p(math.exp(-0.3 * 1.5)), math.log1p(math.exp(0.3))
    assert loss(beta=0.3) == pytest.approx([low, high], abs=1e-6)
    # A tie, and a label that is wrong one time in four.
    other_low, other_high = math.log1p(math.exp(0.3 * 1.5)), math.log1p(math.exp(-0.3))
    assert loss(0.5, beta=0.3) == pytest.approx([(low + other_low) / 2, (high + other_high) / 2], abs=1e-6)
    assert loss(0.25, beta=0.3) == pytest.approx([0.75 * low + 0.25 * other_low, 0.75 * high + 0.25 * other_high])


def test_ipo_by_hand():
    # Per token: chosen ¼ and 0, rejected −1/16 and 1/5; the target is 1/(2β) = 2.
    assert loss(beta=0.25, loss="ipo") == pytest.approx([(5 / 16 - 2) ** 2, (-1 / 5 - 2) ** 2])
    assert loss(0.5, beta=0.25, loss="ipo") == pytest.approx([(5 / 16) ** 2 + 4, (1 / 5) ** 2 + 4])


@pytest.mark.parametrize("width", [256, 8])
def test_log_probabilities_are_those_of_each_answer_alone(load: Callable[..., Backbone], width: int):
    """In branches behind one prompt, and as rows where attention sees a window only."""
    backbone = load()
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    perturb(backbone, "policy")
    backbone.model.config.sliding_window = width
    batch = encode(Encoder(backbone.tokenizer, 64, 12), pairs(5))
    assert backbone.can_branch(max(batch.lengths())) is (width == 256)
    with torch.no_grad():
        found = dpo.answer_logprobs(backbone, dpo.lay_out(backbone, batch, [0, 2, 4]), "policy")
        for row, i in zip(found, (0, 2, 4), strict=True):
            for side, answer in enumerate((batch.chosen[i], batch.rejected[i])):
                ids = torch.tensor([batch.prompts[i] + answer])
                table = backbone.logits(backbone.hidden(ids, torch.ones_like(ids), "policy"))[0].log_softmax(-1)
                begin = len(batch.prompts[i]) - 1
                alone = sum(table[begin + t, token].item() for t, token in enumerate(answer))
                assert row[side].item() == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize(("kind", "start"), [("sigmoid", math.log(2)), ("ipo", 25.0)])
def test_a_run_begins_where_equal_policies_are_and_learns_the_pairs(
    kind: str, start: float, given: Callable[..., Parts]
):
    def judge(asked: object, text: str) -> dict[str, float]:
        return {"gold": float(len(text))}

    events = run(config(loss=kind), given(judge=judge))
    assert last(events).outcome == "done"
    first = next(e for e in of(events, Metrics) if "dpo/loss" in e.values)
    assert first.values["dpo/loss"] == pytest.approx(start, abs=1e-3)
    assert first.values["dpo/margin"] == pytest.approx(0, abs=1e-5)
    assert first.values["dpo/reward_chosen"] == pytest.approx(0, abs=1e-5)
    looks = [e for e in of(events, Metrics) if "eval/dpo_loss" in e.values]
    assert [e.step for e in looks] == [0, 3, 6]
    assert looks[0].values["eval/dpo_loss"] == pytest.approx(start, abs=1e-3)
    assert looks[0].values["eval/kl"] == 0
    assert looks[-1].values["eval/dpo_loss"] < start
    assert looks[-1].values["eval/accuracy"] > 0.9
    assert looks[-1].values["eval/margin"] > 0
    for look, shown in zip(looks, of(events, Samples), strict=True):
        assert shown.name == "heldout"
        assert look.step == shown.step
        assert "eval/score" not in look.values
        for name, key in (("eval/gold", "gold"), ("eval/kl", "kl"), ("eval/length", "tokens")):
            numbers = [row.values[key] for row in shown.rows]
            assert look.values[name] == pytest.approx(sum(numbers) / len(numbers), abs=1e-6)
    margins = [
        e.values["dpo/reward_chosen"] - e.values["dpo/reward_rejected"] - e.values["dpo/margin"]
        for e in of(events, Metrics)
        if "dpo/margin" in e.values
    ]
    assert margins == pytest.approx([0.0] * 6, abs=1e-5)


def test_implicit_rewards_recover_the_odds_of_the_labels(
    tiny_model: Path, tmp_path: Path, load: Callable[..., Backbone]
):
    """One pair that is won three times in four: the margin ends at logit(¾)."""
    one = {
        "prompt": prompt("tea?"),
        "chosen": Completion(text="It is red."),
        "rejected": Completion(text="It is blue."),
    }
    other = one | {"chosen": one["rejected"], "rejected": one["chosen"]}
    settings = config(batch_size=4, micro_batch_size=8, max_steps=40, learning_rate=0.02, beta=0.5, checkpoint_every=0)
    run(settings, parts(tmp_path / "odds", tiny_model, [Pair(**one)] * 3 + [Pair(**other)]))
    backbone = load()
    backbone.load_adapter("policy", tmp_path / "odds" / "adapter")
    batch = encode(Encoder(backbone.tokenizer, 64, 12), [Pair(**one)])
    with torch.no_grad():
        laid = dpo.lay_out(backbone, batch, [0])
        ours, reference = (dpo.answer_logprobs(backbone, laid, role) for role in ("policy", None))
    chosen, rejected = (0.5 * (ours - reference))[0].tolist()
    assert chosen - rejected == pytest.approx(math.log(3), abs=0.02)


def test_ties_teach_nothing_at_the_start_and_weights_count(given: Callable[..., Parts]):
    tied = [pair.model_copy(update={"tie": True}) for pair in pairs()]
    events = run(config(max_steps=1), given("tied", tied))
    assert metric(events, "dpo/loss") == pytest.approx([math.log(2)], abs=1e-5)
    assert metric(events, "dpo/accuracy") == [0.5]
    assert metric(events, "optim/grad_norm")[0] == pytest.approx(0, abs=1e-4)
    one, other = pairs(2)
    shared = [one.model_copy(update={"weight": 1 / 3})] * 3
    norms = [
        metric(run(config(max_steps=1, batch_size=len(records)), given(name, records)), "optim/grad_norm")[0]
        for name, records in (("twice", [one, other]), ("shared", [*shared, other]))
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_the_micro_batch_changes_nothing(given: Callable[..., Parts]):
    found = [
        run(config(micro_batch_size=size, eval_every=0, label_smoothing=0.1), given(f"micro-{size}"))
        for size in (2, 12)
    ]
    for name in ("dpo/loss", "dpo/margin", "optim/grad_norm"):
        assert metric(found[0], name) == pytest.approx(metric(found[1], name), rel=1e-3, abs=1e-5)


def test_a_stopped_run_goes_on_to_the_very_same_curves(given: Callable[..., Parts]):
    counter = Counter()
    whole = list(dpo.train(CONFIG, given("whole", control=counter)))
    for part in (0.4, 0.7):
        name = f"broken-{part}"
        first = run(CONFIG, given(name, control=StopAfterTicks(int(part * counter.ticks))))
        assert last(first).outcome == "stopped"
        assert 0 < last(first).step < 6
        again = run(CONFIG, given(name, resume=True))
        assert next(of(again, Resumed)).step == last(first).step
        assert curves(first, again) == curves(whole)
        one, other = (given(n).folder / "adapter" / "adapter_model.safetensors" for n in ("whole", name))
        assert one.read_bytes() == other.read_bytes()


def test_a_person_changes_the_learning_rate(given: Callable[..., Parts]):
    events = run(config(max_steps=2, eval_every=0), given(control=Person({2: {"learning_rate": 1e-4}})))
    assert [(e.step, e.value) for e in of(events, Changed)] == [(1, 1e-4)]
    assert metric(events, "optim/learning_rate") == pytest.approx([5e-3, 0.5e-4])


class Poisoned(NoControl):
    """Makes a weight NaN before a step, as a broken device would."""

    def __init__(self, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left = step
        real = Backbone.add_adapter

        def keep(backbone: Backbone, name: str, **options: int) -> None:
            real(backbone, name, **options)
            self._weights = backbone.parameters_of(name)

        monkeypatch.setattr(Backbone, "add_adapter", keep)

    def changes(self) -> dict[str, float]:
        self._left -= 1
        if not self._left:
            with torch.no_grad():
                next(iter(self._weights.values())).fill_(math.nan)
        return {}


def test_nan_stops_the_run_and_names_the_loss(given: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch):
    events = run(config(checkpoint_every=1, eval_every=0), given(control=Poisoned(3, monkeypatch)))
    end = last(events)
    assert (end.outcome, end.step) == ("failed", 2)
    assert "In step 3, the loss became NaN" in end.message
    # The last good checkpoint is not written over.
    assert [e.path for e in of(events, Checkpointed)] == ["checkpoints/step-1", "checkpoints/step-2"]
    found = checkpoint.newest(given().folder / "checkpoints")
    assert found is not None
    assert all(tensor.isfinite().all() for tensor in found[1].values())
    assert all(math.isfinite(v) for e in of(events, Metrics) for v in e.values.values())


def test_a_later_run_can_start_from_what_was_learned(given: Callable[..., Parts]):
    run(config(max_steps=2), given("first"))
    events = run(config(max_steps=1), given("second", start_adapters=(given("first").folder / "adapter",)))
    assert metric(events, "dpo/loss") == pytest.approx([math.log(2)], abs=1e-5)
    assert metric(events, "eval/kl")[0] == 0


def test_data_without_pairs_is_refused_and_without_held_out_ones_named(given: Callable[..., Parts]):
    with pytest.raises(LabError, match="holds no pairs"):
        run(CONFIG, given("none", demonstrations()))
    trained_only = [pair.model_copy(update={"split": "train"}) for pair in pairs()]
    events = run(config(max_steps=1), given("train", trained_only))
    assert "no_heldout" in [e.code for e in of(events, Warned)]
    assert not list(of(events, Samples))


def test_throughput_counts_answers_alone(given: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    batches: list[Compared] = []
    learn, encoded = Training.learn, dpo.encode

    def heard(self: Training, values: dict[str, float], tokens: int) -> Iterator[Event]:
        counted.append(tokens)
        return learn(self, values, tokens)

    def kept(encoder: Encoder, records: Sequence[Pair]) -> Compared:
        batches.append(encoded(encoder, records))
        return batches[-1]

    monkeypatch.setattr(Training, "learn", heard)
    monkeypatch.setattr(dpo, "encode", kept)
    run(config(max_steps=1, eval_every=0), given(records=[pair for pair in pairs() if pair.split == "train"]))
    (batch,) = batches
    assert counted == [sum(map(len, batch.chosen)) + sum(map(len, batch.rejected))]
    assert counted[0] < sum(batch.lengths())
