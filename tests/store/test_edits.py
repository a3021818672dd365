"""Editing and removing records: positions and counts stay right, every step can be undone, also later."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Candidates, Completion, Message, Pair, Prompt
from rlhf_lab.store import Change, Filters, Store


def pair(number: int, chosen: str = "yes", rejected: str = "no") -> Pair:
    return Pair(
        prompt=Prompt(messages=(Message(role="user", content=f"question {number}"),)),
        chosen=Completion(text=chosen),
        rejected=Completion(text=rejected),
        split="heldout" if number % 5 == 0 else "train",
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        fill(store, "other", 3)
        fill(store, "d", 3000)
        yield store


def fill(store: Store, name: str, count: int) -> None:
    with store.new_dataset(name, "test", "pair") as writer:
        writer.add(pair(n) for n in range(count))


def ids(store: Store) -> list[int]:
    return [row.id for row in store.page("d", limit=5000)]


def counts(store: Store) -> tuple[int, int, int]:
    row = store.datasets()[1]
    return row.records, row.train, row.heldout


def test_every_position_is_right_after_any_removals_and_their_undoing(store: Store) -> None:
    chance, rng = ids(store), random.Random(3)
    for remove in (chance[1024:2048], rng.sample(chance, 400), chance[:1], chance[-1:], chance[2040:2060]):
        store.remove("d", remove)
        left = [row.id for row in store.page("d", limit=5000)]
        assert counts(store)[0] == len(left) == store.count("d")
        for position in [0, 1, 500, len(left) - 1, *rng.sample(range(len(left)), 60)]:
            assert [row.id for row in store.page_at("d", position, 3)] == left[position : position + 3]
        assert store.page_at("d", len(left)) == []
    for _ in range(5):
        assert store.undo_edit("d") is not None
    assert ids(store) == chance
    assert [row.id for row in store.page_at("d", 1500, 2)] == chance[1500:1502]
    assert counts(store) == (3000, 2400, 600)
    assert store.count("other") == 3


def test_an_edit_is_seen_counted_and_undone_across_restarts(store: Store) -> None:
    key = ids(store)[7]
    new = pair(7, "changed").model_copy(update={"split": "heldout"})
    assert store.edit("d", key, new) == Change("edited", (key,))
    assert store.edit("d", key, new) is None
    store.remove("d", [key])
    store.close()
    store = Store.open(store.path)
    assert store.edit_steps("d") == (2, 0)
    with pytest.raises(LabError, match="was removed"):
        store.record("d", key)
    assert store.undo_edit("d") == Change("restored", (key,))
    assert store.record("d", key) == new
    assert (counts(store), store.count("d", Filters("changed"))) == ((3000, 2399, 601), 1)
    assert store.undo_edit("d") == Change("edited", (key,))
    assert store.undo_edit("d") is None
    assert (counts(store), store.record("d", key)) == ((3000, 2400, 600), pair(7))
    assert store.redo_edit("d") == Change("edited", (key,))
    assert store.record("d", key) == new
    assert store.redo_edit("d") == Change("removed", (key,))
    assert store.redo_edit("d") is None
    store.undo_edit("d")
    store.edit("d", key, pair(7, "again"))
    assert store.redo_edit("d") is None
    store.close()


def test_removing_what_is_not_there_does_nothing(store: Store) -> None:
    other = store.page("other")[0].id
    assert store.remove("d", [other, 12345]) is None
    assert (store.count("other"), store.edit_steps("d")) == (3, (0, 0))
    with pytest.raises(LabError, match="was removed"):
        store.edit("d", other, pair(1))


def test_verdicts_on_removed_records_wait(store: Store) -> None:
    key = ids(store)[0]
    judgement = Judgement(who="Ada", when=1.0, verdict="ranked", ranks=(1, 2))
    store.judge("d", key, judgement)
    store.remove("d", [key])
    assert (list(store.verdicts("d")), store.verdict_count("d")) == ([], 0)
    store.undo_edit("d")
    assert list(store.verdicts("d")) == [(key, judgement)]


def test_an_edit_does_not_change_what_people_said(store: Store) -> None:
    key = ids(store)[1]
    swapped = pair(1, "no", "yes")
    store.edit("d", key, swapped)
    store.judge("d", key, Judgement(who="Ada", when=1.0, verdict="ranked", ranks=(1, 2)))
    with pytest.raises(LabError, match="have judged these answers"):
        store.edit("d", key, pair(1))
    with pytest.raises(LabError, match="have judged these answers"):
        store.undo_edit("d")
    assert store.record("d", key) == swapped
    store.edit("d", key, pair(1, "no!", "yes"))
    several = Candidates(prompt=pair(1).prompt, completions=(Completion(text="a"), Completion(text="b")))
    with pytest.raises(LabError, match="cannot make a candidates of a pair"):
        store.edit("d", key, several)


def test_deleting_the_data_set_leaves_nothing_of_its_history(store: Store) -> None:
    keys = ids(store)
    store.edit("d", keys[0], pair(0, "new"))
    store.remove("d", keys[5:9])
    store.judge("d", keys[0], Judgement(who="Ada", when=1.0, verdict="skip"))
    store.delete_dataset("d")
    for table in ("edits", "touched", "gaps", "verdicts", "problems"):
        assert store._connection.rows(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_look_costs_the_same_anywhere(store: Store) -> None:
    keys = ids(store)
    store.remove("d", keys[100:200])

    def cost(look: Callable[[], object]) -> int:
        """In hundreds of steps of SQLite's machine."""
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        store._connection._sqlite.set_progress_handler(count, 100)
        look()
        store._connection._sqlite.set_progress_handler(None, 0)
        return steps

    first, last = cost(lambda: store.page("d", limit=20)), cost(lambda: store.page("d", keys[-30], 20))
    assert last <= first + 2
    assert cost(lambda: store.page_at("d", 2800, 20)) <= first + 60
    assert cost(lambda: store.page("d", keys[-30], 20, Filters(split="train"))) <= first + 10
