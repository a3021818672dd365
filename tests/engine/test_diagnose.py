"""The diagnosis of a reward model against hand-worked cases, and its verdict in words."""

from collections.abc import Sequence

import pytest
import torch

from rlhf_lab.core.diagnosis import Accuracy, CalibrationBin, RewardDiagnosis
from rlhf_lab.core.records import Completion, Pair, Tag
from rlhf_lab.engine import diagnose as diagnosing
from rlhf_lab.engine.diagnose import (
    MOST_POINTS,
    ScoredPairs,
    bootstrap,
    calibration,
    correlation,
    diagnose,
    expected_error,
)
from rlhf_lab.engine.reward_verdict import verdict
from tests.engine.conftest import prompt


def scored(
    chosen: Sequence[float],
    rejected: Sequence[float],
    *,
    longer: Sequence[int] | None = None,
    tags: Sequence[dict[str, Tag]] | None = None,
    ties: Sequence[int] = (),
    prompts: Sequence[str] | None = None,
) -> ScoredPairs:
    """Pairs with these scores; rejected answers have 10 tokens, chosen ones so many more."""
    count = len(chosen)
    records = [
        Pair(
            prompt=prompt(prompts[i] if prompts else f"Question {i}?"),
            chosen=Completion(text=f"good {i}"),
            rejected=Completion(text=f"bad {i}"),
            tie=i in ties,
            tags=tags[i] if tags else {},
        )
        for i in range(count)
    ]
    more = torch.tensor(longer if longer is not None else [0] * count)
    ten = torch.full((count,), 10)
    return ScoredPairs(records, torch.tensor(chosen), torch.tensor(rejected), ten + more, ten)


def test_accuracy_counts_ties_half_and_says_the_mean_margin() -> None:
    found = diagnose(
        scored([1.0, 0.0, 2.0, 5.0], [0.0, 1.0, 2.0, 1.0], ties=[3]), scored([1.0, 2.0], [0.0, 0.0]), seed=0
    )
    train, heldout = found.accuracy
    assert (train.name, train.accuracy, train.low, train.high, train.margin) == ("train", 1.0, 1.0, 1.0, 1.5)
    assert (heldout.name, heldout.pairs, heldout.accuracy, heldout.margin) == ("heldout", 4, 0.5, 1.0)
    assert heldout.low <= 0.5 <= heldout.high


def test_the_interval_is_that_of_a_binomial_where_prompts_differ() -> None:
    right = torch.tensor([1.0] * 70 + [0.0] * 30)
    low, high = bootstrap(right, torch.arange(100), seed=0)
    error = 1.96 * (0.7 * 0.3 / 100) ** 0.5
    assert (low, high) == pytest.approx((0.7 - error, 0.7 + error), abs=0.02)


