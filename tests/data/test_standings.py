"""Votes on models: what counts as a win, strengths and their intervals, and how many more votes are needed."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Candidates, Completion, Message, Prompt
from rlhf_lab.data.standings import MOST_NEEDED, Duel, Vote, standings, vote_of, votes_of

A, B, C = "sft-1", "ppo-1", "ppo-2"


def said(*ranks: int) -> Judgement:
    """A verdict with these ranks; none: both bad."""
    verdict = "both_bad" if not ranks else "tie" if len(set(ranks)) == 1 else "ranked"
    return Judgement(who="Ada", when=0.0, verdict=verdict, ranks=ranks)


def wins(one: str, other: str, count: int) -> list[Vote]:
    """Votes that all say the same."""
    return [((one, other, 1.0),)] * count


def test_a_better_answer_is_a_win_and_a_tie_half_a_one() -> None:
    assert vote_of((A, B), said(1, 2)) == ((A, B, 1.0),)
    assert vote_of((A, B), said(2, 1)) == ((A, B, 0.0),)
    assert vote_of((A, B), said(1, 1)) == ((A, B, 0.5),)
    assert vote_of((A, B), said()) == ((A, B, 0.5),)
    assert vote_of((A, B, C), said(1, 2, 2)) == ((A, B, 1.0), (A, C, 1.0), (B, C, 0.5))


def test_what_says_nothing_of_models_is_no_vote() -> None:
    assert vote_of((A, B), Judgement(who="Ada", when=0.0, verdict="skip")) == ()
    assert vote_of((A, A), said(1, 2)) == ()
    assert vote_of((A, ""), said(1, 2)) == ()


def test_votes_are_taken_from_verdicts_on_answers_of_models() -> None:
    prompt = Prompt(messages=(Message(role="user", content="Why?"),))
    record = Candidates(prompt=prompt, completions=(Completion(text="So.", source=A), Completion(text="No.", source=B)))
    assert list(votes_of([(7, said(2, 1)), (8, said(1, 2))], [(7, record)])) == [((A, B, 0.0),)]


def test_two_models_get_the_odds_of_their_votes() -> None:
    found = standings(wins(A, B, 15) + wins(B, A, 5))
    first, second = found.strengths
    assert (first.model, second.model, found.votes) == (A, B, 20)
    assert first.value - second.value == pytest.approx(math.log(15.5 / 5.5), abs=1e-6)
    assert first.value == pytest.approx(-second.value, abs=1e-9)
    assert found.duel(A, B).rate.value == 0.75
    assert found.duel(B, A).rate.value == 0.25


def test_order_and_sides_do_not_matter() -> None:
    votes = wins(A, B, 9) + wins(B, C, 7) + wins(C, A, 4) + [((A, C, 0.5),)] * 3
    mirrored = [tuple((other, one, 1 - result) for one, other, result in vote) for vote in reversed(votes)]
    assert standings(votes).duels == standings(mirrored).duels
    for one, other in zip(standings(votes).strengths, standings(mirrored).strengths, strict=True):
        assert (one.model, one.value) == (other.model, pytest.approx(other.value, abs=1e-9))


def test_who_never_lost_has_a_strength_and_few_votes_have_no_interval() -> None:
    one_vote = standings(wins(A, B, 1))
    assert all(math.isfinite(one.value) and math.isinf(one.high) for one in one_vote.strengths)
    assert standings([]).strengths == ()


def test_models_that_no_vote_connects_are_not_ranked_together() -> None:
    found = standings(wins(A, B, 12) + wins(C, "dpo-1", 3))
    assert {one.model for one in found.strengths} == {A, B}
    assert found.apart == ("dpo-1", C)
    joined = standings(wins(A, B, 12) + wins(C, "dpo-1", 3) + wins(B, C, 1))
    assert len(joined.strengths) == 4
    assert not joined.apart


def test_votes_needed() -> None:
    assert Duel(A, B, 40, 0, 10).needed == 0
    assert Duel(A, B, 5, 0, 5).needed is None
    assert Duel(A, B, 0, 0, 0).needed is None
    assert Duel(A, B, 5050, 0, 4950).needed is None, "over the most that is asked for"
    few = Duel(A, B, 12, 0, 8).needed
    assert few is not None
    assert 0 < few < MOST_NEEDED
    scale = (20 + few + 4) / 20
    assert Duel(A, B, round(12 * scale), 0, round(8 * scale)).told_apart, "that many more do tell them apart"


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_votes_needed_are_the_same_from_either_side(won: int, tied: int, lost: int) -> None:
    duel = Duel(A, B, won, tied, lost)
    assert duel.needed == duel.turned.needed
    assert duel.told_apart == duel.turned.told_apart


def test_intervals_hold_the_known_strengths_of_simulated_voters() -> None:
    truth = {A: -0.8, B: 0.1, C: 0.7}
    rng, held = random.Random(5), 0
    for trial in range(6):
        votes = []
        for _ in range(90):
            one, other = rng.sample(list(truth), 2)
            votes += wins(*((one, other) if rng.random() < _chance(truth[one] - truth[other]) else (other, one)), 1)
        held += all(one.low <= truth[one.model] <= one.high for one in standings(votes, seed=trial).strengths)
    assert held >= 5


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
