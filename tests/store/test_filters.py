"""Filters let through what they say, alone and together."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Judgement, answers_of
from rlhf_lab.core.records import (
    AnyRecord,
    Candidates,
    Completion,
    Demonstration,
    Message,
    Pair,
    Prompt,
    PromptOnly,
    Unpaired,
)
from rlhf_lab.store import Filters, Store
from rlhf_lab.store.filters import LONGEST_TERM, MOST_TERMS


def prompt(text: str) -> Prompt:
    return Prompt(messages=(Message(role="user", content=text),))


RECORDS: list[AnyRecord] = [
    PromptOnly(prompt=prompt("Why is the sky blue?"), split="heldout"),
    Demonstration(prompt=prompt("Add 2 and 2"), completion=Completion(text="Four.", source="people")),
    Unpaired(prompt=prompt("Add 2 and 3"), completion=Completion(text="5"), label=True),
    Pair(
        prompt=prompt("The capital of France?"),
        chosen=Completion(text="Paris is the capital of France.", source="m1"),
        rejected=Completion(text="100% sure: Lyon_", source="m2"),
    ),
    Candidates(
        prompt=prompt("Name an animal"),
        completions=tuple(Completion(text=t, source=s) for t, s in (("a cat", "m1"), ("a dog", "m3"), ("Paris", "m3"))),
        split="heldout",
    ),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        with store.new_dataset("d", "test", "pair") as writer:
            writer.add(RECORDS)
        yield store


def longest(record: AnyRecord) -> int:
    if isinstance(record, Demonstration | Unpaired):
        return len(record.completion.text)
    return max((len(answer.text) for answer in answers_of(record)), default=len(record.prompt.text))


CASES: list[tuple[Filters, list[int]]] = [
    (Filters(), [0, 1, 2, 3, 4]),
    (Filters(split="heldout"), [0, 4]),
    (Filters(kind="pair"), [3]),
    (Filters(source="m1"), [3, 4]),
    (Filters(source="m3"), [4]),
    (Filters(source="people", split="train"), [1]),
    (Filters(source="m"), []),
    (Filters(shortest=6), [0, 3]),
    (Filters(longest=5), [1, 2, 4]),
    (Filters(shortest=2, longest=5, split="train"), [1]),
    (Filters("paris"), [3, 4]),
    (Filters("capital paris"), [3]),
    (Filters('"capital of france"'), [3]),
    (Filters('"france of"'), []),
    (Filters("add", longest=1), [2]),
    (Filters("100%"), [3]),
    (Filters("nothing"), []),
    (Filters("   "), [0, 1, 2, 3, 4]),
]


@pytest.mark.parametrize(("filters", "expected"), CASES)
def test_each_filter(store: Store, filters: Filters, expected: list[int]) -> None:
    assert found(store, filters) == expected


def found(store: Store, filters: Filters) -> list[int]:
    rows = store.page("d", filters=filters)
    assert store.count("d", filters) == len(rows)
    for position in range(len(rows)):
        assert store.page_at("d", position, 2, filters) == rows[position : position + 2]
        assert store.page("d", rows[position].id, 2, filters) == rows[position + 1 : position + 3]
    return [RECORDS.index(row.record) for row in rows]


def test_edited_and_judged(store: Store) -> None:
    keys = [row.id for row in store.page("d")]
    store.judge("d", keys[3], Judgement(who="Ada", when=1.0, verdict="both_bad"))
    assert found(store, Filters(judged=True)) == [3]
    assert found(store, Filters(judged=False, split="heldout")) == [0, 4]
    store.undo("Ada")
    assert found(store, Filters(judged=True)) == []
    new = RECORDS[1].model_copy(update={"prompt": prompt("Add 1 and 1")})
    store.edit("d", keys[1], new)
    assert [row.record for row in store.page("d", filters=Filters(edited=True))] == [new]
    store.undo_edit("d")
    assert found(store, Filters(edited=True)) == []


@given(st.text())
def test_any_search_has_terms_that_are_in_it(search: str) -> None:
    assert all(term in search and term.strip() for term, _ in Filters(search).terms)


@pytest.mark.parametrize("indexed", [False, True])
def test_a_search_can_be_as_long_as_it_may_and_beyond_that_says_so(store: Store, indexed: bool) -> None:
    if indexed:
        assert store.build_search("d", lambda done, total: None, lambda: False)
    for search in (" ".join(["Paris"] * MOST_TERMS), "%" * LONGEST_TERM, "\x01" * LONGEST_TERM, "𐍈" * LONGEST_TERM):
        assert store.count("d", Filters(search=search)) == (2 if "Paris" in search else 0)
    for search in ("Paris " * (MOST_TERMS + 1), "x" * (LONGEST_TERM + 1)):
        with pytest.raises(LabError, match=r"The search is too long: it takes 200 words"):
            store.count("d", Filters(search=search))


def test_lengths_are_those_of_the_longest_answer(store: Store) -> None:
    for n in range(35):
        assert found(store, Filters(shortest=n)) == [i for i, r in enumerate(RECORDS) if longest(r) >= n]
        assert found(store, Filters(longest=n)) == [i for i, r in enumerate(RECORDS) if longest(r) <= n]
