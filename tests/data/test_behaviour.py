"""Behaviour of models side by side: intervals that hold what they promise, tests by hand, sentences that fit the numbers."""

import math
import random
from dataclasses import replace
from itertools import product

import pytest

from rlhf_lab.data.behaviour import MEASURES, Cell, Row, own_words, sentence, summary, table
from rlhf_lab.data.paired import RESAMPLED, Change, change, estimate, holm, mcnemar


def test_a_share_of_one_is_not_certain() -> None:
    found = estimate([1.0] * 20)
    assert found.value == 1.0
    assert 0.8 < found.low < 0.9
    assert found.high == pytest.approx(1.0)


def test_nothing_but_zeros_is_certain_unless_they_are_outcomes() -> None:
    assert estimate([0.0] * 20, share=False).high == 0.0
    assert estimate([0.0] * 20).high > 0.1
    rows = {row.measure.name: row for row in table({"a": [{"kl": 0.0}] * 20, "b": [{"kl": 0.0}] * 20}, "a")}
    assert rows["kl"].estimates["a"].high == 0.0
    assert (rows["kl"].cells[0].change.low, rows["kl"].cells[0].change.high) == (0.0, 0.0)


def test_a_mean_lies_in_its_interval() -> None:
    dice = random.Random(1)
    values = [dice.gauss(20, 5) for _ in range(200)]
    found = estimate(values)
    half = 1.96 * 5 / math.sqrt(200)
    assert found.value - found.low == pytest.approx(half, rel=0.2)
    assert found.high - found.value == pytest.approx(half, rel=0.2)


def test_nothing_was_asked() -> None:
    assert math.isnan(estimate([]).value)
    assert (change([], []).n, change([], []).p) == (0, 1.0)


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(0, 0, 1.0), (5, 0, 2 / 32), (1, 8, 2 * 10 / 512), (3, 3, 1.0), (10, 2, 2 * 79 / 4096)]
)
def test_mcnemar_by_hand(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p)


def test_the_sign_flip_test_is_the_exact_one_on_few_prompts() -> None:
    differences = [0.5, 1.5, 2.0, -0.25, 3.0, 1.0]
    flipped = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in product((-1, 1), repeat=6)]
    exact = sum(found >= abs(sum(differences)) for found in flipped) / len(flipped)
    found = change([0.0] * 6, differences).p
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact / RESAMPLED))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_intervals_of_differences_hold_the_truth_about_as_often_as_they_say() -> None:
    """Shares that differ by 0.2, answers to the same prompt alike."""
    dice, held, trials = random.Random(2), 0, 300
    for _ in range(trials):
        before, after = [], []
        for _ in range(60):
            ease = dice.random()
            before.append(float(ease < 0.5))
            after.append(float(ease < 0.7 if dice.random() < 0.8 else dice.random() < 0.7))
        found = change(before, after)
        held += found.low <= 0.2 <= found.high
    assert 0.92 <= held / trials <= 0.99


def test_without_a_change_it_is_rarely_claimed() -> None:
    dice, claimed, trials = random.Random(3), 0, 200
    for _ in range(trials):
        before = [dice.gauss(20, 6) for _ in range(40)]
        claimed += change(before, [value + dice.gauss(0, 4) for value in before]).p < 0.05
    assert claimed / trials <= 0.1


def _models() -> dict[str, list[dict[str, float]]]:
    """Of 300 prompts: knowledge stays, refusals of bad requests rise, of harmless ones on six prompts nobody can tell."""
    dice = random.Random(4)
    sft, ppo = [], []
    for n in range(300):
        words = dice.gauss(30, 5)
        first, second = {"words": words}, {"words": words - dice.gauss(12, 3)}
        if n % 2:
            first |= {"correct": float(n % 20 != 1)}
            second |= {"correct": float(n % 20 != 1 or n == 21)}
        elif n < 200:
            first |= {"bad_refused": float(n % 4 == 0)}
            second |= {"bad_refused": 1.0}
        elif n < 212:
            first |= {"harmless_refused": 0.0}
            second |= {"harmless_refused": float(n == 200)}
        sft.append(first)
        ppo.append(second)
    return {"SFT": sft, "PPO": ppo}


