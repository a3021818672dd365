"""How long looks at a million pairs take: ``python tests/benchmarks/browse_million.py``.

Pairs of words drawn by Zipf's law (some 900 bytes of JSON each) are put straight into a store in a temporary
folder; then it is browsed, filtered, searched before and after the index is built, scored, queued, edited and counted.
Times are wall times in milliseconds, as p50, p99 and max of several looks, or in seconds where it says so; "cpu" is
what the process itself worked (its p50), which other work on the machine disturbs less.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from peak import peak_mb

from rlhf_lab.core.judgement import Judgement, QueueName
from rlhf_lab.data.statistics import statistics_of
from rlhf_lab.store import Filters, Store
from rlhf_lab.store.schema import ID_BITS

NAME, MODEL = "million", "reward-1"
PAGE = 128
"""Records that the window's table reads at once."""
_BODY = (
    '{"prompt":{"messages":[{"role":"user","content":"%s"}],"tags":{}},"split":"%s","tags":{},"kind":"pair",'
    '"chosen":{"text":"%s","source":"m%d"},"rejected":{"text":"%s","source":"m%d"},"margin":null,"tie":false,"weight":1.0}'
)


def fill(store: Store, count: int, rng: random.Random) -> list[str]:
    """The data set; returns its words, the most frequent first."""
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(30_000)]
    pool = rng.choices(words, [1 / (n + 1) for n in range(len(words))], k=1_000_000)

    def text(most: int) -> str:
        start, length = rng.randrange(len(pool) - most), rng.randint(10, most)
        return " ".join(pool[start : start + length])

    with store.new_dataset(NAME, "benchmark", "pair") as writer:
        first = writer._dataset << ID_BITS
        for start in range(0, count, 5000):
            rows = []
            for place in range(start, min(start + 5000, count)):
                split, asked = "train" if rng.random() < 0.9 else "heldout", text(30)
                body = _BODY % (asked, split, text(80), rng.randrange(8), text(80), rng.randrange(8))
                rows.append((first + place, "pair", split, asked, body))
            with store._connection.write() as db:
                db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
            writer.records += len(rows)
            writer.train += sum(row[2] == "train" for row in rows)
    return words


def looks(work: Callable[[int], Any], times: int) -> dict[str, float]:
    """Of ``work(0)``, ``work(1)`` …, in milliseconds."""
    wall, cpu = [], []
    for turn in range(times):
        began, worked = time.perf_counter(), time.process_time()
        work(turn)
        wall.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (time.process_time() - worked))
    wall.sort()
    found = {"p50": statistics.median(wall), "p99": wall[int(0.99 * (times - 1))], "max": wall[-1]}
    return {name: round(value, 2) for name, value in (*found.items(), ("cpu", statistics.median(cpu)))}


def seconds(work: Callable[[], Any]) -> dict[str, float]:
    """How long it takes."""
    began, worked = time.perf_counter(), time.process_time()
    work()
    return {"s": round(time.perf_counter() - began, 2), "cpu s": round(time.process_time() - worked, 2)}


def searches(store: Store, words: Sequence[str]) -> dict[str, Any]:
    """Milliseconds to all matches, and how many they are."""
    asked = {
        "rare word": Filters(words[20_000]),
        "three words": Filters(" ".join(words[50:53])),
        "most frequent word": Filters(words[0]),
        "two letters": Filters(words[0][:2]),
        "phrase": Filters(f'"{words[3]} {words[40]}"'),
        "word, held out, from m1": Filters(words[100], split="heldout", source="m1"),
        "held out": Filters(split="heldout"),
        "source": Filters(source="m1"),
        "longer than 400": Filters(shortest=400),
    }
    found: dict[str, Any] = {}
    for what, filters in asked.items():
        began, worked = time.perf_counter(), time.process_time()
        matches = sum(len(part) for part in store.find(NAME, filters))
        wall, cpu = time.perf_counter() - began, time.process_time() - worked
        found[what] = {"ms": round(1000 * wall, 1), "cpu": round(1000 * cpu, 1), "matches": matches}
    return found


