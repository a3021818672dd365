"""How the cost of PPO in the lab grows: with the model, the answers, the batch. ``python tests/benchmarks/growth.py``

One factor at a time leaves the base point (`--shape`, `--answer`, `--batch`): the others stay as they are there. Every
row is one run of `speed_lab.py` in a process of its own, for all layers and for the preset "fast" on an fp32 base
(`lora_layers = 0.33`); the first update sets up and is not counted. Bases are random, so hardly an answer ends before
its limit. A micro-batch is 8 rows, or fewer where their activations would be large. The longest rows take minutes on
one core: ``--quick`` leaves them out. Prints one Markdown table a factor.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speed_ppo import KINDS, SHAPES, make_work, output_of, usual
from speed_stages import in_own_process

FACTORS: dict[str, tuple[Any, ...]] = {
    "shape": tuple(SHAPES),
    "answer": (32, 128, 512),
    "batch": (4, 8, 16, 32, 64),
}
TITLES = {"shape": "Model", "answer": "Answer, tokens", "batch": "Batch, answers"}
LONG: dict[str, tuple[Any, ...]] = {"shape": ("135M",), "answer": (512,), "batch": (32, 64)}
"""What ``--quick`` leaves out, unless it is the base point."""
RUNS = ("all layers", "fast")


def rows(base: dict[str, Any], factor: str, quick: bool) -> Iterator[dict[str, Any]]:
    """The points of one table, the base point among them, in rising order."""
    values = FACTORS[factor]
    if base[factor] not in values:
        values = tuple(sorted({*values, base[factor]}))
    for value in values:
        if not quick or value == base[factor] or value not in LONG[factor]:
            yield base | {factor: value}


def measured(point: dict[str, Any], options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """One run of each kind."""
    asked = argparse.Namespace(
        **point, updates=options.updates, prompt=options.prompt, micro_batch=8, threads=options.threads
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        in_own_process(make_work, folder, asked)
        return {kind: one_run(folder, kind) for kind in RUNS}


def one_run(folder: Path, kind: str) -> dict[str, Any]:
    """As `speed_ppo.py` makes it."""
    changes = [f"{name}={value}" for name, value in KINDS[kind].items()]
    return output_of([sys.executable, str(Path(__file__).with_name("speed_lab.py")), str(folder), *changes])


def figures(run: dict[str, Any], point: dict[str, Any], prompt: int) -> dict[str, float]:
    """Of one run; tokens are those of prompts and answers."""
    seconds = usual(run)
    tokens = point["batch"] * prompt + usual(run, "tokens")
    return {
        "s/update": seconds,
        "CPU s": usual(run, "cpu_seconds"),
        "episodes/s": point["batch"] / seconds,
        "tokens/s": tokens / seconds,
        "peak MB": run["peak_mb"],
    }


def line(cells: list[str]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(cells)} |\n"


def number(value: float) -> str:
    """Three digits, and never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def main() -> None:
    """Table by table, each row as soon as it is known; a point that two tables share runs once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="10M", help="of the base point, as are the next two")
    parser.add_argument("--answer", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=64, help="tokens, of all rows")
    parser.add_argument("--factors", nargs="*", choices=FACTORS, default=list(FACTORS), metavar="FACTOR", help="all")
    parser.add_argument("--updates", type=int, default=3, help="of each run; the first is not counted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="leave out the longest rows")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    base = {"shape": options.shape, "answer": options.answer, "batch": options.batch}
    known: dict[str, dict[str, dict[str, Any]]] = {}
    told = sys.stderr if options.json else sys.stdout
    for factor in options.factors:
        fixed = ", ".join(f"{name} {value}" for name, value in base.items() if name != factor)
        told.write(f"\nPPO, {fixed}, prompt {options.prompt}, {options.threads} threads\n\n")
        for place, point in enumerate(rows(base, factor, options.quick)):
            key = json.dumps(point)
            if key not in known:
                known[key] = measured(point, options)
            for kind, run in known[key].items():
                found = figures(run, point, options.prompt)
                if place == 0 and kind == RUNS[0]:
                    told.write(line([TITLES[factor], "layers", *found]))
                    told.write(line(["---", "---", *("---:" for _ in found)]))
                told.write(line([str(point[factor]), kind, *map(number, found.values())]))
            told.flush()
    if options.json:
        sys.stdout.write(json.dumps([{"point": json.loads(key), "runs": runs} for key, runs in known.items()]) + "\n")


if __name__ == "__main__":
    main()
