"""Records that are added one after the other to a data set that is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.records import Candidates, Completion, Message, Prompt, PromptOnly
from rlhf_lab.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as opened:
        with opened.new_dataset("fresh", "lab", "candidates"):
            pass
        with opened.new_dataset("next", "lab", "candidates") as writer:
            writer.add([candidates(100)])
        yield opened


def candidates(n: int, split: str = "train") -> Candidates:
    prompt = Prompt(messages=(Message(role="user", content=f"Question {n}?"),))
    return Candidates(prompt=prompt, completions=(Completion(text="a"), Completion(text="b")), split=split)


def test_they_are_there_in_order_and_counted(store: Store) -> None:
    first = store.append("fresh", [candidates(0), candidates(1, "heldout")])
    second = store.append("fresh", [candidates(2)])

    assert [row.id for row in store.page("fresh")] == first + second
    assert [row.record for row in store.page("fresh")] == [candidates(0), candidates(1, "heldout"), candidates(2)]
    (row, other) = store.datasets()
    assert (row.records, row.train, row.heldout, row.kind) == (3, 2, 1, "candidates")
    assert (other.records, store.page_at("fresh", 2, 1)[0].id) == (1, second[0])


def test_the_place_of_a_removed_one_stays_its_own(store: Store) -> None:
    ids = store.append("fresh", [candidates(0), candidates(1)])
    store.remove("fresh", ids[1:])

    (added,) = store.append("fresh", [candidates(2)])
    store.undo_edit("fresh")

    assert [(row.id, row.record) for row in store.page("fresh")] == [
        (ids[0], candidates(0)),
        (ids[1], candidates(1)),
        (added, candidates(2)),
    ]


def test_another_kind_makes_it_mixed(store: Store) -> None:
    store.append("fresh", [candidates(0), PromptOnly(prompt=candidates(1).prompt)])

    assert store.datasets()[0].kind == "mixed"