def test_pairs_of_one_prompt_are_one_draw() -> None:
    right = torch.tensor([1.0] * 70 + [0.0] * 30)
    apart = bootstrap(right, torch.arange(100), seed=0)
    together = bootstrap(right, torch.arange(100) // 10, seed=0)
    # Ten prompts of ten pairs that agree: as uncertain as ten draws.
    assert together[1] - together[0] > 2.5 * (apart[1] - apart[0])


def test_drawing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    right = (torch.arange(50) % 3 == 0).float()
    whole = bootstrap(right, torch.arange(50), seed=3)
    monkeypatch.setattr(diagnosing, "_DRAWN_AT_ONCE", 700)
    assert bootstrap(right, torch.arange(50), seed=3) == pytest.approx(whole)


def test_annotators_with_enough_pairs_have_their_own_accuracy() -> None:
    names = ["ann"] * 30 + ["bob"] * 20 + ["cy"] * 19
    margins = [1.0] * 30 + [-1.0] * 20 + [1.0] * 19
    found = diagnose(
        scored(margins, [0.0] * 69, tags=[{"annotator": name} for name in names]), scored([1.0], [0.0]), seed=0
    )
    assert [(part.name, part.pairs, part.accuracy) for part in found.accuracy[2:]] == [
        ("ann", 30, 1.0),
        ("bob", 20, 0.0),
    ]


def test_lengths_fall_into_ranges_and_length_alone_is_a_baseline() -> None:
    longer = [-9, -2, 0, 1, 4, 20]
    found = diagnose(
        scored([0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0], longer=longer),
        scored([1.0], [0.0]),
        seed=0,
    )
    assert [(part.name, part.pairs, part.accuracy) for part in found.by_length] == [
        ("shorter by more than 4", 1, 0.0),
        ("shorter by up to 4", 1, 0.0),
        ("of the same length", 1, 1.0),
        ("longer by up to 4", 2, 1.0),
        ("longer by more than 4", 1, 1.0),
    ]
    assert found.longer_wins is not None
    assert found.longer_wins.accuracy == pytest.approx((3 + 0.5) / 6)
    assert found.longer_wins.margin == pytest.approx(sum(longer) / 6)


def test_a_calibrated_model_has_no_error_and_an_overconfident_one_has() -> None:
    generator = torch.Generator().manual_seed(0)
    sure = torch.randn(20_000, generator=generator) * 1.5
    # Labels drawn as the model says: the first answer of a pair wins with σ(sure), and stands first as chosen.
    wins = torch.rand(20_000, generator=generator) < sure.sigmoid()
    margin = torch.where(wins, sure, -sure)
    none = torch.zeros(20_000)

    def error(factor: float) -> float:
        records = scored([0.0], [0.0]).records * 20_000
        return expected_error(calibration(ScoredPairs(records, factor * margin, none, none, none), seed=0))

    assert error(1.0) < 0.01
    assert error(5.0) > 0.1
    assert error(0.1) > 0.1


def test_the_bins_hold_every_pair_once() -> None:
    bins = calibration(scored([9.0, -9.0, 0.0, 0.3], [0.0] * 4), seed=1)
    assert sum(part.pairs for part in bins) == 4
    assert all(part.low <= part.predicted <= part.high for part in bins)


def test_correlation_is_pearsons() -> None:
    line = torch.tensor([1.0, 2.0, 3.0])
    assert correlation(line, 5 - 2 * line) == pytest.approx(-1)
    assert correlation(torch.tensor([1.0, 0, -1, 0]), torch.tensor([0.0, 1, 0, -1])) == pytest.approx(0)
    assert correlation(line, torch.ones(3)) is None


def test_the_worst_pairs_come_first_and_only_contradicted_ones() -> None:
    tags: list[dict[str, Tag]] = [{"record": 7, "flipped": True}, {}, {"record": 9, "flipped": False}, {}]
    found = diagnose(scored([0.0, 3.0, 0.0, 0.0], [1.0, 0.0, 2.0, 9.0], tags=tags, ties=[3]), scored([1.0], [0.0]), 0)
    assert [(w.record, w.prompt, w.margin, w.flipped) for w in found.worst] == [
        (9, "Question 2?", -2.0, False),
        (7, "Question 0?", -1.0, True),
    ]
    assert found.worst[0].chosen == "good 2"


def test_what_an_event_carries_is_bounded() -> None:
    many = 1000
    names = [{"annotator": str(i % 40)} for i in range(many)]
    found = diagnose(scored([0.0] * many, [1.0] * many, tags=names), scored([1.0], [0.0]), seed=0)
    assert len(found.points) == MOST_POINTS
    assert len(found.worst) == diagnosing.MOST_WORST
    assert len(found.accuracy) == 2 + diagnosing.MOST_ANNOTATORS
    assert len(found.model_dump_json()) < 100_000


def described(**changes: object) -> RewardDiagnosis:
    """A good model's diagnosis, changed."""
    heldout = {"name": "heldout", "pairs": 400, "accuracy": 0.72, "low": 0.68, "high": 0.76, "margin": 1.0}
    train = {"name": "train", "pairs": 256, "accuracy": 0.75, "low": 0.7, "high": 0.8, "margin": 1.0}
    longer = {"name": "longer wins", "pairs": 400, "accuracy": 0.55, "low": 0.5, "high": 0.6, "margin": 3.0}
    parts = {"heldout": heldout, "train": train, "longer": longer, "ece": 0.04, "correlation": 0.2}
    parts |= {"bins": 40, "range": (0.62, 0.7)}
    for name, change in changes.items():
        parts[name] = {**parts[name], **change} if isinstance(change, dict) else change
    return RewardDiagnosis(
        accuracy=(Accuracy(**parts["train"]), Accuracy(**parts["heldout"])),
        longer_wins=Accuracy(**parts["longer"]),
        by_length=(
            Accuracy(
                name="longer by more than 9",
                pairs=50,
                accuracy=parts["range"][0],
                low=0.2,
                high=parts["range"][1],
                margin=0,
            ),
        ),
        calibration=tuple(
            CalibrationBin(low=i / 10, high=i / 10 + 0.1, pairs=parts["bins"], predicted=i / 10 + 0.05, observed=0.5)
            for i in range(10)
        ),
        ece=parts["ece"],
        length_correlation=parts["correlation"],
    )


def test_nothing_speaks_against_a_good_model() -> None:
    level, sentences = verdict(described())
    assert level == "good"
    assert sentences[0] == (
        "It is right on 72% (68% to 76%) of 400 held-out pairs; always taking the longer answer is right on 55%."
    )
    assert len(sentences) == 2


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"heldout": {"accuracy": 0.52, "low": 0.47, "high": 0.57}, "longer": {"accuracy": 0.5}}, "bad", "chance"),
        ({"heldout": {"accuracy": 0.58, "low": 0.54, "high": 0.62}}, "check", "That is little"),
        ({"heldout": {"accuracy": 0.97, "low": 0.95, "high": 0.99}}, "check", "gives the label away"),
        ({"train": {"accuracy": 0.95}}, "check", "by heart"),
        ({"ece": 0.21, "bins": 40}, "check", "21% off"),
        ({"correlation": 0.7}, "check", "correlation +0.70): a policy could win by longer answers"),
        ({"correlation": -0.7}, "check", "win by shorter answers"),
        ({"longer": {"accuracy": 0.73}}, "check", "Length alone tells the better answer as well (longer: 73%)"),
        ({"longer": {"accuracy": 0.2}}, "check", "Length alone tells the better answer as well (shorter: 80%)"),
        ({"longer": {"accuracy": 0.3}}, "check", "not clearly more than length alone tells (shorter: 70%)"),
        ({"range": (0.4, 0.56)}, "check", "longer by more than 9 tokens it is wrong more often than not: right on 40%"),
        ({"longer": {"accuracy": 0.73}, "correlation": 0.8}, "bad", "may have learnt nothing else"),
        ({"heldout": {"pairs": 30, "low": 0.55}}, "check", "30 held-out pairs are few"),
    ],
)
def test_each_weakness_is_said(changes: dict[str, object], level: str, words: str) -> None:
    found, sentences = verdict(described(**changes))
    assert found == level
    assert any(words in sentence for sentence in sentences[1:])


def test_a_calibration_error_that_so_few_pairs_show_by_chance_is_not_held_against_it() -> None:
    assert verdict(described(ece=0.13, bins=4))[0] == "good"
    assert verdict(described(ece=0.13, bins=100))[0] == "check"


def test_the_worst_comes_first() -> None:
    _, sentences = verdict(
        described(ece=0.3, longer={"accuracy": 0.4}, heldout={"accuracy": 0.5, "low": 0.45, "high": 0.55})
    )
    assert "chance" in sentences[1]
    assert len(sentences) > 2
