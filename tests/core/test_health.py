"""The table of symptoms: each rule speaks on its symptom at the step it should, and not before, beside or without it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_lab.core.config import STAGES, RunConfig
from rlhf_lab.core.events import Event, Health, Metrics, SampleRow, Samples
from rlhf_lab.core.health import RULES, Rule, Watch, standing
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.core.naming import Stage

BY_CODE = {rule.code: rule for rule in RULES}
STEPS = 160
Value = Callable[[int], float | None]
"""A curve: its value at a step, or None where there is none."""

HEALTHY: dict[Stage, dict[str, Value]] = {
    "sft": {
        "train/loss": lambda n: 0.3 + 1 / n if n else None,
        "optim/grad_norm": lambda n: 0.3 if n else None,
        "eval/loss": lambda n: 0.3 + 1 / (n + 1) if n % 20 == 0 else None,
    },
    "reward": {
        "reward/loss": lambda n: 0.5 + 0.4 / n if n else None,
        "reward/accuracy": lambda n: 0.75 if n else None,
        "reward/margin": lambda n: 0.01 * n if n else None,
        "optim/grad_norm": lambda n: 2.0 if n else None,
        "eval/accuracy": lambda n: 0.5 + 0.2 * n / STEPS if n % 40 == 0 else None,
        "eval/train_accuracy": lambda n: 0.5 + 0.25 * n / STEPS if n % 40 == 0 else None,
        "eval/pairs": lambda n: 512.0 if n % 40 == 0 else None,
        "eval/reward_loss": lambda n: 0.7 - 0.1 * n / STEPS if n % 40 == 0 else None,
    },
    "ppo": {
        "objective/kl": lambda n: 0.03 * (n - 1) if n else None,
        "objective/kl_k3": lambda n: 0.03 * (n - 1) if n else None,
        "objective/scores": lambda n: 0.01 * n if n else None,
        "objective/scores_sd": lambda n: 1.0 if n else None,
        "objective/entropy": lambda n: 0.4 - 0.001 * n if n else None,
        "policy/ratio_first_dev": lambda n: 1e-6 if n else None,
        "policy/sampling_z": lambda n: (-1.0) ** n if n else None,
        "policy/clipfrac_avg": lambda n: 0.02 if n else None,
        "policy/approxkl_avg": lambda n: 0.003 if n else None,
        "val/explained_variance": lambda n: -1.0 + 0.1 * n if n else None,
        "val/eos_rate": lambda n: 0.99 if n else None,
        "val/length_score_corr": lambda n: 0.2 if n else None,
        "val/response_length": lambda n: 30.0 if n else None,
        "val/repetition": lambda n: 0.01 if n else None,
        "optim/grad_norm": lambda n: 0.2 if n else None,
        "eval/kl": lambda n: 0.03 * n if n % 10 == 0 else None,
    },
    "dpo": {
        "dpo/loss": lambda n: 0.6931 - 0.001 * (n - 1) if n else None,
        "dpo/margin": lambda n: 0.01 * (n - 1) if n else None,
        "optim/grad_norm": lambda n: 0.5 if n else None,
        "eval/accuracy": lambda n: 0.5 + 0.2 * n / STEPS if n % 40 == 0 else None,
        "eval/pairs": lambda n: 200.0 if n % 40 == 0 else None,
        "eval/kl": lambda n: 0.01 * n if n % 40 == 0 else None,
    },
}
HEALTHY["rloo"] = {name: curve for name, curve in HEALTHY["ppo"].items() if name != "val/explained_variance"}


def rising(gain: float) -> Callable[[int], list[float]]:
    """Scores of twelve prompts that rise by ``gain`` a step, each a little differently."""
    return lambda step: [i % 3 + gain * step * (1 + 0.1 * (i % 4)) for i in range(12)]


UP = rising(0.01)


def config_of(stage: Stage, **changes: object) -> RunConfig:
    fields: dict[str, object] = {"max_steps": STEPS} if stage in ("sft", "reward", "dpo") else {"updates": STEPS}
    return STAGES[stage].model_validate(fields | changes)


def story(
    stage: Stage,
    changed: dict[str, Value],
    gold: Callable[[int], list[float]] = UP,
    score: Callable[[int], list[float]] = UP,
) -> Iterator[Event]:
    """A run of the stage with some of its curves changed; held-out prompts are looked at every ten steps."""
    curves = HEALTHY[stage] | changed
    for step in range(STEPS + 1):
        values = {name: value for name, curve in curves.items() if (value := curve(step)) is not None}
        if values:
            yield Metrics(step=step, values=values)
        if stage in ("ppo", "rloo", "dpo") and step % 10 == 0:
            numbers = zip(gold(step), score(step), strict=True)
            rows = (SampleRow(prompt="?", completion="!", values={"gold": g, "score": s}) for g, s in numbers)
            yield Samples(step=step, name="heldout", rows=tuple(rows))


def verdicts(config: RunConfig, events: Iterator[Event], rules: Sequence[Rule] = RULES) -> list[Health]:
    watch = Watch(config, rules)
    return [verdict for event in events for verdict in watch.take(event)]


@dataclass(frozen=True)
class Case:
    """Curves with a symptom, and the step at which its verdict is due; in ``near`` it is just not there."""

    stage: Stage
    step: int
    sick: dict[str, Value]
    near: dict[str, Value]
    gold: Callable[[int], list[float]] = UP
    score: Callable[[int], list[float]] = UP


def at(value: float, first: int = 1, every: int = 1) -> Value:
    """Constant, from a step on, where the metric is said."""
    return lambda n: value if n >= first and n % every == 0 else None


def once(value: float, step: int, usual: float) -> Value:
    return lambda n: (value if n == step else usual) if n else None


def after(step: int, value: float, usual: float) -> Value:
    return lambda n: (value if n >= step else usual) if n else None


def kl(curve: Callable[[int], float]) -> dict[str, Value]:
    def said(step: int) -> float | None:
        return curve(step) if step else None

    return {"objective/kl": said, "objective/kl_k3": said}


CASES: dict[str, Case] = {
    "not_finite": Case(
        "ppo", 7, {"loss/policy_avg": once(float("nan"), 7, 0.1)}, {"val/x": once(float("nan"), 7, 0.1)}
    ),
    "first_kl": Case("ppo", 1, kl(lambda n: 2e-3), kl(lambda n: 9e-4 if n == 1 else 0.03 * n)),
    "first_eval_kl": Case(
        "dpo", 0, {"eval/kl": at(2e-3, 0, 40)}, {"eval/kl": lambda n: 9e-4 + n if n % 40 == 0 else None}
    ),
    "first_ratio": Case(
        "rloo", 4, {"policy/ratio_first_dev": after(4, 2e-4, 0.0)}, {"policy/ratio_first_dev": at(9e-5)}
    ),
    "first_loss": Case("dpo", 1, {"dpo/loss": at(0.6951)}, {"dpo/loss": at(0.6939)}),
    "sampler": Case("ppo", 5, {"policy/sampling_z": at(-2.8)}, {"policy/sampling_z": at(-1.85)}),
    "kl_negative": Case("ppo", 6, kl(lambda n: -1.1 if n >= 5 else 0.0), kl(lambda n: -0.9 if n >= 5 else 0.0)),
    "no_gradient": Case("sft", 5, {"optim/grad_norm": at(0.0)}, {"optim/grad_norm": at(1e-9)}),
    "kl_high": Case("ppo", 6, kl(lambda n: 26.0 if n >= 5 else n - 1.0), kl(lambda n: 24.9 if n >= 5 else n - 1.0)),
    "kl_doubling": Case(
        "ppo", 52, kl(lambda n: 0.1 * (n - 1) if n < 50 else 12.0), kl(lambda n: 0.1 * (n - 1) if n < 50 else 7.6)
    ),
    "no_learning": Case(
        "rloo",
        12,
        kl(lambda n: 1e-5) | {"policy/clipfrac_avg": at(0.0), "objective/scores": at(1.0)},
        kl(lambda n: 1e-5)
        | {"policy/clipfrac_avg": at(0.0), "objective/scores": lambda n: 0.2 * min(n, 15) if n else None},
    ),
    "gradient_jump": Case("sft", 40, {"optim/grad_norm": once(4.0, 40, 0.3)}, {"optim/grad_norm": once(0.9, 40, 0.05)}),
    "clipping": Case("ppo", 8, {"policy/clipfrac_avg": after(7, 0.31, 0.0)}, {"policy/clipfrac_avg": at(0.29)}),
    "large_steps": Case(
        "ppo", 8, {"policy/approxkl_avg": after(7, 0.06, 0.0)}, {"policy/approxkl_avg": once(9, 7, 0.0)}
    ),
    "entropy_low": Case(
        "ppo", 11, {"objective/entropy": after(8, 0.1, 0.4)}, {"objective/entropy": after(8, 0.14, 0.4)}
    ),
    "incoherent": Case(
        "ppo",
        64,
        kl(lambda n: 0.1 * (n - 1)) | {"objective/entropy": lambda n: 0.4 * (1 + max(0, n - 40) / 70) if n else None},
        kl(lambda n: min(0.1 * (n - 1), 4.9)) | {"objective/entropy": lambda n: 0.4 * (1 + n / 60) if n else None},
    ),
    "critic": Case("ppo", 22, {"val/explained_variance": at(-0.1)}, {"val/explained_variance": after(20, 0.01, -3.0)}),
    "rambling": Case("ppo", 6, {"val/eos_rate": after(4, 0.79, 0.95)}, {"val/eos_rate": at(0.81)}),
    "length_reward": Case("ppo", 5, {"val/length_score_corr": at(0.6)}, {"val/length_score_corr": at(0.49)}),
    "length_changed": Case(
        "ppo",
        17,
        {"val/response_length": after(15, 60.0, 30.0)},
        {"val/response_length": after(15, 38.0, 30.0)},
        gold=rising(0.0),
    ),
    "over_optimised": Case("ppo", 60, {}, {}, gold=lambda step: UP(step if step <= 50 else 100 - step)),
    "gold_lags": Case("ppo", 60, {}, {}, gold=lambda step: UP(step if step <= 40 else 40 + 0.3 * (step - 40))),
    "heldout_falls": Case("rloo", 60, {}, {}, gold=UP, score=lambda step: UP(step if step <= 50 else 100 - step)),
    "repetition": Case("ppo", 12, {"val/repetition": after(10, 0.11, 0.0)}, {"val/repetition": at(0.09)}),
    "no_spread": Case(
        "rloo", 7, {"objective/scores_sd": after(5, 0.04, 1.0)}, {"objective/scores_sd": after(5, 0.06, 1.0)}
    ),
    "dead_head": Case("reward", 5, {"reward/margin": at(1e-7)}, {"reward/margin": at(1e-5)}),
    "reward_stuck": Case(
        "reward", 104, {"reward/loss": at(0.693), "eval/accuracy": at(0.5, 0, 40)}, {"reward/loss": at(0.68)}
    ),
    "dpo_stuck": Case("dpo", 104, {"dpo/margin": at(0.001)}, {"dpo/margin": at(0.011)}),
    "reversed": Case(
        "reward",
        40,
        {"eval/accuracy": at(0.42, 0, 40)},
        {"eval/accuracy": lambda n: 0.45 + n / 500 if n % 40 == 0 else None},
    ),
    "weak_labels": Case(
        "reward",
        120,
        {"eval/accuracy": at(0.59, 0, 40)},
        {"eval/accuracy": lambda n: (0.61 if n >= 120 else 0.51) if n % 40 == 0 else None},
    ),
    "overfitted": Case(
        "reward",
        120,
        {"eval/train_accuracy": lambda n: 0.5 + 0.5 * n / STEPS if n % 40 == 0 else None},
        {"eval/train_accuracy": lambda n: 0.5 + 0.29 * n / STEPS if n % 40 == 0 else None},
    ),
    "sft_overfitted": Case(
        "sft",
        60,
        {"eval/loss": lambda n: {0: 1.0, 20: 0.5, 40: 0.52}.get(n, 0.6) if n % 20 == 0 else None},
        {"eval/loss": lambda n: {0: 1.0, 20: 0.5}.get(n, 0.52) if n % 20 == 0 else None},
    ),
    "reward_overfitted": Case(
        "reward",
        120,
        {"eval/reward_loss": lambda n: {0: 0.7, 40: 0.6}.get(n, 0.5 + n / 600) if n % 40 == 0 else None},
        {"eval/reward_loss": lambda n: 0.6 if n % 40 == 0 else None},
    ),
    "sft_diverges": Case("sft", 12, {"train/loss": after(4, 2.5, 1.0)}, {"train/loss": after(4, 1.15, 1.0)}),
    "reward_diverges": Case("reward", 12, {"reward/loss": after(4, 3.0, 0.7)}, {"reward/loss": at(1.0)}),
    "dpo_diverges": Case("dpo", 12, {"dpo/loss": after(4, 2.0, 0.6931)}, {"dpo/loss": at(0.6931)}),
}


def test_every_rule_has_a_case_and_a_name_of_its_own() -> None:
    assert len(BY_CODE) == len(RULES)
    assert set(CASES) == set(BY_CODE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_can_be_read(rule: Rule) -> None:
    assert len(rule.title) <= 32
    for sentence in (rule.reason, rule.cause, rule.advice):
        assert sentence.endswith(".")
    assert 1 <= rule.often[0] <= rule.often[1]
    unknown = [name for name in rule.metrics if name not in METRICS]
    assert not unknown


@pytest.mark.parametrize("code", CASES)
def test_the_symptom_brings_its_verdict_at_the_step_it_should(code: str) -> None:
    case, rule = CASES[code], BY_CODE[code]
    found = verdicts(config_of(case.stage), story(case.stage, case.sick, case.gold, case.score), [rule])
    assert found, "nothing was said"
    verdict = found[0]
    assert (verdict.step, verdict.on, verdict.level) == (case.step, True, rule.level)
    assert (verdict.code, verdict.title, verdict.metrics) == (code, rule.title, rule.metrics)
    assert any(letter.isdigit() for letter in verdict.seen) or code == "not_finite"


@pytest.mark.parametrize("code", CASES)
def test_what_only_comes_near_brings_none(code: str) -> None:
    case = CASES[code]
    gold = rising(0.0) if code == "length_changed" else UP
    assert not verdicts(config_of(case.stage), story(case.stage, case.near, gold), [BY_CODE[code]])


@pytest.mark.parametrize("stage", HEALTHY)
def test_a_healthy_run_has_no_verdict(stage: Stage) -> None:
    assert verdicts(config_of(stage), story(stage, {})) == []


def test_length_may_change_where_it_helps() -> None:
    halved: dict[str, Value] = {"val/response_length": after(15, 15.0, 30.0)}
    assert not verdicts(config_of("ppo"), story("ppo", halved))


def test_bf16_may_round() -> None:
    rounded: dict[str, Value] = {"policy/ratio_first_dev": at(0.06)}
    assert verdicts(config_of("ppo"), story("ppo", rounded))
    assert not verdicts(config_of("ppo", dtype="bf16"), story("ppo", rounded))
    assert verdicts(config_of("ppo", dtype="bf16"), story("ppo", {"policy/ratio_first_dev": at(0.4)}))


def test_ipo_starts_elsewhere() -> None:
    ipo = config_of("dpo", loss="ipo", beta=0.1)
    rule = BY_CODE["first_loss"]
    assert not verdicts(ipo, story("dpo", {"dpo/loss": at(25.0)}), [rule])
    assert verdicts(ipo, story("dpo", {"dpo/loss": at(0.6931)}), [rule])


def test_gold_that_stalls_while_the_score_goes_on_is_over_optimised_too() -> None:
    def stalled(step: int) -> list[float]:
        noise = 0.1 * (step > 50)
        return [gold + noise * ((-1) ** i - 0.01) for i, gold in enumerate(UP(min(step, 50)))]

    (first, *_) = verdicts(config_of("ppo"), story("ppo", {}, gold=stalled), [BY_CODE["over_optimised"]])
    assert first.step == 80
    assert first.seen.startswith("The gold score has not risen since step 50 while the score rose by")


def test_without_a_score_a_falling_gold_score_is_enough() -> None:
    events = [
        Samples(
            step=step,
            name="heldout",
            rows=tuple(SampleRow(prompt="?", completion="!", values={"gold": g}) for g in UP(-step)),
        )
        for step in (0, 10)
    ]
    assert [v.code for v in verdicts(config_of("dpo"), iter(events))] == ["over_optimised"]


def test_a_verdict_is_taken_back_once_nothing_was_seen_for_a_while_and_may_come_again() -> None:
    def clipped(step: int) -> float | None:
        return (0.5 if step in (3, 4, 20, 21) else 0.0) if step else None

    found = verdicts(config_of("ppo"), story("ppo", {"policy/clipfrac_avg": clipped}))
    assert [(v.step, v.on) for v in found] == [(4, True), (7, False), (21, True), (24, False)]
    assert standing(found) == []
    assert standing(found[:3]) == [found[2]]


def test_what_stops_stands_first() -> None:
    check, stop = (
        Health(code=code, level=level, title="t", seen="s") for code, level in [("a", "check"), ("b", "stop")]
    )
    assert standing([check, stop]) == [stop, check]


numbers = st.floats(min_value=-50, max_value=50, allow_nan=False)
streams = st.lists(
    st.dictionaries(st.sampled_from([name for name in HEALTHY["ppo"] if name != "eval/kl"]), numbers, min_size=1),
    min_size=1,
    max_size=60,
)


@given(streams)
def test_whatever_the_curves_verdicts_come_and_go_in_turn_and_fatal_ones_stay(stream: list[dict[str, float]]) -> None:
    events = (Metrics(step=step, values=values) for step, values in enumerate(stream, start=1))
    found = verdicts(config_of("ppo"), events)
    for code in {verdict.code for verdict in found}:
        mine = [verdict for verdict in found if verdict.code == code]
        assert mine[0].on
        assert all(a.on != b.on for a, b in pairwise(mine))
        assert len(mine) == 1 or mine[0].level == "check"


@given(
    kl=st.floats(min_value=0.1, max_value=20),
    score=numbers,
    spread=st.floats(min_value=0.05, max_value=10),
    entropy=st.floats(min_value=0.01, max_value=5),
    ended=st.floats(min_value=0.8, max_value=1),
    clipped=st.floats(min_value=0.001, max_value=0.3),
    moved=st.floats(min_value=0, max_value=0.05),
    explained=st.floats(min_value=0, max_value=1),
    norm=st.floats(min_value=1e-6, max_value=100),
    length=st.floats(min_value=1, max_value=1000),
)
def test_no_verdict_on_constants_in_their_ranges(
    kl: float,
    score: float,
    spread: float,
    entropy: float,
    ended: float,
    clipped: float,
    moved: float,
    explained: float,
    norm: float,
    length: float,
) -> None:
    constant = {
        "objective/scores": score,
        "objective/scores_sd": spread,
        "objective/entropy": entropy,
        "policy/ratio_first_dev": 0.0,
        "policy/sampling_z": 0.0,
        "policy/clipfrac_avg": clipped,
        "policy/approxkl_avg": moved,
        "val/explained_variance": explained,
        "val/eos_rate": ended,
        "val/response_length": length,
        "val/repetition": 0.0,
        "optim/grad_norm": norm,
    }
    events = (
        Metrics(
            step=step, values=constant | dict.fromkeys(("objective/kl", "objective/kl_k3"), kl if step > 1 else 0.0)
        )
        for step in range(1, 60)
    )
    assert verdicts(config_of("ppo"), events) == []


def test_a_loss_near_guessing_is_no_matter_while_held_out_pairs_are_told_apart() -> None:
    def said(accuracy: float) -> list[Health]:
        curves = {"reward/loss": at(0.693), "eval/accuracy": at(accuracy, 0, 40)}
        return verdicts(config_of("reward"), story("reward", curves), [BY_CODE["reward_stuck"]])

    assert not said(0.65)
    assert said(0.55)
