"""The search index: the same answers as looking at every record, also after changes; made anew where it must be."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Candidates, Completion, Message, Pair, Prompt
from rlhf_lab.store import Filters, Row, Store

WORDS = (
    "Paris",
    "parish",
    "Été",
    "ete",
    "naïve",
    "don't",
    "100%",
    "blue-green",
    "日本語です",
    "x1",
    "the",
    "capital",
    "of",
)


def pair(rng: random.Random) -> Pair:
    def text() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(1, 6)))

    def answer() -> Completion:
        return Completion(text=text(), source=rng.choice(["", "m1", "m2"]))

    return Pair(
        prompt=Prompt(messages=(Message(role="user", content=text()),)),
        chosen=answer(),
        rejected=answer(),
        split=rng.choice(["train", "heldout"]),
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        rng = random.Random(1)
        for name in ("other", "d"):
            with store.new_dataset(name, "test", "pair") as writer:
                writer.add([pair(rng) for _ in range(300)])
                writer.add(
                    [
                        Candidates(
                            prompt=pair(rng).prompt,
                            completions=(pair(rng).chosen, Completion(text="Oslo", source="m9")),
                        )
                    ]
                )
        yield store


FILTERS = [
    Filters("par"),
    Filters("paris ca"),
    Filters('"paris"'),
    Filters('"of paris"'),
    Filters("don't"),
    Filters("100%"),
    Filters("blue-green the"),
    Filters("本語"),
    Filters("本語 paris", split="train"),
    Filters("%"),
    Filters('paris % "" of'),
    Filters('NOT AND "OR'),
    Filters("the* (capital"),
    Filters("oslo"),
    Filters("nothing"),
    Filters(split="heldout"),
    Filters(source="m1", shortest=20),
    Filters(source="m9", kind="candidates"),
    Filters(source="unknown"),
    Filters(longest=8),
    Filters("the", kind="pair", longest=30),
    Filters("capital", edited=True),
    Filters(judged=True),
    Filters("x1", judged=False),
]


def everything(store: Store) -> list[list[Row]]:
    return [store.page("d", limit=999, filters=filters) for filters in FILTERS]


def test_with_the_index_the_same_is_found_as_without(store: Store) -> None:
    before = everything(store)
    assert [bool(rows) for rows in before].count(True) >= 15
    assert not store.search_ready("d")
    steps: list[tuple[int, int]] = []
    assert store.build_search("d", step=lambda done, total: steps.append((done, total)))
    assert steps == [(301, 301)]
    assert store.search_ready("d")
    assert not store.search_ready("other")
    for filters, rows in zip(FILTERS, before, strict=True):
        ids = [row.id for row in rows]
        assert [row.id for row in store.page("d", limit=999, filters=filters)] == ids, filters
        assert store.count("d", filters) == len(ids)
        assert [key for part in store.find("d", filters) for key in part] == ids
        assert store.page_at("d", len(rows) // 2, 3, filters) == rows[len(rows) // 2 :][:3]
        if rows:
            assert store.page("d", rows[0].id, 2, filters) == rows[1:3]


def test_case_and_accents_do_not_matter(store: Store) -> None:
    store.build_search("d")
    assert store.count("d", Filters("ÉTÉ")) == store.count("d", Filters("ete")) > 0
    assert store.count("d", Filters("NAIVE")) > 0


def test_what_changed_since_is_found_as_it_is_now(store: Store) -> None:
    rng = random.Random(5)
    store.build_search("d")
    keys = [row.id for row in store.page("d", limit=300)]
    for _ in range(3):
        for key in rng.sample(keys[:290], 20):
            store.edit("d", key, pair(rng))
        store.remove("d", rng.sample(keys[:290], 15))
        keys = [row.id for row in store.page("d", limit=300)]
        store.judge("d", keys[0], Judgement(who="Ada", when=1.0, verdict="skip"))
        with_index = everything(store)
        hidden = store.path.parent / "search"
        hidden.rename(hidden.with_name("aside"))
        assert everything(store) == with_index
        hidden.with_name("aside").rename(hidden)
        for _ in range(10):
            store.undo_edit("d")
        assert [row.id for row in store.page("d", filters=Filters("oslo"))] == [keys[-1]]
        keys = [row.id for row in store.page("d", limit=300)]
    with Store.open(store.path) as other:
        assert everything(other) == everything(store)


def test_records_that_were_added_are_found(store: Store) -> None:
    store.build_search("d")
    new = pair(random.Random(9)).model_copy(update={"chosen": Completion(text="Reykjavik")})
    (key,) = store.append("d", [new])
    assert [row.id for row in store.page("d", filters=Filters("reykja"))] == [key]


def test_building_goes_on_where_it_was_broken_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(store)
    monkeypatch.setattr("rlhf_lab.store.search_index.BATCH", 50)
    steps: list[int] = []
    assert not store.build_search("d", lambda done, total: steps.append(done), cancelled=lambda: len(steps) == 3)
    assert steps == [50, 100, 150]
    assert not store.search_ready("d")
    with Store.open(store.path) as other:
        assert other.build_search("d", lambda done, total: steps.append(done))
    assert steps[3:] == [200, 250, 300, 301]
    assert everything(store) == before


def test_many_changes_make_it_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlhf_lab.store.search_index.STALE", 10)
    store.build_search("d")
    store.remove("d", [row.id for row in store.page("d", limit=9)])
    assert store.search_ready("d")
    store.remove("d", [row.id for row in store.page("d", limit=1)])
    assert not store.search_ready("d")
    before = everything(store)
    assert store.build_search("d")
    assert store.search_ready("d")
    assert everything(store) == before


def test_a_damaged_or_foreign_index_is_made_anew(store: Store) -> None:
    before = everything(store)
    store.build_search("d")
    (path,) = (store.path.parent / "search").iterdir()
    for harm in (lambda: path.write_bytes(b"no database" * 500), lambda: foreign(path), lambda: path.write_bytes(b"")):
        harm()
        assert not store.search_ready("d")
        assert everything(store) == before
        assert store.build_search("d")
        assert everything(store) == before


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE built SET created = 1.0")
    db.close()


def test_it_goes_with_its_data_set_and_holds_up_no_writer(store: Store) -> None:
    store.build_search("other")
    blocked: list[str] = []

    def write(done: int, total: int) -> None:
        with Store.open(store.path, busy_ms=0) as other:
            other.set_guidelines("d", "written meanwhile")
            blocked.append(other.guidelines("d"))

    store.build_search("d", write)
    assert blocked == ["written meanwhile"]
    names = {path.name for path in (store.path.parent / "search").iterdir()}
    assert names == {"1.sqlite", "2.sqlite"}
    store.delete_dataset("d")
    assert {path.name for path in (store.path.parent / "search").iterdir()} == {"1.sqlite"}


def test_sources_are_counted_alike_with_and_without(store: Store) -> None:
    without = store.sources("d")
    assert [name for name, _ in without][-1] == "m9"
    assert dict(without)["m9"] == 1
    store.build_search("d")
    assert store.sources("d") == without
    with store.new_dataset("empty", "test", "pair"):
        pass
    assert store.build_search("empty")
    assert (store.sources("empty"), store.count("empty", Filters("a"))) == ([], 0)


def test_a_project_may_be_given_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open(Path("lab.sqlite")) as store:
        with store.new_dataset("d", "test", "pair") as writer:
            writer.add([pair(random.Random(1))])
        assert store.build_search("d")
        assert store.search_ready("d")
