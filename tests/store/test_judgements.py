"""Verdicts: durable, superseded and undone as one person's history, and there again after a restart."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Judgement, answers_of
from rlhf_lab.core.records import AnyRecord, Candidates, Completion, Message, Pair, Prompt, PromptOnly
from rlhf_lab.store import Store


def prompt(text: str) -> Prompt:
    return Prompt(messages=(Message(role="user", content=text),))


def pair(number: int) -> Pair:
    return Pair(prompt=prompt(f"question {number}"), chosen=Completion(text="yes"), rejected=Completion(text="no"))


def said(who: str, *ranks: int, verdict: str = "ranked", when: float = 1.0, repeat: bool = False) -> Judgement:
    return Judgement.model_validate(
        {"who": who, "when": when, "verdict": verdict, "ranks": ranks, "repeat": repeat, "shown_order": ()}
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        with store.new_dataset("d", "test", "pair") as writer:
            writer.add([pair(n) for n in range(5)])
        yield store


def ids(store: Store, name: str = "d") -> list[int]:
    return [row.id for row in store.page(name)]


def live(store: Store, who: str | None = None, name: str = "d") -> list[tuple[int, tuple[int, ...]]]:
    numbers = {key: number for number, key in enumerate(ids(store, name))}
    return [(numbers[record], judgement.ranks) for record, judgement in store.verdicts(name, who)]


def reopened(store: Store) -> Store:
    store.close()
    return Store.open(store.path)


def test_a_verdict_comes_back_as_it_was(store: Store) -> None:
    key = ids(store)[2]
    judgement = Judgement(
        who="Ada",
        when=1234.5,
        seconds=2.25,
        shown_order=(1, 0),
        verdict="ranked",
        ranks=(2, 1),
        strength=2,
        note="polite; <b>not</b> markup",
        queue="least_sure",
    )
    store.judge("d", key, judgement)
    with reopened(store) as again:
        assert list(again.verdicts("d")) == [(key, judgement)]
        assert again.annotators() == ["Ada"]


def test_the_last_word_of_a_person_counts_and_a_repeat_stands_beside_it(store: Store) -> None:
    one, two = ids(store)[:2]
    store.judge("d", one, said("Ada", 1, 2))
    store.judge("d", one, said("Ben", 1, 2))
    store.judge("d", two, said("Ada", 2, 1))
    store.judge("d", one, said("Ada", 2, 1))
    assert live(store) == [(0, (1, 2)), (1, (2, 1)), (0, (2, 1))]
    assert live(store, "Ada") == [(1, (2, 1)), (0, (2, 1))]
    store.judge("d", one, said("Ada", 1, 2, repeat=True))
    assert live(store, "Ada") == [(1, (2, 1)), (0, (2, 1)), (0, (1, 2))]
    assert (store.verdict_count("d"), store.verdict_count("d", "Ada"), store.verdict_count("d", "Eve")) == (4, 3, 0)


def test_undo_goes_back_one_by_one_across_restarts_and_redo_forward(store: Store) -> None:
    one, two = ids(store)[:2]
    first, second, third = said("Ada", 1, 2, when=1), said("Ada", 2, 1, when=2), said("Ada", 1, 1, verdict="tie")
    store.judge("d", one, first)
    store.judge("d", two, second)
    store.judge("d", one, third)
    assert store.undo("Ada") == ("d", one, third)
    assert live(store) == [(0, (1, 2)), (1, (2, 1))]
    store = reopened(store)
    assert store.undo("Ada") == ("d", two, second)
    assert store.redo("Ada") == ("d", two, second)
    store = reopened(store)
    assert store.redo("Ada") == ("d", one, third)
    assert store.redo("Ada") is None
    assert live(store) == [(1, (2, 1)), (0, (1, 1))]
    for _ in range(3):
        assert store.undo("Ada") is not None
    assert store.undo("Ada") is None
    assert live(store) == []
    store.close()


def test_a_new_verdict_drops_what_could_be_redone_of_that_person_alone(store: Store) -> None:
    one, two, three = ids(store)[:3]
    store.judge("d", one, said("Ada", 1, 2))
    store.judge("d", two, said("Ben", 1, 2))
    store.undo("Ada")
    store.undo("Ben")
    store.judge("d", three, said("Ada", 2, 1))
    assert store.redo("Ada") is None
    assert store.redo("Ben") == ("d", two, said("Ben", 1, 2))


def test_undoing_a_repeat_leaves_the_first_verdict_alone(store: Store) -> None:
    one = ids(store)[0]
    store.judge("d", one, said("Ada", 1, 2))
    store.judge("d", one, said("Ada", 2, 1))
    store.judge("d", one, said("Ada", 1, 2, repeat=True))
    store.undo("Ada")
    assert live(store) == [(0, (2, 1))]
    store.redo("Ada")
    assert live(store) == [(0, (2, 1)), (0, (1, 2))]


def test_a_history_goes_over_all_data_sets_and_forgets_deleted_ones(store: Store) -> None:
    with store.new_dataset("e", "test", "pair") as writer:
        writer.add([pair(9)])
    store.judge("d", ids(store)[0], said("Ada", 1, 2))
    store.judge("e", ids(store, "e")[0], said("Ada", 2, 1))
    store.rename_dataset("d", "other")
    store.delete_dataset("e")
    undone = store.undo("Ada")
    assert undone is not None
    assert undone[0] == "other"
    assert store.undo("Ada") is None


def test_what_cannot_be_compared_is_refused_in_words(store: Store) -> None:
    asked: list[AnyRecord] = [
        PromptOnly(prompt=prompt("q")),
        Candidates(prompt=prompt("q"), completions=tuple(Completion(text=t) for t in "abc")),
    ]
    with store.new_dataset("other", "test", "mixed") as writer:
        writer.add(asked)
    lone, three = ids(store, "other")
    with pytest.raises(LabError, match="no answers that could be compared"):
        store.judge("other", lone, said("Ada", verdict="skip"))
    with pytest.raises(LabError, match="2 answers were ranked, but the record in 'other' has 3"):
        store.judge("other", three, said("Ada", 1, 2))
    with pytest.raises(LabError, match="not in 'd' any more"):
        store.judge("d", three, said("Ada", 1, 2, 2))
    with pytest.raises(LabError, match="no data set named 'x'"):
        store.judge("x", three, said("Ada", 1, 2, 2))
    assert store.annotators() == []
    store.judge("other", three, said("Ada", 1, 2, 2))
    assert live(store, name="other") == [(1, (1, 2, 2))]


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "ranked", "ranks": (1, 1)},
        {"verdict": "tie", "ranks": (1, 2)},
        {"verdict": "ranked", "ranks": (1, 3)},
        {"verdict": "ranked", "ranks": ()},
        {"verdict": "skip", "ranks": (1, 2)},
        {"verdict": "ranked", "ranks": (1, 2), "shown_order": (0, 0)},
        {"verdict": "ranked", "ranks": (1, 2), "shown_order": (2, 0, 1)},
        {"verdict": "ranked", "ranks": (1, 2), "who": ""},
        {"verdict": "ranked", "ranks": (1, 2), "seconds": -1},
    ],
)
def test_a_judgement_fits_together(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Judgement.model_validate({"who": "Ada", "when": 1.0, **wrong})


def test_the_one_best_answer() -> None:
    assert [said("a", *r).best for r in ((1, 2), (2, 1), (2, 1, 3), (1, 1, 3))] == [0, 1, 1, None]
    assert said("a", verdict="both_bad").best is None
    assert [answer.text for answer in answers_of(pair(1))] == ["yes", "no"]


def test_annotators_are_added_once_and_named_properly(store: Store) -> None:
    for name in ("Ada", "Ben", "Ada"):
        store.add_annotator(name)
    assert store.annotators() == ["Ada", "Ben"]
    for bad in ("", " ", " Ada", "a\nb", "x" * 81):
        with pytest.raises(LabError, match="cannot name a person"):
            store.add_annotator(bad)


def test_guidelines_belong_to_a_data_set_and_stay(store: Store) -> None:
    assert store.guidelines("d") == ""
    store.set_guidelines("d", "Prefer the honest answer.")
    with reopened(store) as again:
        assert again.guidelines("d") == "Prefer the honest answer."


def test_every_commit_of_a_verdict_is_synced(store: Store) -> None:
    store.judge("d", ids(store)[0], said("Ada", 1, 2))
    assert store._durable is not None
    assert store._durable.rows("PRAGMA synchronous") == [(2,)]


def test_a_verdict_is_seen_from_another_connection_at_once(store: Store) -> None:
    with Store.open(store.path) as other:
        store.judge("d", ids(store)[0], said("Ada", 1, 2))
        assert live(other) == [(0, (1, 2))]
        assert other.undo("Ada") is not None
        assert live(store) == []


def test_a_verdict_waits_a_little_for_another_writer_then_says_so(store: Store) -> None:
    key = ids(store)[0]
    store.judge("d", key, said("Ada", 1, 2))
    blocker = sqlite3.connect(store.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with Store.open(store.path, busy_ms=50) as window:
        start = time.perf_counter()
        with pytest.raises(LabError, match="in use by another process"):
            window.judge("d", key, said("Ada", 2, 1))
        assert 0.1 < time.perf_counter() - start < 2
        assert live(window) == [(0, (1, 2))]
        blocker.execute("ROLLBACK")
        blocker.close()
        window.judge("d", key, said("Ada", 2, 1))
        assert live(window) == [(0, (2, 1))]
