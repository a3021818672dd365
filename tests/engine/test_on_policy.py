"""What the on-policy stages share: distributions, numbers of every token, early stop, the scale of the scores."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rlhf_lab.core.config import BestOfNConfig, PpoConfig
from rlhf_lab.core.events import Event, Histogram, Metrics, Resumed, Samples, Warned
from rlhf_lab.core.records import Prompt
from rlhf_lab.engine import best_of_n, checkpoint, evaluate, on_policy_run, ppo
from rlhf_lab.engine.histograms import histogram
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.scoring import Episodes
from tests.engine.conftest import ON_POLICY, SPECIAL, make_tokenizer, save_model, tiny_llama
from tests.engine.stage_runs import Counter, StopAfterTicks, curves, last, metric, of, run


def config(**changes: object) -> PpoConfig:
    return PpoConfig(**(ON_POLICY | {"value_learning_rate": 3e-3} | changes))


def without_special(text: str) -> str:
    """As a person reads it: a random model says special tokens too."""
    for token in SPECIAL:
        text = text.replace(token, "")
    return text.strip()


def test_each_update_draws_its_distributions_and_shows_tokens_one_by_one(given: Callable[..., Parts]):
    events = run(config(updates=2), given())
    names = {"rollout/scores": 8, "rollout/lengths": 8, "rollout/kl": 8, "rollout/advantages": 8}
    found = [(e.step, e.name) for e in of(events, Histogram)]
    assert found == [(step, name) for step in (1, 2) for name in names]
    lengths = metric(events, "val/response_length")
    for event in of(events, Histogram):
        assert len(event.edges) == len(event.counts) + 1 <= 41
        assert sum(event.counts) == names[event.name] * (lengths[event.step - 1] if "advantages" in event.name else 1)
    for samples in of(events, Samples):
        measured = {"kl"} | ({"advantage", "value", "reward"} if samples.name == "rollout" else set())
        for row in samples.rows:
            assert set(row.per_token) == measured
            assert {len(row.pieces), *map(len, row.per_token.values())} == {int(row.values["tokens"])}
            assert without_special("".join(row.pieces)) == row.completion
            assert sum(row.per_token["kl"]) == pytest.approx(row.values["kl"], abs=1e-2)
    # β·KL is 0 in the first update: what is paid is the score, at the last token.
    row = next(e for e in of(events, Samples) if e.name == "rollout").rows[0]
    assert set(row.per_token["reward"][:-1]) <= {0.0}
    assert row.per_token["reward"][-1] == pytest.approx(row.values["score"], rel=1e-3)


def test_only_so_many_rows_are_shown_token_by_token(given: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evaluate, "DETAILED", 2)
    rows = next(e for e in of(run(config(updates=1), given()), Samples) if e.name == "heldout").rows
    assert [bool(row.pieces) for row in rows] == [True, True] + [False] * 4
    assert [bool(row.per_token) for row in rows] == [True, True] + [False] * 4


def test_an_update_ends_early_once_the_policy_is_far_enough(given: Callable[..., Parts]):
    settings = {"updates": 1, "eval_every": 0, "epochs": 4, "minibatches": 1, "learning_rate": 0.05}
    free = run(config(**settings), given("free"))
    # Less than rounding: the first step is taken all the same, for nothing has moved before it.
    held = run(config(**settings, early_stop_kl=1e-30), given("held"))
    once = run(config(**settings | {"epochs": 1}), given("once"))
    assert (metric(free, "policy/steps"), metric(held, "policy/steps")) == ([4.0], [1.0])
    # The second look saw that the first step went too far; it is not learned from.
    assert metric(held, "policy/approxkl_avg")[0] > 1e-6
    one, other = (given(name).folder / "adapter" / "adapter_model.safetensors" for name in ("held", "once"))
    assert one.read_bytes() == other.read_bytes()
    assert last(held).outcome == last(once).outcome == "done"


def test_the_first_answers_are_told_before_the_look_and_change_nothing(
    given: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch
):
    def length(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
        return torch.tensor([float(len(ids)) for ids in episodes.asked.ids])

    def judge(asked: Prompt, text: str) -> dict[str, float]:
        return {"gold": float(asked.tags["number"])}

    settings = config(updates=2, value_warm_start=False)
    plain = list(ppo.train(settings, given("plain", judge=judge), [length]))
    assert not of_first(plain), "a look at so few is told as soon"
    monkeypatch.setattr(on_policy_run, "FIRST_ANSWERS", 1)
    events = list(ppo.train(settings, given("first", judge=judge), [length]))
    told = of_first(events)
    [first] = [e for e in of(events, Metrics) if "first/answers" in e.values]
    [look] = [e for e in of(events, Metrics) if e.step == 0 and "eval/score" in e.values]
    assert events.index(first) < events.index(look)
    row = next(of(events, Samples)).rows[0].values
    assert told == {(0, "first/answers"): 1, (0, "first/score"): row["score"], (0, "first/gold"): row["gold"]}
    assert {key: value for key, value in curves(events).items() if key not in told} == curves(plain)
    assert [e.rows for e in of(events, Samples)] == [e.rows for e in of(plain, Samples)]
    one, other = (given(name).folder / "adapter" / "adapter_model.safetensors" for name in ("plain", "first"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("before", [True, False])
def test_a_stop_in_the_first_look_tells_the_first_answers_once(
    before: bool, given: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(on_policy_run, "FIRST_ANSWERS", 1)
    settings = config(updates=2)
    counter = Counter()
    whole: list[Event] = []
    ticks = 0
    for event in ppo.train(settings, given("whole", control=counter)):
        whole.append(event)
        ticks = ticks or counter.ticks * (isinstance(event, Metrics) and "first/answers" in event.values)
    stopped = run(settings, given("stopped", control=StopAfterTicks(ticks - 1 if before else ticks + 1)))
    assert (last(stopped).outcome, last(stopped).step) == ("stopped", 0)
    assert bool(of_first(stopped)) is not before
    again = run(settings, given("stopped", resume=True))
    assert bool(of_first(again)) is before
    assert curves(stopped, again) == curves(whole)


def test_a_save_of_before_there_were_first_answers_goes_on(given: Callable[..., Parts]):
    settings = config(updates=2, checkpoint_every=1)
    whole = run(settings, given("whole"))
    run(settings.model_copy(update={"updates": 1}), given("older"))
    folder = given("older").folder / "checkpoints"
    step, tensors, state = checkpoint.newest(folder) or (0, {}, {})
    del state["spoken"]
    checkpoint.save(folder, step, tensors, state)
    again = run(settings, given("older", resume=True))
    assert next(of(again, Resumed)).step == 1
    assert last(again).outcome == "done"
    assert {key: value for key, value in curves(again).items() if key[0] == 2} == {
        key: value for key, value in curves(whole).items() if key[0] == 2
    }


def of_first(events: list[Event]) -> dict[tuple[int, str], float]:
    """What was told of the first answers."""
    return {key: value for key, value in curves(events).items() if key[1].startswith("first/")}


@pytest.mark.parametrize("how", ["batch", "running"])
def test_normalised_rewards_do_not_depend_on_the_scale_of_the_score(how: str, given: Callable[..., Parts]):
    """Ten times the score plus three: the same advantages, and so the same run; resumed in mid-run too."""

    def plain(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
        return torch.tensor([float(sum(answer) % 17) for answer in episodes.answer_ids])

    def scaled(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
        return 10 * plain(episodes, tick) + 3

    settings = config(normalise_rewards=how, value_warm_start=False, updates=3)
    one = list(ppo.train(settings, given("plain"), [plain]))
    other = list(ppo.train(settings, given("scaled"), [scaled]))
    assert metric(other, "objective/scores")[0] == pytest.approx(10 * metric(one, "objective/scores")[0] + 3)
    for name in ("objective/rlhf_reward", "loss/value_avg", "objective/kl"):
        assert metric(other, name) == pytest.approx(metric(one, name), abs=2e-4)
    first = list(ppo.train(settings.model_copy(update={"updates": 2}), given("cut"), [plain]))
    again = list(ppo.train(settings, given("cut", resume=True), [plain]))
    assert curves(first, again) == curves(one)


def test_each_of_several_sources_has_a_curve_of_what_it_adds(given: Callable[..., Parts]):
    settings = config(updates=2, eval_every=0, value_warm_start=False, reward_model=None, length_target=4)
    built_in = {"length_weight": 0.5, "regex": "a", "regex_weight": 2.0}
    both = list(ppo.train(settings.model_copy(update=built_in), replace(given("both"), reward_adapter=None)))
    added = [metric(both, f"objective/scores_{name}") for name in ("length", "regex")]
    assert [sum(parts) for parts in zip(*added, strict=True)] == pytest.approx(metric(both, "objective/scores"))
    assert added[0] != added[1]

    alone = list(
        ppo.train(settings.model_copy(update={"length_weight": 0.5}), replace(given("alone"), reward_adapter=None))
    )
    assert metric(alone, "objective/scores_length") == []
    assert last(alone).outcome == "done"


def test_a_model_without_a_chat_template_is_named(tiny_model: Path, tmp_path: Path, given: Callable[..., Parts]):
    tokenizer = make_tokenizer(template=False)
    plain = save_model(tmp_path / "plain", tiny_llama(len(tokenizer)), tokenizer)

    def same(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
        return torch.ones(len(episodes))

    best = BestOfNConfig(**{k: v for k, v in ON_POLICY.items() if k in BestOfNConfig.model_fields}, samples=2)
    for stage, settings in ((ppo, config(updates=1)), (best_of_n, best)):
        found = list(stage.train(settings, replace(given(stage.__name__), model=plain), [same]))
        assert [e.code for e in of(found, Warned)] == ["no_chat_template"]
        assert last(found).outcome == "done"


def test_a_histogram_holds_every_value():
    found = histogram(3, "x", torch.tensor([1.0, 2.0, 2.0, 5.0]))
    assert (found.edges[0], found.edges[-1], sum(found.counts)) == (1.0, 5.0, 4)
    assert found.counts[0] == found.counts[-1] == 1
    same = histogram(3, "x", torch.full((7,), 1e6))
    assert same.edges[0] < 1e6 < same.edges[-1]
    assert sum(same.counts) == 7
