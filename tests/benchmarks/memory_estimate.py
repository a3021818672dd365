"""Is the memory that a run needs foretold? ``PYTHONPATH=. python tests/benchmarks/memory_estimate.py [--json]``

Peaks of real runs of every stage, each in a process of its own on the CPU, beside what the lab says of them before they
start (`rlhf_lab.runs.memory`). "bundled" is the bundled model on the bundled data, with the settings of the guided
experiment; its lengths are foretold from the texts, as the form does. The other models are random bases of the shapes
of `speed_ppo.py` on random words as long as the settings allow. All look at held-out data before and after. Prints a
Markdown table; ends with 1 when an estimate is off by more than 20%.
"""

import argparse
import json
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speed_ppo import SHAPES, make_base, output_of
from speed_stages import in_own_process, make_records

from rlhf_lab.core.config import STAGES, BestOfNConfig, RunConfig
from rlhf_lab.core.memory import FULL, Shape, estimate
from rlhf_lab.core.naming import Stage
from rlhf_lab.core.records import AnyRecord, dump_record, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.core.settings import OnPolicyRun
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.runs.memory import learned_answers, lengths_of

OFF = 0.2
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"lora_layers": 0.33},
    {"dtype": "bf16"},
    {"lora_layers": 0.33, "dtype": "bf16"},
)
SIZES: dict[str, dict[str, int]] = {
    "10M": {"batch_size": 32, "micro_batch_size": 32, "max_prompt_tokens": 128, "max_new_tokens": 64},
    "135M": {"batch_size": 8, "micro_batch_size": 8, "max_prompt_tokens": 64, "max_new_tokens": 32},
}
MORE: tuple[tuple[str, Stage, dict[str, Any]], ...] = (
    ("10M", "ppo", {"micro_batch_size": 4}),
    ("135M", "ppo", {"micro_batch_size": 1}),
    ("135M", "sft", {"max_prompt_tokens": 128, "max_new_tokens": 128}),
    ("135M", "ppo", {"max_prompt_tokens": 128, "max_new_tokens": 128, "lora_layers": 0.33}),
)
"""Shape, stage, and what differs from the first variant."""
FILES = {"sft": "demonstrations", "reward": "pairs", "dpo": "pairs"}
STEPS = 3
SMALL = {"lora_r": 16, "device": "cpu", "threads": 1, "eval_every": 0, "checkpoint_every": 0}


def make_work(folder: Path, shape: str) -> None:
    """A base with reward adapters, and the records of each stage."""
    if shape != "bundled":
        make_base(folder / "base", SHAPES[shape])
    for share in (1.0, 0.33):
        backbone = Backbone.load(model_of(folder, shape), device="cpu")
        backbone.add_adapter("reward", r=16, alpha=32, seed=5, head=True, layers=share)
        backbone.save_adapter("reward", folder / f"reward-{share}", {"score_mean": 0.0, "score_std": 1.0})
    for stage in STAGES:
        lines = [dump_record(record) for record in records_of(stage, shape)]
        (folder / f"{stage}.jsonl").write_bytes(b"\n".join(lines))


def model_of(folder: Path, shape: str) -> Path:
    """Where the base lies."""
    return resource("model") if shape == "bundled" else folder / "base"


def records_of(stage: Stage, shape: str) -> Iterator[AnyRecord]:
    """The bundled data set of the stage, or random words for its batches and some held-out ones."""
    if shape == "bundled":
        with resource(f"datasets/lab-world-{FILES.get(stage, 'prompts')}.jsonl").open(encoding="utf-8") as lines:
            yield from map(load_record, lines)
        return
    sizes = SIZES[shape]
    for prompt, answer in {(sizes["max_prompt_tokens"], sizes["max_new_tokens"]), (128, 128)}:
        asked = argparse.Namespace(
            shape=shape, spread=False, prompt=prompt, answer=answer, updates=STEPS + 1, batch=sizes["batch_size"]
        )
        asked.batch *= 4 if stage in ("ppo", "rloo", "best_of_n") else 1  # these are given prompts, 1 for 4 answers
        records = make_records(stage if stage in FILES else "rloo", asked)
        for number, record in enumerate(records):
            held = number >= len(records) - sizes["batch_size"]
            yield record.model_copy(update={"split": "heldout" if held else "train"})


