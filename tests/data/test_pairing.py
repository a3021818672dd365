"""Pairs from rankings: which, how heavy, and as many as were said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_lab.core.records import Completion, Message, Pair, Prompt, PromptOnly, Ranking, Rated, competition_ranks
from rlhf_lab.data.pairing import How, PairCount, Ties, count_pairs, pairs_of

ASKED = Prompt(messages=(Message(role="user", content="Q"),))


def ranking(*ranks: int, texts: str = "abcdefghi") -> Ranking:
    answers = tuple(Completion(text=text, source=f"m{text}") for text in texts[: len(ranks)])
    return Ranking(prompt=ASKED, completions=answers, ranks=ranks, split="heldout", tags={"annotator": "ann"})


def drawn(record: Ranking | Rated, how: How, ties: Ties) -> list[str]:
    return [f"{p.chosen.text}{'=' if p.tie else '>'}{p.rejected.text}" for p in pairs_of(record, how, ties)]


@pytest.mark.parametrize(
    ("how", "ties", "expected"),
    [
        ("all", "half", ["c>a", "c>d", "c>b", "a=d", "a>b", "d>b"]),
        ("all", "drop", ["c>a", "c>d", "c>b", "a>b", "d>b"]),
        ("adjacent", "half", ["c>a", "c>d", "a=d", "a>b", "d>b"]),
        ("adjacent", "drop", ["c>a", "c>d", "a>b", "d>b"]),
    ],
)
def test_which_pairs_a_ranking_gives(how: How, ties: Ties, expected: list[str]) -> None:
    assert drawn(ranking(2, 4, 1, 2), how, ties) == expected


def test_a_pair_says_where_it_is_from() -> None:
    first, tie = pairs_of(ranking(2, 4, 1, 2), "adjacent")[:3:2]
    assert first.chosen == Completion(text="c", source="mc")
    assert (first.split, first.tags) == ("heldout", {"annotator": "ann", "drawn": "ranking 1>2"})
    assert (first.margin, first.weight) == (None, pytest.approx(1 / 5))
    assert tie.tags["drawn"] == "ranking 2=2"


def test_ratings_become_margins() -> None:
    answers = tuple(Completion(text=text) for text in "abc")
    record = Rated(prompt=ASKED, completions=answers, ratings=(1.5, 4.0, 4.0))
    assert drawn(record, "all", "half") == ["b=c", "b>a", "c>a"]
    assert [pair.margin for pair in pairs_of(record)] == [0, 2.5, 2.5]
    assert pairs_of(record)[1].tags["drawn"] == "rated 1>3"


def test_a_pair_stays_as_it_is() -> None:
    pair = Pair(prompt=ASKED, chosen=Completion(text="a"), rejected=Completion(text="b"), tie=True, weight=0.25)
    assert pairs_of(pair, "all", "half") == [pair]
    assert pairs_of(pair, "all", "drop") == []


def test_answers_of_the_same_text_make_no_pair() -> None:
    assert drawn(ranking(1, 2, 3, texts="aab"), "all", "half") == ["a>b", "a>b"]
    assert [pair.weight for pair in pairs_of(ranking(1, 2, 3, texts="aab"))] == [0.5, 0.5]
    assert pairs_of(ranking(1, 1), "all", "drop") == []


def test_the_count_is_said_in_words() -> None:
    records = [ranking(1, 2, 2), ranking(1, 2, 3, texts="aab"), PromptOnly(prompt=ASKED)]
    assert count_pairs(records) == PairCount(records=3, pairs=5, ties=1, same_answers=1, not_judged=1)
    assert count_pairs(records).text == (
        "5 pairs from 3 records, 1 of them ties (each counts half for either answer); "
        "left out: 1 pairs of equal texts, 1 records that nobody judged."
    )
    assert count_pairs(records[:1], "all", "drop").text == "2 pairs from 1 record; left out: 1 ties."


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from("abcdef")), min_size=2, max_size=7),
    st.sampled_from(["all", "adjacent"]),
    st.sampled_from(["half", "drop"]),
)
def test_weights_share_one_and_the_count_is_right(answers: list[tuple[int, str]], how: How, ties: Ties) -> None:
    ranks = competition_ranks([rank for rank, _ in answers])
    record = ranking(*ranks, texts="".join(text for _, text in answers))
    pairs = pairs_of(record, how, ties)
    assert sum(pair.weight for pair in pairs) == pytest.approx(1 if pairs else 0)
    counted = count_pairs([record], how, ties)
    assert (counted.pairs, counted.ties) == (len(pairs), sum(pair.tie for pair in pairs))
    for pair in pairs:
        better = [rank for (_, text), rank in zip(answers, ranks, strict=True) if text == pair.chosen.text]
        worse = [rank for (_, text), rank in zip(answers, ranks, strict=True) if text == pair.rejected.text]
        assert min(better) < max(worse) or pair.tie