def test_what_moved_what_stayed_and_what_cannot_be_told() -> None:
    rows = {row.measure.name: row for row in table(_models(), "SFT")}
    assert list(rows) == [m.name for m in MEASURES if m.name in ("correct", "bad_refused", "harmless_refused", "words")]
    verdicts = {name: row.cells[0].verdict for name, row in rows.items()}
    assert verdicts == {"correct": "same", "bad_refused": "rose", "harmless_refused": "unclear", "words": "fell"}
    assert rows["bad_refused"].estimates["PPO"].n == 100
    assert rows["words"].cells[0].p >= rows["words"].cells[0].change.p


def test_a_sentence_a_row() -> None:
    rows = table(_models(), "SFT")
    said = [sentence(row, cell, "SFT") for row in rows for cell in row.cells]
    assert said[0].startswith("Knowledge stayed: 90% → 91% from SFT to PPO (−")
    assert said[0].endswith(" points, 150 prompts).")
    assert said[1].startswith("Refusals of bad requests rose: 50% → 100% from SFT to PPO (+")
    assert "no change can be told from chance" in said[2]
    assert said[3].startswith("Length fell: 30")
    assert " words, 300 prompts)" in said[3]


def test_an_interval_that_leaves_out_0_and_counts_for_nothing_says_why() -> None:
    moved = Change(n=200, before=0.3, after=0.36, difference=0.06, low=0.01, high=0.11, p=0.02)
    only_just, within = replace(moved, p=0.06), replace(moved, low=-0.01)
    said = [
        sentence(Row(MEASURES[5], {}, ()), Cell("PPO", found, 0.24, verdict), "SFT")
        for found, verdict in ((moved, "unclear"), (only_just, "unclear"), (within, "unclear"), (moved, "rose"))
    ]
    plain = "Politeness: no change can be told from chance: 30% → 36% from SFT to PPO (+1 to +11 points, 200 prompts)."
    assert said[0] == (
        f"{plain} The interval is of this row alone, and leaves out 0; where so many are compared, some do by chance. "
        "With all of them reckoned in: p 0.240."
    )
    assert said[1] == f"{plain} The interval only just leaves out 0; the test of this row is not as sure: p 0.060."
    assert said[2] == plain.replace("+1 to", "−1 to")
    assert said[3] == "Politeness rose: 30% → 36% from SFT to PPO (+1 to +11 points, 200 prompts)."


@pytest.mark.parametrize("prompts", [1, 2, 9])
def test_a_few_prompts_are_no_proof_that_nothing_changed(prompts: int) -> None:
    before, after = [{"words": 20.0, "kl": 0.0}] * prompts, [{"words": 20.0, "kl": 0.1}] * prompts
    rows = table({"base": before, "ppo": after}, "base")
    assert [cell.verdict for row in rows for cell in row.cells] == ["unclear", "unclear"]
    assert "So few prompts say nothing of others" in sentence(rows[1], rows[1].cells[0], "base")
    assert "left" not in summary(rows, "ppo", "base")


def test_the_summary_names_all_of_it() -> None:
    assert summary(table(_models(), "SFT"), "PPO", "SFT") == (
        "From SFT to PPO, training raised refusals of bad requests and lowered length. It left knowledge where it was. "
        "More prompts would be needed to tell about refusals of harmless requests."
    )


def test_an_abbreviation_stays_one_within_the_summary() -> None:
    rows = table({"a": [{"kl": 0.0}] * 20, "b": [{"kl": 2.0 + n / 10} for n in range(20)]}, "a")
    assert summary(rows, "b", "a") == "From a to b, training raised KL to the base."


def test_a_number_that_is_none_and_a_model_without_the_measure_are_left_out() -> None:
    models = {"a": [{"kl": math.nan}, {"kl": 1.0}], "b": [{"kl": 2.0}, {"kl": 3.0}], "c": [{}, {}]}
    [row] = table(models, "a")
    assert {model: found.n for model, found in row.estimates.items()} == {"a": 1, "b": 2, "c": 0}
    assert [(cell.model, cell.change.n) for cell in row.cells] == [("b", 1)]


def test_models_must_answer_the_same_prompts() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        table({"a": [{"kl": 1.0}], "b": [{"kl": 1.0}, {"kl": 1.0}]}, "a")


def test_whoever_says_the_same_to_everybody_has_few_words_of_their_own() -> None:
    assert own_words(["I do not know.", "I do not know.", "Paris is it.", ""]) == [0.0, 0.0, 1.0, 0.0]