def config_of(folder: Path, shape: str, stage: Stage, changes: dict[str, Any]) -> RunConfig:
    """Of one row."""
    if shape == "bundled":
        recipe = tomllib.loads(resource("recipes/guided.toml").read_text(encoding="utf-8"))["stages"]
        settings = recipe[stage if stage in recipe else "reward" if stage == "dpo" else "ppo"]
        settings = {
            name: value
            for name, value in settings.items()
            if name in STAGES[stage].model_fields and name != "start_from"
        }
    else:
        settings = SIZES[shape] | {"eval_size": SIZES[shape]["batch_size"]}
    settings = settings | SMALL | {"stage": stage, "model": str(model_of(folder, shape))}
    if issubclass(STAGES[stage], OnPolicyRun):
        # The second update finds the optimiser's moments beside what the first had.
        few = {"updates": 2, "epochs": 1} if shape == "135M" else {"updates": STEPS, "epochs": 2}
        settings |= few | {"reward_model": "reward"}
    elif stage == "best_of_n":
        settings |= {"samples": 4, "reward_model": "reward"}
    else:
        settings |= {"max_steps": STEPS}
    if stage == "reward":
        settings |= {"normalise": shape == "bundled"}
    return STAGES[stage].model_validate(settings | changes)


def measure(folder: Path, shape: str, stage: Stage, changes: dict[str, Any]) -> dict[str, Any]:
    """One row: both figures in MB."""
    config = config_of(folder, shape, stage, changes)
    command = [sys.executable, str(Path(__file__).with_name("memory_case.py")), str(folder), config.model_dump_json()]
    found = output_of(command)
    model = Shape.of(json.loads((model_of(folder, shape) / "config.json").read_text()))
    lengths = FULL
    if shape == "bundled":
        lines = (folder / f"{stage}.jsonl").read_text(encoding="utf-8").splitlines()
        lengths = lengths_of(map(load_record, lines[:256]), learned_answers(config, None))
    foretold = estimate(config, model, lengths=lengths)
    return {
        "shape": shape,
        "stage": stage,
        "changes": ", ".join(f"{name} = {value}" for name, value in changes.items()),
        "foretold_mb": foretold.total / 2**20,
        "measured_mb": found["peak_mb"],
        "ratio": foretold.total / 2**20 / found["peak_mb"],
        "parts": foretold.as_megabytes(),
        "phases": found["phases"],
    }


def cases(shape: str, stages: list[Stage]) -> Iterator[tuple[Stage, dict[str, Any]]]:
    """Stage and changes of each row of one shape."""
    for stage in stages:
        for changes in VARIANTS:
            if "lora_layers" not in changes or STAGES[stage] is not BestOfNConfig:
                yield stage, changes
    yield from ((stage, changes) for at, stage, changes in MORE if at == shape and stage in stages)


def line(row: dict[str, Any]) -> str:
    """Of the table."""
    figures = "{foretold_mb:,.0f} | {measured_mb:,.0f} | {ratio:.2f}".format(**row)
    return f"| {row['shape']} | {row['stage']} | {row['changes']} | {figures} |"


def main() -> int:
    """All rows, or those of some shapes and stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="*", choices=("bundled", *SIZES), default=["bundled", *SIZES])
    parser.add_argument("--stage", nargs="*", choices=STAGES, default=list(STAGES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.json:
        sys.stdout.write(
            "| Model | Stage | Settings | Foretold, MB | Measured, MB | Ratio |\n|---|---|---|--:|--:|--:|\n"
        )
    rows = []
    for shape in options.shape:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            in_own_process(make_work, folder, shape)
            for stage, changes in cases(shape, options.stage):
                rows.append(measure(folder, shape, stage, changes))
                if not options.json:
                    sys.stdout.write(line(rows[-1]) + "\n")
                    sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    return 0 if all(abs(row["ratio"] - 1) <= OFF for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
