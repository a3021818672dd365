"""Data sets in the store: what is written is read back, in pages, by splits, by search; nothing half-done is seen."""

import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import (
    AnyRecord,
    Completion,
    Demonstration,
    Message,
    Pair,
    Prompt,
    PromptOnly,
    Unpaired,
)
from rlhf_lab.store import Filters, Store

TAGS = st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(-9, 9) | st.booleans(), max_size=3)
PROMPT = st.builds(
    Prompt,
    messages=st.lists(
        st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=st.text()), min_size=1
    ).map(tuple),
    tags=TAGS,
)
COMPLETION = st.builds(Completion, text=st.text(), source=st.text(max_size=8))
COMMON = {"prompt": PROMPT, "split": st.sampled_from(["train", "heldout"]), "tags": TAGS}
RECORD: st.SearchStrategy[AnyRecord] = st.one_of(
    st.builds(PromptOnly, **COMMON),
    st.builds(Demonstration, completion=COMPLETION, **COMMON),
    st.builds(Unpaired, completion=COMPLETION, label=st.booleans(), **COMMON),
    st.builds(
        Pair,
        chosen=COMPLETION,
        rejected=COMPLETION,
        tie=st.booleans(),
        margin=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        **COMMON,
    ),
)


def pair(number: int, chosen: str = "yes", split: str = "train") -> Pair:
    return Pair(
        prompt=Prompt(messages=(Message(role="user", content=f"question {number}"),)),
        chosen=Completion(text=chosen),
        rejected=Completion(text="no"),
        split=split,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        yield store


def fill(store: Store, name: str, records: list[AnyRecord]) -> str:
    with store.new_dataset(name, "test", "pair") as writer:
        writer.add(records)
    return writer.name


@settings(max_examples=25, deadline=None)
@given(st.lists(RECORD, max_size=6))
def test_any_record_comes_back_as_it_was(records: list[AnyRecord]) -> None:
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "lab.sqlite") as store:
        fill(store, "d", records)
        assert list(store.records("d")) == records
        assert [row.record for row in store.page("d")] == records
        (row,) = store.datasets()
        assert (row.records, row.train + row.heldout) == (len(records), len(records))


def test_pages_follow_each_other_and_jumps_land_on_the_row(store: Store) -> None:
    records = [pair(n) for n in range(1300)]
    fill(store, "other", [pair(n) for n in range(7)])
    with store.new_dataset("d", "test", "pair") as writer:
        writer.add(records[:1000])
        writer.add(records[1000:])
    found, after = [], None
    while page := store.page("d", after, limit=400):
        found += [row.record for row in page]
        after = page[-1].id
    assert found == records
    assert [row.record for row in store.page_at("d", 1298)] == records[1298:]
    assert store.page_at("d", 1300) == []
    assert store.page_at("d", 5, limit=1)[0] == store.page("d", limit=6)[5]


def test_search_looks_at_prompts_and_answers_but_not_at_the_json(store: Store) -> None:
    fill(store, "d", [pair(1, 'He said "100% sure"\n'), pair(2, "naïve_text"), pair(3, "NAIVE")])
    for text in ('said "100%', 'sure"\n', "QUESTION 2", "naïve_", "naive"):
        assert store.count("d", Filters(text)) == 1
    for part_of_the_json in ("chosen", "role", "tags", "user", "question_"):
        assert store.count("d", Filters(part_of_the_json)) == 0
    assert store.count("d", Filters("question")) == store.count("d") == 3
    assert [row.record for row in store.page_at("d", 1, filters=Filters("question"))] == [
        row.record for row in store.page("d", store.page("d")[0].id)
    ]


def test_splits_are_counted_and_read_apart(store: Store) -> None:
    fill(store, "d", [pair(1), pair(2, split="heldout"), pair(3)])
    (row,) = store.datasets()
    assert (row.train, row.heldout) == (2, 1)
    assert [r.prompt.text for r in store.records("d", "heldout")] == ["question 2"]


def test_a_data_set_is_not_seen_before_it_is_complete(store: Store) -> None:
    with store.new_dataset("d", "test", "pair") as writer:
        writer.add([pair(1)])
        with Store.open(store.path) as other:
            assert other.datasets() == []
            with pytest.raises(LabError, match="no data set named 'd'"):
                other.count("d")
    assert [row.name for row in store.datasets()] == ["d"]


def test_an_exception_leaves_nothing(store: Store) -> None:
    def break_off() -> None:
        with store.new_dataset("d", "test", "pair") as writer:
            writer.add([pair(1)])
            writer.problem(1, "bad")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert store.datasets() == []
    assert rows_in(store, "records", "problems", "datasets") == [0, 0, 0]


def test_deleting_removes_all_rows_of_it_and_no_other(store: Store) -> None:
    fill(store, "a", [pair(1), pair(2)])
    fill(store, "b", [pair(3)])
    store.delete_dataset("a")
    assert [row.name for row in store.datasets()] == ["b"]
    assert rows_in(store, "records", "datasets") == [1, 1]
    assert list(store.records("b")) == [pair(3)]


def test_names_are_made_unique_and_checked(store: Store) -> None:
    assert [fill(store, "d", []) for _ in range(3)] == ["d", "d (2)", "d (3)"]
    with pytest.raises(LabError, match="already a data set named 'd'"):
        store.rename_dataset("d (2)", "d")
    store.rename_dataset("d (2)", "e")
    assert [row.name for row in store.datasets()] == ["d", "e", "d (3)"]
    for bad in ("", "  ", "a\nb", "x" * 201):
        with pytest.raises(LabError, match="cannot name a data set"):
            store.rename_dataset("e", bad)


def test_problems_are_listed_to_a_limit_and_all_counted(store: Store) -> None:
    with store.new_dataset("d", "test", "pair") as writer:
        writer.add([pair(1)])
        writer.problem(1, "first")
        writer.problems_found((n, "more") for n in range(2, 12_001))
    listed, total = store.problems("d", limit=3)
    assert (listed, total) == ([(1, "first"), (2, "more"), (3, "more")], 12_000)
    assert store.datasets()[0].problems == 12_000
    assert rows_in(store, "problems") == [10_000]


def test_the_kind_follows_from_the_records(store: Store) -> None:
    asked = PromptOnly(prompt=Prompt(messages=(Message(role="user", content="q"),)))
    fill(store, "both", [pair(1), asked])
    fill(store, "prompts", [asked])
    assert [row.kind for row in store.datasets()] == ["mixed", "prompt"]


def test_two_writers_at_once(store: Store) -> None:
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            with Store.open(store.path) as own, own.new_dataset(name, "test", "pair") as writer:
                for start in range(0, 400, 20):
                    writer.add([pair(n, name) for n in range(start, start + 20)])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for name in ("a", "b"):
        assert list(store.records(name)) == [pair(n, name) for n in range(400)]


def rows_in(store: Store, *tables: str) -> list[int]:
    db = sqlite3.connect(store.path)
    try:
        return [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    finally:
        db.close()


def test_records_are_found_by_their_prompts_however_many_ask_the_same(store: Store) -> None:
    with store.new_dataset("d", "lab", "pair") as writer:
        writer.add(pair(number % 3) for number in range(2000))
    with store.new_dataset("other", "lab", "pair") as writer:
        writer.add([pair(1)])

    found = list(store.asking("d", ["question 1", "question 2", "question 7"]))

    assert [row.record.prompt.text for row in found[:3]] == ["question 1", "question 2", "question 1"]
    assert [row.id for row in found] == [row.id for row in store.page("d", limit=2000) if row.record != pair(0)]
    assert list(store.asking("d", [])) == []