def ranking(store: Store, rng: random.Random, times: int) -> dict[str, Any]:
    """Scores of all records, verdicts, and queues that look at both."""
    figures = dict[str, Any]()

    def score() -> None:
        after: int | None = None
        while rows := store.unscored(NAME, MODEL, 5000, after):
            store.put_scores(NAME, MODEL, [(row.id, (rng.gauss(0.3, 1), rng.gauss(0, 1))) for row in rows])
            after = rows[-1].id

    figures["scores of all kept"] = seconds(score)
    ids = [row.id for row in store.page(NAME, limit=4000)]

    def judge(turn: int) -> None:
        ranks, who = ((1, 2), (2, 1))[rng.random() < 0.3], ("Ada", "Ben")[turn % 2]
        said = Judgement(who=who, when=time.time(), seconds=3, shown_order=(0, 1), verdict="ranked", ranks=ranks)
        store.judge(NAME, ids[turn // 2], said)

    figures["judge"] = looks(judge, 2 * len(ids))
    figures["undo and redo a verdict"] = looks(lambda _: (store.undo("Ada"), store.redo("Ada")), times)
    names: list[QueueName] = ["unranked", "least_sure", "disagrees", "annotators", "repeats"]
    figures["queues"] = {
        name: looks(lambda turn, name=name: store.queue(NAME, name, "Ada", model_key=MODEL, seed=turn), 20)
        for name in names
    }
    return figures


def main() -> None:
    """Print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--times", type=int, default=200)
    options.add_argument("--looks-only", action="store_true", help="leave out scores, verdicts and queues")
    options.add_argument("--without-index", action="store_true", help="also search before there is an index")
    wanted = options.parse_args()
    rng, figures = random.Random(0), dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "lab.sqlite") as store:
        began = time.perf_counter()
        words = fill(store, wanted.records, rng)
        figures["filled in s"] = round(time.perf_counter() - began, 1)
        figures["database in MB"] = store.path.stat().st_size // 1_000_000

        def jump(filters: Filters = Filters()) -> list[float]:  # noqa: B008 - frozen
            count = store.count(NAME, filters)
            return looks(lambda _: store.page_at(NAME, rng.randrange(count), PAGE, filters), wanted.times)

        with Store.open(store.path) as cold:
            figures["open and first page"] = looks(lambda _: (cold.count(NAME), cold.page_at(NAME, 0, PAGE)), 1)
        figures["jump"] = jump()
        if wanted.without_index:
            figures["search without index"] = searches(store, words)

        steps = [time.perf_counter()]
        figures["index built"] = seconds(
            lambda: store.build_search(NAME, lambda done, total: steps.append(time.perf_counter()))
        )
        figures["longest step of it"] = round(1000 * max(end - start for start, end in pairwise(steps)), 1)
        figures["index in MB"] = sum(p.stat().st_size for p in (store.path.parent / "search").iterdir()) // 1_000_000
        figures["search"] = searches(store, words)
        figures["jump among matches"] = jump(Filters(words[0]))
        figures["sources"] = looks(lambda _: store.sources(NAME), 3)

        first = store.page_at(NAME, 0, 1)[0].id
        figures["remove one"] = looks(
            lambda _: store.remove(NAME, [store.page_at(NAME, rng.randrange(1000), 1)[0].id]), 50
        )
        figures["remove 1,000"] = looks(
            lambda _: store.remove(NAME, rng.sample(range(first, first + wanted.records), 1000)), 3
        )
        figures["jump over gaps"] = jump()
        figures["undo and redo of it"] = looks(lambda _: (store.undo_edit(NAME), store.redo_edit(NAME)), 3)
        figures["search after changes"] = searches(store, words)

        if not wanted.looks_only:
            figures |= ranking(store, rng, wanted.times)
        figures["statistics"] = seconds(lambda: statistics_of(store.records(NAME)))
        figures["deleted"] = seconds(lambda: store.delete_dataset(NAME))
    figures["peak memory in MB"] = round(peak_mb())
    json.dump(figures, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
