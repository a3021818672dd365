"""`python -m rlhf_lab.world build`: the base model and the data sets of the lab world, from one seed."""

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from rlhf_lab.core.resources import resource
from rlhf_lab.world import datasets
from rlhf_lab.world.build_base import build_base
from rlhf_lab.world.build_measure import measure
from rlhf_lab.world.build_pairs import build_pairs


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m rlhf_lab.world", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="pretrain the base, write the data sets (at most 30 minutes on 2 cores)")
    build.add_argument("--folder", type=Path, default=resource("recipes").parent, help="where resources/ is")
    build.add_argument("--seed", type=int, default=datasets.SEED)
    build.add_argument("--keep-base", action="store_true", help="only the data sets, with the base that is there")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="as many give the same base again")
    figures = commands.add_parser("measure", help="print what a base model knows and which manners it has")
    figures.add_argument("--model", type=Path, default=resource("model"))
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.command == "build":
        build_world(chosen.folder, chosen.seed, keep_base=chosen.keep_base)
    else:
        print_figures(chosen.model)


def build_world(folder: Path, seed: int, *, keep_base: bool) -> None:
    """Write ``folder``/model and ``folder``/datasets."""
    began = time.monotonic()
    if not keep_base:
        build_base(folder / "model", seed=seed, say=_say)
    write_written(folder / "datasets", seed)
    pairs = datasets.written_pairs(seed) + build_pairs(folder / "model", seed=seed, say=_say)
    datasets.write_jsonl(folder / "datasets" / "lab-world-pairs.jsonl", pairs)
    for split in ("train", "heldout"):
        some = [pair for pair in pairs if pair.split == split]
        flipped = sum(bool(pair.tags["flipped"]) for pair in some) / len(some)
        _say(f"{len(some)} {split} pairs, {flipped:.1%} of them flipped")
    print_figures(folder / "model")
    _say(f"built in {time.monotonic() - began:.0f} s")


def write_written(folder: Path, seed: int) -> None:
    """Write the data sets that need no model."""
    datasets.write_jsonl(folder / "lab-world-demonstrations.jsonl", datasets.demonstrations(seed))
    datasets.write_jsonl(folder / "lab-world-prompts.jsonl", datasets.prompts(seed))
    datasets.write_jsonl(folder / "lab-world-quiz.jsonl", datasets.quiz())
    datasets.write_jsonl(folder / "lab-world-unanswerable.jsonl", datasets.unanswerable_quiz(seed))
    datasets.write_jsonl(folder / "lab-world-requests.jsonl", datasets.request_quiz(seed))


def print_figures(model: Path) -> None:
    """Print the quiz score and the manners of a base model."""
    for name, value in measure(model).items():
        _say(f"{name}: {value:.1%}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
