"""A real model on real pairs: ``python tests/benchmarks/real_pairs.py MODEL PAIRS --project DIR``.

One pass of reward training over the file's pairs (a fifth of the prompts held out), then 20 steps of DPO. Printed is
one JSON object: accuracy on held-out pairs with a 95% bootstrap interval over prompts, what length alone reaches on the
same pairs (on whole texts, also those that training cut), and the first loss of DPO, which must be ln 2. A project that
is there is gone on with: its finished runs are read, not made again.

MODEL is a folder, a .gguf file or a hub id, such as SmolLM2-135M-Instruct; PAIRS a file of pairs, such as LLaMA-Factory's
dpo_en_demo.json.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import torch

from rlhf_lab.core.config import DpoConfig, RewardConfig, RunConfig
from rlhf_lab.core.events import Diagnosis
from rlhf_lab.core.records import Pair, load_record
from rlhf_lab.engine.diagnose import bootstrap
from rlhf_lab.headless import import_files, train
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project
from rlhf_lab.terminal import Terminal

DPO_STEPS = 20


def finished(project: Project, config: RunConfig, terminal: Terminal) -> RunFolder:
    """The run of this stage, made now unless it is there."""
    for row in project.store.runs():
        if row.stage == config.stage and row.outcome == "done":
            return project.run(row.run)
    folder = project.create_run(config)
    end = train(project, folder, terminal)
    if end.outcome != "done":
        raise SystemExit(f"{folder.run} is {end.outcome}: {end.message}")
    return folder


def length_alone(folder: RunFolder, chosen_longer: bool) -> dict[str, Any]:
    """Accuracy on the held-out pairs of always taking the longer (or the shorter) text."""
    with folder.data_path.open("rb") as lines:
        records = [load_record(line) for line in lines]
    pairs = [record for record in records if isinstance(record, Pair) and record.split == "heldout"]
    longer = torch.tensor([float(len(p.chosen.text) - len(p.rejected.text)) for p in pairs])
    right = ((longer > 0) if chosen_longer else (longer < 0)) + 0.5 * (longer == 0)
    prompts = {text: number for number, text in enumerate(dict.fromkeys(p.prompt.text for p in pairs))}
    low, high = bootstrap(right, torch.tensor([prompts[p.prompt.text] for p in pairs]), seed=0)
    return {"accuracy": right.mean().item(), "interval": [low, high], "pairs": len(pairs)}


def main() -> None:
    """Run what is missing and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--max-prompt-tokens", type=int, default=256)
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    asked = parser.parse_args()
    terminal = Terminal(machine=True)
    with Project.open(asked.project) as project:
        if not project.store.datasets():
            import_files(project, [asked.pairs], terminal, 0, heldout=0.2)
        [dataset] = project.store.datasets()
        shared: dict[str, Any] = {
            "dataset": dataset.name,
            "model": asked.model,
            "batch_size": asked.batch_size,
            "max_prompt_tokens": asked.max_prompt_tokens,
            "max_new_tokens": asked.max_new_tokens,
            "eval_every": 0,
            "eval_size": dataset.heldout,
            "warmup_steps": 3,
        }
        one_pass = dataset.train // asked.batch_size
        reward = finished(project, RewardConfig(max_steps=one_pass, normalise=False, **shared), terminal)
        dpo = finished(project, DpoConfig(max_steps=DPO_STEPS, **{**shared, "eval_size": 8}), terminal)
        [*_, last] = (e for e in project.store.events(reward.run, ["diagnosis"]) if isinstance(e, Diagnosis))
        _, losses = project.store.curves(dpo.run)["dpo/loss"]
    heldout = last.found.accuracy[1]
    found = {
        "reward": {
            "steps": last.step,
            "accuracy": heldout.accuracy,
            "interval": [heldout.low, heldout.high],
            "pairs": heldout.pairs,
            "margin": heldout.margin,
            "level": last.found.level,
            "verdict": last.found.verdict,
        },
        "longer_wins": length_alone(reward, chosen_longer=True),
        "shorter_wins": length_alone(reward, chosen_longer=False),
        "dpo": {
            "first_loss": losses[0],
            "off_ln_2": losses[0] - math.log(2),
            "last_loss": losses[-1],
            "steps": len(losses),
        },
    }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
