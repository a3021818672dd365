"""Statistics of a data set: counted right, and a warning only where length really predicts."""

import random

import pytest

from rlhf_lab.core.records import (
    AnyRecord,
    Candidates,
    Completion,
    Demonstration,
    Message,
    Pair,
    Prompt,
    PromptOnly,
    Ranking,
    Rated,
    Unpaired,
)
from rlhf_lab.data.share import Share
from rlhf_lab.data.statistics import BINS, statistics_of


def prompt(text: str) -> Prompt:
    return Prompt(messages=(Message(role="user", content=text),))


def pair(number: int, chosen: str, rejected: str, **more: object) -> Pair:
    given = {"prompt": prompt(f"q{number}"), "chosen": {"text": chosen}, "rejected": {"text": rejected}, **more}
    return Pair.model_validate(given)


def answers(*texts: str) -> tuple[Completion, ...]:
    return tuple(Completion(text=text, source=f"m{n}") for n, text in enumerate(texts))


def test_everything_is_counted() -> None:
    records: list[AnyRecord] = [
        pair(1, "long answer", "no", tags={"annotator": "Ada", "language": "en"}),
        pair(1, "no", "long answer", tags={"annotator": "Ben", "language": "en"}, split="heldout"),
        pair(2, "a", "bb", tie=True, tags={"language": "de"}),
        pair(3, "same", "size"),
        Ranking(prompt=prompt("r"), completions=answers("x", "yyy", "zz"), ranks=(2, 1, 3)),
        Rated(prompt=prompt("r"), completions=answers("x", "yyy", "zz"), ratings=(9.0, 1.0, 5.0)),
        Candidates(prompt=prompt("c"), completions=answers("x", "yyy")),
        Demonstration(prompt=prompt("d"), completion=Completion(text="four", source="people")),
        Unpaired(prompt=prompt("u"), completion=Completion(text="five!"), label=True),
        PromptOnly(prompt=prompt("only")),
    ]
    found = statistics_of(records)
    assert found.records == 10
    assert found.kinds["pair"] == 4
    assert found.splits == {"train": 9, "heldout": 1}
    assert found.ties == 1
    assert found.longer_wins == Share(2, 4)
    assert found.best_places == (1, 1)
    assert (found.repeated_prompts, found.repeated_answers) == (2, 2)
    assert dict(found.sources) == {"": 9, "m0": 3, "m1": 3, "m2": 2, "people": 1}
    assert found.languages == [("en", 2), ("de", 1)]
    assert found.annotators == [("Ada", 1), ("Ben", 1)]
    assert {name: sum(h.counts) for name, h in found.lengths.items()} == {
        "prompt": 10,
        "chosen": 5,
        "rejected": 5,
        "answer": 6,
    }
    assert (found.medians["chosen"], found.medians["rejected"]) == (3, 3)
    assert found.lengths["chosen"].edges == found.lengths["rejected"].edges
    assert all(len(h.counts) == BINS == len(h.edges) - 1 for h in found.lengths.values())


def test_a_warning_where_length_alone_predicts_and_none_where_it_does_not() -> None:
    rng = random.Random(1)

    def judged(bias: float) -> list[AnyRecord]:
        texts = [("long " * rng.randint(2, 9), "short") for _ in range(400)]
        return [pair(n, *(t if rng.random() < bias else t[::-1]), split="heldout") for n, t in enumerate(texts)]

    (warning,) = statistics_of(judged(0.75)).warnings
    assert warning.startswith("Length alone predicts the label: taking the longer answer is right for 7")
    assert "of 400 records" in warning
    (warning,) = statistics_of(judged(0.2)).warnings
    assert "taking the shorter answer" in warning
    assert statistics_of(judged(0.55)).warnings == []


def test_a_few_records_are_no_reason_to_warn() -> None:
    assert statistics_of([pair(n, "longer", "short", split="heldout") for n in range(3)]).warnings == []


def test_nothing_held_out_and_repeats_are_said() -> None:
    found = statistics_of([pair(1, "yes", "no!") for _ in range(3)])
    assert found.repeated_answers == 2
    assert ["repeat the prompt" in text or "held out" in text for text in found.warnings] == [True, True]
    assert statistics_of([]).records == 0


def test_it_can_be_cancelled() -> None:
    looks = iter([False, True])
    found = statistics_of((pair(n, "a", "b") for n in range(2000)), cancelled=lambda: next(looks))
    assert found.records == 512


# Published values of the Wilson score interval (Newcombe 1998, table I).
@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_wilsons(hits: int, of: int, low: float, high: float) -> None:
    share = Share(hits, of)
    assert share.low == pytest.approx(low, abs=5e-5)
    assert share.high == pytest.approx(high, abs=5e-5)


def test_a_share_of_nothing_says_so() -> None:
    assert (Share(0, 0).text, Share(0, 0).is_chance, Share(0, 0).low, Share(0, 0).high) == ("unknown", True, 0.0, 1.0)
    assert Share(71, 100).text == "71% (61–79%)"
    assert not Share(71, 100).is_chance
    assert Share(1, 2) + Share(3, 4) == Share(4, 6)
