"""Queues: what each offers to whom, from what people said and what a model scored; and that they open at once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.judgement import Judgement, QueueName
from rlhf_lab.core.records import AnyRecord, Candidates, Completion, Message, Pair, Prompt, PromptOnly, Ranking, Rated
from rlhf_lab.store import Store


def prompt(text: str) -> Prompt:
    return Prompt(messages=(Message(role="user", content=text),))


def pair(number: int) -> Pair:
    return Pair(prompt=prompt(f"question {number}"), chosen=Completion(text="yes"), rejected=Completion(text="no"))


def answers(count: int) -> tuple[Completion, ...]:
    return tuple(Completion(text=f"answer {n}") for n in range(count))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        with store.new_dataset("d", "test", "pair") as writer:
            writer.add([pair(n) for n in range(40)])
        yield store


def ids(store: Store, name: str = "d") -> list[int]:
    return [row.id for row in store.page(name)]


def say(store: Store, who: str, record: int, *ranks: int, queue: str = "unranked", repeat: bool = False) -> None:
    verdict = ("tie" if len(set(ranks)) == 1 else "ranked") if ranks else "both_bad"
    store.judge("d", record, Judgement(who=who, when=1.0, verdict=verdict, ranks=ranks, queue=queue, repeat=repeat))


def offered(store: Store, name: QueueName, who: str = "Ada", limit: int = 50, seed: int = 0) -> list[int]:
    numbers = {key: number for number, key in enumerate(ids(store))}
    return [numbers[key] for key in store.queue("d", name, who, model_key="reward-1", limit=limit, seed=seed)]


def test_unranked_is_one_shuffled_order_for_everybody_without_what_they_judged(store: Store) -> None:
    first = offered(store, "unranked", seed=4)
    assert sorted(first) == list(range(40))
    assert first != sorted(first)
    assert offered(store, "unranked", "Ben", seed=4, limit=7) == first[:7]
    assert offered(store, "unranked", seed=5) != first
    keys = ids(store)
    for number in first[:3]:
        say(store, "Ada", keys[number], 1, 2)
    store.remove("d", [keys[first[3]]])
    still = ids(store)
    assert store.queue("d", "unranked", "Ada", seed=4, limit=2) == [keys[n] for n in first[4:6]]
    assert set(store.queue("d", "unranked", "Ada", seed=4, limit=99)) == set(still) - {keys[n] for n in first[:3]}
    store.undo("Ada")
    assert store.queue("d", "unranked", "Ada", seed=4, limit=1) == [keys[first[2]]]


def test_only_what_a_person_can_rank_is_offered(store: Store) -> None:
    records: list[AnyRecord] = [
        PromptOnly(prompt=prompt("q")),
        Candidates(prompt=prompt("q"), completions=answers(9)),
        Candidates(prompt=prompt("q"), completions=answers(10)),
        pair(1),
    ]
    with store.new_dataset("mixed", "test", "mixed") as writer:
        writer.add(records)
    keys = ids(store, "mixed")
    assert sorted(store.queue("mixed", "unranked", "Ada")) == [keys[1], keys[3]]
    store.put_scores(
        "mixed", "reward-1", [(key, [float(n) for n in range(k)]) for key, k in zip(keys, (0, 9, 10, 2), strict=True)]
    )
    assert sorted(store.queue("mixed", "least_sure", "Ada", model_key="reward-1")) == [keys[1], keys[3]]
    with store.new_dataset("prompts", "test", "prompt") as writer:
        writer.add(records[:1])
    assert store.queue("prompts", "unranked", "Ada") == []


def test_least_sure_follows_the_gap_between_the_two_best(store: Store) -> None:
    keys = ids(store)
    store.put_scores("d", "reward-1", [(key, (float(n), float(20 - n))) for n, key in enumerate(keys)])
    assert offered(store, "least_sure", limit=3) == [10, 9, 11]
    say(store, "Ada", keys[10], 1, 2)
    assert offered(store, "least_sure", limit=2) == [9, 11]
    assert offered(store, "least_sure", "Ben", limit=1) == [10]
    assert store.queue("d", "least_sure", "Ada") == []
    assert store.queue("d", "least_sure", "Ada", model_key="reward-2") == []


def test_disagrees_looks_at_people_first_and_at_the_data_where_nobody_judged(store: Store) -> None:
    keys = ids(store)
    store.put_scores("d", "reward-1", [(keys[0], (0, 3)), (keys[1], (0, 1)), (keys[2], (5, 0)), (keys[3], (1, 0))])
    assert offered(store, "disagrees") == [0, 1]
    say(store, "Ben", keys[0], 2, 1)
    say(store, "Ben", keys[2], 2, 1)
    assert offered(store, "disagrees") == [2, 1]
    say(store, "Ada", keys[2], 2, 1, queue="disagrees")
    assert offered(store, "disagrees") == [1]
    assert offered(store, "disagrees", "Ben") == [2, 1]


def test_disagrees_knows_what_rankings_and_ratings_say(store: Store) -> None:
    with store.new_dataset("several", "test", "mixed") as writer:
        writer.add(
            [
                Ranking(prompt=prompt("a"), completions=answers(3), ranks=(2, 1, 3)),
                Rated(prompt=prompt("b"), completions=answers(3), ratings=(1.0, 9.0, 2.0)),
                Ranking(prompt=prompt("c"), completions=answers(3), ranks=(1, 1, 3)),
                Candidates(prompt=prompt("d"), completions=answers(3)),
            ]
        )
    keys = ids(store, "several")
    store.put_scores("several", "reward-1", [(key, (1.0, 0.0, 5.0)) for key in keys])
    assert store.queue("several", "disagrees", "Ada", model_key="reward-1") == keys[:2]
    store.put_scores("several", "reward-1", [(key, (1.0, 6.0, 5.0)) for key in keys])
    assert store.queue("several", "disagrees", "Ada", model_key="reward-1") == []


def test_people_who_disagree(store: Store) -> None:
    keys = ids(store)
    say(store, "Ada", keys[0], 1, 2)
    say(store, "Ben", keys[0], 1, 2)
    say(store, "Ada", keys[1], 1, 2)
    say(store, "Ben", keys[1], 2, 1)
    say(store, "Ada", keys[2], 1, 1)
    say(store, "Ben", keys[2])
    say(store, "Ada", keys[3], 1, 2)
    say(store, "Ada", keys[3], 2, 1, repeat=True)
    assert offered(store, "annotators", "Cleo") == [1, 2]
    say(store, "Ada", keys[1], 1, 2, queue="annotators")
    assert offered(store, "annotators", "Ada") == [2]
    say(store, "Ben", keys[1], 1, 2)
    assert offered(store, "annotators", "Cleo") == [2]


def test_repeats_are_older_verdicts_of_the_same_person_not_asked_again_yet(store: Store) -> None:
    keys = ids(store)
    for key in keys[:25]:
        say(store, "Ada", key, 1, 2)
    say(store, "Ben", keys[30], 1, 2)
    assert sorted(offered(store, "repeats")) == [0, 1, 2, 3, 4]
    say(store, "Ada", keys[2], 1, 2, queue="repeats", repeat=True)
    assert sorted(offered(store, "repeats")) == [0, 1, 3, 4, 5]
    assert offered(store, "repeats", limit=3, seed=1) == offered(store, "repeats", limit=3, seed=1)
    assert offered(store, "repeats", "Ben") == []


def test_scores_are_kept_for_each_model_and_dropped_with_an_edit(store: Store) -> None:
    keys = ids(store)
    assert [row.id for row in store.unscored("d", "reward-1", limit=2)] == keys[:2]
    assert store.put_scores("d", "reward-1", [(keys[0], (0.5, 0.25)), (keys[1], (1.0, 2.0)), (99, (1.0, 2.0))]) == 2
    assert store.put_scores("d", "reward-2", [(keys[0], (7.0, 8.0)), (keys[2], (1.0, 2.0, 3.0))]) == 1
    assert list(store.scores("d", "reward-1")) == [(keys[0], (0.5, 0.25)), (keys[1], (1.0, 2.0))]
    assert [store.score_count("d", model) for model in ("reward-1", "reward-2")] == [2, 1]
    assert [row.id for row in store.unscored("d", "reward-1", limit=2)] == keys[2:4]
    assert [row.id for row in store.unscored("d", "reward-2", limit=2, after=keys[20])] == keys[21:23]
    store.edit("d", keys[0], pair(1000))
    assert list(store.scores("d", "reward-1")) == [(keys[1], (1.0, 2.0))]
    assert store.score_count("d", "reward-2") == 0
    with pytest.raises(ValueError, match="not finite"):
        store.put_scores("d", "reward-1", [(keys[0], (float("nan"), 1.0))])
    store.delete_dataset("d")
    assert store._connection.rows("SELECT count(*) FROM scores") == [(0,)]


def test_every_queue_of_many_records_opens_at_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "many.sqlite") as store:
        with store.new_dataset("d", "test", "pair") as writer:
            writer.add([pair(n) for n in range(20_000)])
        keys = [row.id for row in store.page("d", limit=20_000)]
        store.put_scores("d", "reward-1", [(key, (1.0, n % 97 / 50)) for n, key in enumerate(keys)])
        for number in range(60):
            say(store, "Ada" if number % 2 else "Ben", keys[number // 2], 1, 2)
        names: list[QueueName] = ["unranked", "least_sure", "disagrees", "annotators", "repeats"]
        for name in names:
            times = []
            for _ in range(3):
                start = time.perf_counter()
                store.queue("d", name, "Ada", model_key="reward-1")
                times.append(time.perf_counter() - start)
            assert min(times) < 0.1, name
