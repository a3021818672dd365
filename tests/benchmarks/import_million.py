"""Seconds, peak memory and cancel time of importing a million pairs in the child process, beside a bare loop.

    python tests/benchmarks/import_million.py [--pairs 1000000] [--rounds 1] [--json]

The bare loop is the least that any import must do: `json.loads`, and two text columns into SQLite. It runs in
a process of its own; the two take turns, so that a busy machine slows both. The import runs at a lower priority,
so that only its seconds on a core (cpu) compare on a busy machine. Memory is the peak of each process.
The file (about 700 bytes a pair) is made once, and is in the page cache for both.
"""

import argparse
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil

from rlhf_lab.data.source import ImportCancelled
from rlhf_lab.runs.importing import Importing
from rlhf_lab.store import Store

SAMPLE_S = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bare", nargs=2, type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.bare:
        bare_loop(*wanted.bare)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_pairs(folder / "pairs.jsonl", wanted.pairs)
        ours, bare = [], []
        for turn in range(wanted.rounds):
            ours.append(imported(folder / "pairs.jsonl", folder / f"lab-{turn}.sqlite", wanted.pairs))
            bare.append(measured_bare(folder / "pairs.jsonl", folder / f"bare-{turn}.sqlite"))
        cancel = cancelled(folder / "pairs.jsonl", folder / "cancel.sqlite")
    found: dict[str, object] = {
        "pairs": wanted.pairs,
        "megabytes": round(size / 1e6),
        "import_s": statistics.median(seconds for seconds, _ in ours),
        "import_cpu_s": round(statistics.median(peaks.cpu_s for _, peaks in ours), 1),
        "child_peak_mb": round(max(peaks.child for _, peaks in ours)),
        "this_process_peak_mb": round(max(peaks.own for _, peaks in ours)),
        "bare_s": statistics.median(seconds for seconds, _ in bare),
        "bare_cpu_s": round(statistics.median(peaks.cpu_s for _, peaks in bare), 1),
        "bare_peak_mb": round(max(peaks.child for _, peaks in bare)),
        "cancel_s": cancel[0],
        "removed_after_s": cancel[1],
    }
    found["cpu_ratio"] = round(float(str(found["import_cpu_s"])) / float(str(found["bare_cpu_s"])), 2)
    sys.stdout.write(json.dumps(found, indent=None if wanted.json else 2) + "\n")


def imported(file: Path, database: Path, pairs: int) -> tuple[float, "Peaks"]:
    """Seconds until the data set is there, and what it took."""
    Store.open(database).close()
    peaks = Peaks()
    with Importing(database) as data, peaks:
        began = time.perf_counter()
        (result,) = data.import_files([file])
        seconds = time.perf_counter() - began
    assert (result.records, result.problems_total) == (pairs, 0)
    remove(database)
    return round(seconds, 1), peaks


def measured_bare(file: Path, database: Path) -> tuple[float, "Peaks"]:
    """Seconds of the bare loop, and what it took."""
    command = [sys.executable, __file__, "--bare", str(file), str(database)]
    peaks = Peaks()
    with peaks:
        began = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - began
    remove(database)
    return round(seconds, 1), peaks


def bare_loop(file: Path, database: Path) -> None:
    """Each line parsed and stored, nothing looked at."""
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, prompt TEXT, body TEXT)")

    def rows() -> Iterator[tuple[int, str, str]]:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                yield number, json.loads(line)["prompt"], line

    found = rows()
    while batch := list(islice(found, 1000)):
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO records VALUES (?, ?, ?)", batch)
        db.execute("COMMIT")
    db.close()


def cancelled(file: Path, database: Path) -> tuple[float, float]:
    """Seconds from the wish to the answer, half-way through; and until nothing is left in the database."""
    Store.open(database).close()
    asked: list[float] = []

    def progress(done: int, total: int) -> None:
        if 2 * done > total and not asked:
            asked.append(time.perf_counter())

    with Importing(database) as data:
        try:
            data.import_files([file], progress=progress, cancelled=lambda: bool(asked))
        except ImportCancelled:
            answered = time.perf_counter() - asked[0]
    db = sqlite3.connect(database)
    while db.execute("SELECT count(*) FROM datasets").fetchone()[0]:
        time.sleep(SAMPLE_S)
    removed = time.perf_counter() - asked[0]
    db.close()
    return round(answered, 3), round(removed, 1)


class Peaks:
    """Peak resident megabytes of this process and of its child, and the child's seconds on a core, in the block."""

    def __init__(self) -> None:
        self.own = self.child = self.cpu_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._over.wait(SAMPLE_S):
            self.own = max(self.own, me.memory_info().rss / 1e6)
            for child in me.children(recursive=True):
                try:
                    self.child = max(self.child, child.memory_info().rss / 1e6)
                    self.cpu_s = max(self.cpu_s, sum(child.cpu_times()[:2]))
                except psutil.NoSuchProcess:
                    continue


def write_pairs(path: Path, count: int) -> int:
    """About 700 bytes a pair; the file's size."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(5000)]
    texts = [" ".join(draw.choices(words, k=draw.choice([22, 40, 41]))) for _ in range(5000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            prompt, chosen, rejected = draw.choices(texts, k=3)
            row = {"prompt": f"{number} {prompt}", "chosen": f"{chosen} a", "rejected": f"{rejected} b"}
            file.write(json.dumps(row) + "\n")
    return path.stat().st_size


def remove(database: Path) -> None:
    """The database and what lies beside it."""
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()


if __name__ == "__main__":
    main()
