"""The PPO stage as a run drives it: resume, stop, live changes, what is written."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import (
    Changed,
    Checkpointed,
    Event,
    Metrics,
    Progress,
    Resumed,
    Samples,
    Started,
    Warned,
)
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.core.records import Prompt, PromptOnly
from rlhf_lab.engine import ppo
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.chat import encode_prompt
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.scoring import Episodes
from tests.engine.conftest import ON_POLICY, WORDS, make_tokenizer, perturb, prompt, questions, save_model, tiny_llama
from tests.engine.stage_runs import Counter, Person, StopAfterTicks, curves, last, metric, of, polled_at


def config(**changes: object) -> PpoConfig:
    return PpoConfig(**(ON_POLICY | {"value_learning_rate": 3e-3} | changes))


def run(settings: PpoConfig, with_parts: Parts) -> list[Event]:
    return list(ppo.train(settings, with_parts))


def test_a_run_says_what_it_should(given: Callable[..., Parts]):
    def judge(asked: Prompt, text: str) -> dict[str, float]:
        number = asked.tags["number"]
        return {"gold": float(len(text)), **({"odd": 1.0} if number % 2 else {})}

    events = run(config(adaptive_kl=True), given(judge=judge))
    assert [e.kind for e in events[:3]] == ["phase", "started", "progress"]
    assert last(events).outcome == "done"
    assert [(e.done, e.total) for e in of(events, Progress)] == [(i, 4) for i in range(5)]
    steps = [e for e in of(events, Metrics) if "objective/kl" in e.values]
    assert [e.step for e in steps] == [1, 2, 3, 4]
    wanted = {name for name in METRICS if name.startswith(("objective/", "policy/", "val/", "loss/", "time/"))}
    wanted |= {"episodes", "optim/grad_norm", "optim/grad_norm_value", "optim/learning_rate"}
    wanted |= {"perf/tokens_per_second", "perf/memory"}
    wanted -= {"loss/kl_avg"}  # RLOO's
    wanted -= {name for name in METRICS if name.startswith("objective/scores_")} - {"objective/scores_sd"}  # of several
    for event in steps:
        assert set(event.values) == wanted
        assert all(math.isfinite(value) for value in event.values.values())
    assert metric(events, "episodes") == [8, 16, 24, 32]
    # The first update, before anything was learned.
    assert steps[0].values["objective/kl"] == 0
    assert steps[0].values["policy/ratio_first_dev"] < 1e-5
    # Adaptive β falls while KL is under its target.
    assert metric(events, "objective/kl_coef") == sorted(metric(events, "objective/kl_coef"), reverse=True)

    looks = [e for e in of(events, Metrics) if "eval/score" in e.values]
    assert [e.step for e in looks] == [0, 2, 4]
    assert looks[0].values["eval/kl"] == 0
    drawn = [e for e in of(events, Samples) if e.name == "rollout"]
    assert [e.step for e in drawn] == [1, 2, 3, 4]
    for samples in drawn:
        scores = [row.values["score"] for row in samples.rows]
        assert scores == sorted(scores, reverse=True)
    assert all(row.values["kl"] == 0 for row in drawn[0].rows)
    shown = [e for e in of(events, Samples) if e.name == "heldout"]
    assert [e.step for e in shown] == [0, 2, 4]
    for look, samples in zip(looks, shown, strict=True):
        assert len(samples.rows) == 6
        assert [r.tags["number"] for r in samples.rows] == [4, 9, 14, 19, 24, 29]
        for name, key in (("eval/score", "score"), ("eval/kl", "kl"), ("eval/length", "tokens"), ("eval/gold", "gold")):
            numbers = [row.values[key] for row in samples.rows]
            assert look.values[name] == pytest.approx(sum(numbers) / 6, abs=1e-6)
        assert look.values["eval/odd"] == 1.0
        assert [("odd" in r.values) for r in samples.rows] == [False, True, False, True, False, True]


def test_score_is_the_reward_adapters_on_its_stored_scale(
    given: Callable[..., Parts], load: Callable[..., Backbone], reward_run: Path
):
    found = given()
    events = run(config(updates=1), found)
    backbone = load()
    backbone.load_adapter("reward", reward_run, head=True)
    row = next(of(events, Samples)).rows[0]
    asked, _ = encode_prompt(backbone.tokenizer, questions()[4].prompt, 48)
    assert row.values["tokens"] == 10, "cut, so its text has all its tokens"
    answer = backbone.tokenizer.encode(row.completion, add_special_tokens=False)
    ids, mask = pad([asked + answer], backbone.pad_id)
    raw = backbone.head("reward", backbone.hidden(ids, mask, "reward"))[0, -1].item()
    if len(answer) == 10:
        assert row.values["score"] == pytest.approx((raw - 0.4) / 2.5, abs=1e-4)


def test_stopped_in_mid_update_and_resumed_is_uninterrupted(given: Callable[..., Parts]):
    settings = config(warmup_steps=2, adaptive_kl=True, checkpoint_every=3, eval_every=2)
    counter = Counter()
    whole, polls = polled_at(ppo.train(settings, given("whole", control=counter)), counter)
    # Two optimiser steps into update 2; while looking after update 2; while sampling in update 4.
    stops = {2: polls[2, "learning"] + 3, 3: polls[2, "evaluating"] + 2, 4: polls[4, "sampling"] + 5}
    assert polls[2, "learning"] + 4 == polls[2, "evaluating"]
    for kept, (update, ticks) in zip((1, 2, 3), stops.items(), strict=True):
        name = f"broken-{update}"
        first = run(settings, given(name, control=StopAfterTicks(ticks)))
        assert (last(first).outcome, last(first).step) == ("stopped", kept)
        assert list(of(first, Checkpointed))[-1].path == f"checkpoints/step-{kept}"
        assert (given(name).folder / "adapter" / "adapter_model.safetensors").exists()
        again = run(settings, given(name, resume=True))
        assert next(of(again, Resumed)).step == kept
        assert not list(of(again, Started))
        assert last(again).outcome == "done"
        assert curves(first, again) == curves(whole)
        one, other = (given(n).folder / "adapter" / "adapter_model.safetensors" for n in ("whole", name))
        assert one.read_bytes() == other.read_bytes()


def test_a_stop_saves_the_policy_of_the_last_whole_update(given: Callable[..., Parts], load: Callable[..., Backbone]):
    settings = config(eval_every=0)
    counter = Counter()
    _, polls = polled_at(ppo.train(settings, given("whole", control=counter)), counter)
    run(config(eval_every=0, updates=1), given("one"))
    run(settings, given("stopped", control=StopAfterTicks(polls[2, "learning"] + 3)))
    one, stopped = (given(n).folder / "adapter" / "adapter_model.safetensors" for n in ("one", "stopped"))
    assert one.read_bytes() == stopped.read_bytes()


def test_a_person_changes_beta_and_the_learning_rate(given: Callable[..., Parts]):
    person = Person({2: {"kl_coef": 0.7}, 4: {"learning_rate": 1e-5, "kl_coef": 0.0}})
    events = run(config(kl_coef=0.05), given(control=person))
    assert metric(events, "objective/kl_coef") == [0.05, 0.7, 0.7, 0.0]
    assert metric(events, "optim/learning_rate") == [3e-3, 3e-3, 3e-3, 1e-5]
    said = [(e.step, e.field, e.value) for e in of(events, Changed)]
    assert said == [(1, "kl_coef", 0.7), (3, "learning_rate", 1e-5), (3, "kl_coef", 0.0)]


def test_the_policy_warms_up_and_the_critic_learns_at_once(
    given: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch
):
    used = []
    real = Trainable.step
    monkeypatch.setattr(Trainable, "step", lambda self: used.append(dict(self.learning_rates)) or real(self))
    settings = config(warmup_steps=2, eval_every=0, epochs=1, minibatches=1, value_learning_rate=0.01)
    events = run(settings, given())
    assert metric(events, "optim/learning_rate") == pytest.approx([1e-3, 2e-3, 3e-3, 3e-3])
    assert used == [{"policy": rate, "value": 0.01} for rate in metric(events, "optim/learning_rate")]


def test_a_change_outlives_a_resume(given: Callable[..., Parts]):
    run(config(updates=2), given(control=Person({2: {"kl_coef": 0.7, "learning_rate": 1e-4}})))
    events = run(config(updates=3), given(resume=True))
    assert metric(events, "objective/kl_coef") == [0.7]
    assert metric(events, "optim/learning_rate") == [1e-4]


class ChangesAndStops(StopAfterTicks):
    """Changes β in an update that is then given up."""

    stopped = False

    def tick(self) -> None:
        try:
            super().tick()
        except StopRequested:
            self.stopped = True
            raise

    def changes(self) -> dict[str, float]:
        return {"kl_coef": 0.7} if self.stopped else {}


def test_a_change_in_an_update_that_is_given_up_outlives_the_stop(given: Callable[..., Parts]):
    settings = config(updates=2, eval_every=0)
    counter = Counter()
    _, polls = polled_at(ppo.train(settings, given("whole", control=counter)), counter)
    first = run(settings, given("stopped", control=ChangesAndStops(polls[2, "learning"] + 1)))
    assert last(first).outcome == "stopped"
    assert [(e.step, e.value) for e in of(first, Changed)] == [(1, 0.7)]
    again = run(settings, given("stopped", resume=True))
    assert metric(again, "objective/kl_coef") == [0.7]


def test_a_finished_run_that_is_resumed_says_so_and_does_nothing_twice(given: Callable[..., Parts]):
    run(config(), given())
    events = run(config(), given(resume=True))
    assert [e.kind for e in events] == ["phase", "resumed", "progress", "finished"]
    assert last(events).outcome == "done"


def test_nan_stops_the_run_names_the_term_and_keeps_the_last_good_update(given: Callable[..., Parts]):
    run(config(updates=2, eval_every=0, checkpoint_every=0), given("good"))
    calls = []

    def breaks(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
        calls.append(len(episodes))
        bad = len(calls) == 4  # a look, two good updates, then this one
        return torch.tensor([float("nan") if bad else float(len(a)) for a in episodes.answer_ids])

    events = list(ppo.train(config(eval_every=0, checkpoint_every=0), given("bad"), [breaks]))
    end = last(events)
    assert (end.outcome, end.step) == ("failed", 2)
    assert "update 3" in end.message
    assert "scores" in end.message
    assert list(of(events, Checkpointed))[-1].path == "checkpoints/step-2"
    assert all(math.isfinite(v) for e in of(events, Metrics) for v in e.values.values())


def test_a_score_that_is_no_number_from_the_start_is_laid_to_what_scores(given: Callable[..., Parts]):
    nan = [lambda episodes, tick: torch.full((len(episodes),), math.nan)]
    end = last(list(ppo.train(config(eval_every=0), given("bad"), nan)))
    assert (end.outcome, end.step) == ("failed", 0)
    assert "what scores the answers" in end.message
    assert "learning rate" not in end.message


def test_an_exploding_learning_rate_ends_in_words(given: Callable[..., Parts]):
    person = Person({2: {"learning_rate": 100.0}})
    events = run(config(updates=8, max_grad_norm=1e6, eval_every=0), given(control=person))
    assert last(events).outcome in ("failed", "done")
    assert all(math.isfinite(v) for e in of(events, Metrics) for v in e.values.values())


@pytest.mark.parametrize("warm", [True, False])
def test_the_critic_begins_as_the_reward_model_or_at_zero(
    warm: bool, given: Callable[..., Parts], load: Callable[..., Backbone]
):
    backbone = load()
    settings = config(value_warm_start=warm, reward_model_weight=0.5)
    found = given()
    ppo.add_critic(backbone, settings, found)
    assert found.reward_adapter is not None
    backbone.load_adapter("reward", found.reward_adapter, head=True)
    ids, mask = pad([[5, 20, 33, 41, 1]], backbone.pad_id)
    value = backbone.head("value", backbone.hidden(ids, mask, "value"))
    raw = backbone.head("reward", backbone.hidden(ids, mask, "reward"))
    torch.testing.assert_close(value, 0.5 * (raw - 0.4) / 2.5 if warm else torch.zeros_like(raw))
    assert all(p.requires_grad for p in backbone.parameters_of("value").values())
    assert not any(p.requires_grad for p in backbone.parameters_of("reward").values())


def test_a_reward_model_on_other_weights_scores_from_a_base_of_its_own(
    given: Callable[..., Parts], load: Callable[..., Backbone], tiny_model: Path, tmp_path: Path
):
    """The policy starts from an SFT adapter, the reward model was trained on the bare base."""
    maker = load()
    maker.add_adapter("sft", r=2, alpha=4, seed=1)
    perturb(maker, "sft", 1)
    maker.save_adapter("sft", tmp_path / "sft", {"stage": "sft"})
    found = given(start_adapters=(tmp_path / "sft",), reward_model=tiny_model)
    events = run(config(updates=1), found)
    assert last(events).outcome == "done"
    assert next(of(events, Metrics)).values["eval/kl"] == 0
    with pytest.raises(LabError, match="other weights"):
        run(config(), given("no-base", start_adapters=(tmp_path / "sft",)))


def test_a_reward_model_with_another_tokenizer_is_refused(given: Callable[..., Parts], tmp_path: Path):
    tokenizer = make_tokenizer(size=290)
    other = save_model(tmp_path / "other", tiny_llama(len(tokenizer)), tokenizer)
    backbone = Backbone.load(other, device="cpu")
    backbone.add_adapter("reward", r=2, alpha=4, seed=0, head=True)
    backbone.save_adapter("reward", tmp_path / "foreign", {"stage": "reward"})
    with pytest.raises(LabError, match="another tokenizer"):
        run(config(), given(reward_adapter=tmp_path / "foreign", reward_model=other))


def test_what_cannot_work_is_refused_in_words(given: Callable[..., Parts]):
    with pytest.raises(LabError, match="needs something that scores"):
        run(config(), given(reward_adapter=None))
    heldout_only = [r.model_copy(update={"split": "heldout"}) for r in questions()]
    with pytest.raises(LabError, match="no prompts to train on"):
        run(config(), Parts(**{**vars(given()), "records": heldout_only}))


def test_without_held_out_prompts_it_says_that_nothing_is_evaluated(given: Callable[..., Parts]):
    trained_only = [r.model_copy(update={"split": "train"}) for r in questions(6)]
    events = run(config(updates=1), Parts(**{**vars(given()), "records": trained_only}))
    assert [e.code for e in of(events, Warned)] == ["no_heldout"]
    assert [e.name for e in of(events, Samples)] == ["rollout"]
    assert last(events).outcome == "done"


def test_shortened_prompts_are_said_once(given: Callable[..., Parts]):
    long = [PromptOnly(prompt=prompt("What is red? " * 20 + word)) for word in WORDS]
    events = run(config(eval_every=0, updates=3), Parts(**{**vars(given()), "records": long}))
    assert [e.code for e in of(events, Warned)] == ["no_heldout", "cut"]
