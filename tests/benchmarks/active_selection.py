"""Does it pay to label where the reward model is least sure? ``python tests/benchmarks/active_selection.py``.

On the bundled world: the first 256 pairs are drawn at random and labelled by its simulated annotators (noise and
all). A reward model is trained on them; then either random pairs are labelled, or those whose two scores lie
closest together, up to 512 and 1,024 labels, each time with a new model trained for as many steps on what is labelled so
far. Printed is the accuracy on the same held-out pairs, noise taken off, for each of the seeds, and the
difference of the two ways with its spread over the seeds.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from rlhf_lab.core.config import RewardConfig, SftConfig
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.events import Finished, Metrics
from rlhf_lab.core.grouping import micro_batches
from rlhf_lab.core.recipe_toml import bundled_recipe
from rlhf_lab.core.records import Pair, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.engine import reward, reward_scores
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.examples import Encoder
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.stages import TRAIN
from rlhf_lab.runs.report_plots import line_chart

SIZES = (256, 512, 1024)
WAYS = ("random", "least sure")


def pool() -> tuple[list[Pair], list[Pair]]:
    """What can be labelled (each two answers once), and the held-out pairs."""
    lines = (resource("datasets") / "lab-world-pairs.jsonl").read_bytes().splitlines()
    pairs = [record for record in map(load_record, lines) if isinstance(record, Pair)]
    sampled = [pair for pair in pairs if pair.chosen.source == "sft policy" and pair.split == "train"]
    once = {(pair.prompt.text, frozenset((pair.chosen.text, pair.rejected.text))): pair for pair in sampled}
    return list(once.values()), [pair for pair in pairs if pair.split == "heldout"]


def train(config: SftConfig | RewardConfig, folder: Path, records: Sequence, start: tuple[Path, ...]) -> float:
    """Run a stage to its end; the last held-out accuracy without the labels' noise, where it has one."""
    folder.mkdir(parents=True)
    parts = Parts(
        folder=folder,
        records=records,
        model=resource("model"),
        start_adapters=start,
        reward_adapter=None,
        reward_model=None,
        reward_start_adapters=(),
        control=NoControl(),
    )
    found = 0.0
    for event in TRAIN[config.stage](config, parts):
        if isinstance(event, Metrics):
            found = event.values.get("eval/accuracy_clean", found)
        elif isinstance(event, Finished) and event.outcome != "done":
            raise RuntimeError(event.message)
    return found


@torch.no_grad()
def sureness(folder: Path, start: tuple[Path, ...], pairs: Sequence[Pair], config: RewardConfig) -> list[float]:
    """How far the scores of each pair's answers lie apart."""
    backbone = Backbone.load(resource("model"), start_adapters=start, device="cpu")
    backbone.load_adapter(reward_scores.ADAPTER, folder / "adapter", head=True)
    batch = reward.encode(Encoder(backbone.tokenizer, config.max_prompt_tokens, config.max_new_tokens), pairs)
    apart = torch.empty(len(pairs))
    for rows in micro_batches(batch.lengths(), 64, backbone.tokens_at_once):
        chosen, rejected = reward_scores.scores(backbone, batch, rows)
        apart[rows] = (chosen - rejected).abs()
    return apart.tolist()


def one_seed(seed: int, steps: int, folder: Path, start: tuple[Path, ...]) -> Iterator[tuple[str, int, float]]:
    """(way, labels, accuracy) of each model."""
    candidates, heldout = pool()
    recipe = bundled_recipe("guided").stages["reward"].alone
    config = RewardConfig(
        **{**recipe, "max_steps": steps, "eval_every": 0, "eval_size": len(heldout), "normalise": False, "seed": seed},
        threads=torch.get_num_threads(),
    )
    random.Random(seed).shuffle(candidates)
    begun = folder / f"{seed} {SIZES[0]}"
    first = train(config, begun, [*candidates[: SIZES[0]], *heldout], start)
    for way in WAYS:
        yield way, SIZES[0], first
        labelled, rest, last = candidates[: SIZES[0]], candidates[SIZES[0] :], begun
        for size in SIZES[1:]:
            missing = size - len(labelled)
            if way == "least sure":
                apart = sureness(last, start, rest, config)
                rest = [rest[i] for i in sorted(range(len(rest)), key=apart.__getitem__)]
            labelled, rest = labelled + rest[:missing], rest[missing:]
            last = folder / f"{seed} {way} {size}"
            yield way, size, train(config, last, [*labelled, *heldout], start)


def main() -> None:
    """Print the accuracies, and write the plot where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--steps", type=int, default=320, help="optimiser steps of each reward model")
    parser.add_argument("--plot", type=Path, help="write the means as an HTML figure here")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[int, list[float]]] = {way: {size: [] for size in SIZES} for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe = bundled_recipe("guided").stages["sft"].alone
        lines = (resource("datasets") / "lab-world-demonstrations.jsonl").read_bytes().splitlines()
        train(SftConfig(**recipe, threads=1), folder / "sft", [load_record(line) for line in lines], ())
        start = (folder / "sft" / "adapter",)
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            for way, size, accuracy in one_seed(seed, chosen.steps, folder, start):
                found[way][size].append(accuracy)
                sys.stderr.write(f"seed {seed}, {way}, {size} labels: {accuracy:.3f}\n")
    gains = {
        size: [b - a for a, b in zip(found[WAYS[0]][size], found[WAYS[1]][size], strict=True)] for size in SIZES[1:]
    }
    summary = {
        size: {
            "mean": round(statistics.mean(gain), 4),
            "sd": round(statistics.stdev(gain), 4) if len(gain) > 1 else None,
        }
        for size, gain in gains.items()
    }
    if chosen.plot:
        means = {
            way: [(float(size), statistics.mean(values)) for size, values in sizes.items()]
            for way, sizes in found.items()
        }
        figure = line_chart("Held-out accuracy, labels without noise", means, "labels")
        style = "svg{width:640px}.line{fill:none;stroke-width:2}.c0{stroke:#0072b2}.c1{stroke:#d55e00}"
        chosen.plot.write_text(f"<!doctype html><style>{style}.key{{width:28px}}</style>{figure}", encoding="utf-8")
    rounded = {way: {s: [round(v, 3) for v in values] for s, values in sizes.items()} for way, sizes in found.items()}
    sys.stdout.write(json.dumps({"accuracy": rounded, "least sure minus random": summary}) + "\n")


if __name__ == "__main__":
    main()
