"""Every fault of the table, put for real under a real window: ``PYTHONPATH=. python -m tests.benchmarks.fault_table``.

For each: how it was put, the words that were then read from the window, after how many seconds, and the longest time
that the window's 16 ms timer was kept waiting meanwhile (200 ms are allowed). ``--json`` for machines, ``--only`` for
some. Where this user may mount (root), the disk that gets full is a small one of its own, else those rows are left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from tests.benchmarks.fault_bench import Bench, Row, application
from tests.benchmarks.fault_rows import AT_WORK, ON_A_SMALL_DISK, SLOW
from tests.benchmarks.fault_starts import all_starts, victim

MOST_MS = 200.0
DISK_MB = 400


@contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """Whether there is a disk of its own at that place."""
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(place)]
    mounted = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| fault | put how | what the user saw | s | longest gap, ms | then |", "|---|---|---|---|---|---|"]
    for row in rows:
        seconds = "–" if row.seconds is None else f"{row.seconds:g}"
        then = row.then if row.sound else f"{row.then} (NOT SOUND)"
        lines.append(f"| {row.fault} | {row.how} | {row.saw} | {seconds} | {row.gap_ms:g} | {then} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table; exit with 1 where a row is missing, unsound or over the budget."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true")
    options.add_argument("--only", default="", help="a part of the name of the scripts to play")
    options.add_argument("--victim", nargs=3, metavar=("KIND", "PROJECT", "PLACE"), help=argparse.SUPPRESS)
    wanted = options.parse_args()
    application()
    if wanted.victim:
        kind, folder, place = wanted.victim
        victim(kind, Path(folder), Path(place))
        return
    with tempfile.TemporaryDirectory(prefix="fault table ü ") as name:
        place = Path(name)
        bench = Bench(place)
        scripts = [script for script in AT_WORK if wanted.only in script.__name__]
        play(bench, place / "Projekt Ü 実験", scripts)
        if wanted.only in "starts":
            all_starts(bench, place)
        with small_disk(place / "small disk") as mounted:
            scripts = [script for script in ON_A_SMALL_DISK if wanted.only in script.__name__]
            play(bench, place / "small disk" / "project", scripts if mounted else [])
        play(bench, place / "Projekt Ü 実験", [script for script in SLOW if wanted.only in script.__name__])
    sys.stdout.write(json.dumps([asdict(row) for row in bench.rows]) if wanted.json else table(bench.rows))
    sys.stdout.write("\n")
    sys.exit(any(row.seconds is None or not row.sound or row.gap_ms > MOST_MS for row in bench.rows))


def play(bench: Bench, folder: Path, scripts: list) -> None:  # type: ignore[type-arg]
    """These scripts in one window."""
    if not scripts:
        return
    bench.open(folder)

    def ready() -> Iterator:  # type: ignore[type-arg]
        yield bench.ready()

    bench.play(ready())
    for script in scripts:
        bench.play(script(bench))
        bench.clear()
    bench.close()


if __name__ == "__main__":
    main()
