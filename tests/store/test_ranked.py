"""Verdicts become a data set: by majority or one by one, ties kept, what orders nothing left out and counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import AnyRecord, Candidates, Completion, Message, Pair, Prompt, Ranking
from rlhf_lab.store import Store

ONE, OTHER = Completion(text="one", source="m1"), Completion(text="other", source="m2")
THREE = (ONE, OTHER, Completion(text="third", source="m3"))


def prompt(number: int) -> Prompt:
    return Prompt(messages=(Message(role="user", content=f"question {number}"),))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        with store.new_dataset("d", "test", "mixed") as writer:
            pairs: list[AnyRecord] = [
                Pair(prompt=prompt(n), chosen=ONE, rejected=OTHER, tags={"annotator": "old", "topic": n})
                for n in range(5)
            ]
            writer.add([*pairs, Candidates(prompt=prompt(9), completions=THREE, split="heldout")])
        yield store


def say(store: Store, who: str, number: int, verdict: str, *ranks: int, repeat: bool = False) -> None:
    given = {"who": who, "when": 1.0, "verdict": verdict, "ranks": ranks, "repeat": repeat, "strength": 2}
    store.judge("d", store.page_at("d", number)[0].id, Judgement.model_validate(given))


def made(store: Store, name: str) -> list[tuple[str, str, bool]]:
    return [(r.prompt.text, r.chosen.text, r.tie) for r in store.records(name) if isinstance(r, Pair)]


def test_each_verdict_is_a_record_of_its_annotator(store: Store) -> None:
    say(store, "Ada", 0, "ranked", 2, 1)
    say(store, "Ben", 0, "tie", 1, 1)
    say(store, "Ben", 1, "both_bad")
    say(store, "Ada", 2, "skip")
    say(store, "Ada", 5, "ranked", 3, 1, 1 + 1)
    say(store, "Ada", 0, "ranked", 1, 2, repeat=True)
    done = store.ranked_dataset("d", "ranked", how_many="each")
    assert (done.name, done.records, done.left_out) == ("ranked", 3, {"both bad": 1, "skipped": 1})
    first, second, third = store.records("ranked")
    assert first == Pair(
        prompt=prompt(0), chosen=OTHER, rejected=ONE, tags={"annotator": "Ada", "strength": 2, "topic": 0}
    )
    assert second == Pair(
        prompt=prompt(0), chosen=ONE, rejected=OTHER, tie=True, tags={"annotator": "Ben", "strength": 2, "topic": 0}
    )
    assert third == Ranking(
        prompt=prompt(9),
        completions=THREE,
        ranks=(3, 1, 2),
        split="heldout",
        tags={"annotator": "Ada", "strength": 2},
    )
    row = store.datasets()[-1]
    assert (row.kind, row.train, row.heldout) == ("mixed", 2, 1)
    assert row.note == "Verdicts on 'd', each person's own. Left out: 1 both bad, 1 skipped."
    assert store.ranked_dataset("d", "ranked", who="Ben", how_many="each").name == "ranked (2)"
    assert made(store, "ranked (2)") == [("question 0", "one", True)]


def test_the_majority_decides(store: Store) -> None:
    for who, ranks in (("Ada", (2, 1)), ("Ben", (2, 1)), ("Cleo", (1, 2))):
        say(store, who, 0, "ranked", *ranks)
    say(store, "Ada", 1, "ranked", 1, 2)
    say(store, "Ben", 1, "ranked", 2, 1)
    say(store, "Ada", 2, "ranked", 2, 1)
    say(store, "Ben", 2, "tie", 1, 1)
    say(store, "Ada", 3, "ranked", 1, 2)
    say(store, "Ben", 3, "both_bad")
    say(store, "Cleo", 3, "both_bad")
    say(store, "Ada", 4, "skip")
    say(store, "Ada", 5, "ranked", 1, 1, 3)
    say(store, "Ben", 5, "ranked", 2, 1, 3)
    done = store.ranked_dataset("d", "most")
    assert (done.records, done.left_out) == (4, {"both bad": 1, "skipped": 1})
    assert made(store, "most") == [
        ("question 0", "other", False),
        ("question 1", "one", True),
        ("question 2", "other", False),
    ]
    last = list(store.records("most"))[-1]
    assert isinstance(last, Ranking)
    assert (last.ranks, last.tags) == ((2, 1, 3), {"annotators": 2})


def test_many_verdicts_come_through_in_batches(store: Store) -> None:
    with store.new_dataset("many", "test", "pair") as writer:
        writer.add([Pair(prompt=prompt(n), chosen=ONE, rejected=OTHER) for n in range(1203)])
    keys = [row.id for row in store.page("many", limit=2000)]
    for key in keys:
        store.judge("many", key, Judgement(who="Ada", when=1.0, verdict="ranked", ranks=(1, 2)))
    assert store.ranked_dataset("many", "out").records == 1203


def test_without_an_order_there_is_no_data_set(store: Store) -> None:
    say(store, "Ada", 0, "both_bad")
    with pytest.raises(LabError, match="No verdict on 'd' puts answers in order"):
        store.ranked_dataset("d", "new")
    assert [row.name for row in store.datasets()] == ["d"]
