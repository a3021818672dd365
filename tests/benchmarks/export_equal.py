"""Exported models against the lab: the largest difference of a logit or a score, for every form of every run named.

    python tests/benchmarks/export_equal.py PROJECT [RUN …] [--rows 32]

Each form is exported as a person would, then loaded by transformers and peft alone, in a process without the lab
(`tests/engine/plain_loader.py`), on prompts and answers of the run's own held-out data. Prints a table and, as the
last line, JSON; exit status 1 where something in fp32 differs by more than the tolerance.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from rlhf_lab.core.judgement import answers_of
from rlhf_lab.core.records import load_record
from rlhf_lab.engine import chat
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.export import Trained
from rlhf_lab.engine.reward_scores import score_rows
from rlhf_lab.engine.rewards import score_scale
from rlhf_lab.runs.export_child import base_of, read
from rlhf_lab.runs.exporting import MODELS, Form, Wish, export_run, offers
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project

LOADER = Path(__file__).parents[1] / "engine" / "plain_loader.py"
TOLERANCE = 2e-5
"""fp32, of the largest number: sums in another order differ by some 1e-7 of their terms, layer after layer."""


def main() -> int:
    """See the module."""
    wishes = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    wishes.add_argument("project", type=Path)
    wishes.add_argument("runs", nargs="*")
    wishes.add_argument("--rows", type=int, default=32)
    asked = wishes.parse_args()
    with Project.open(asked.project) as project:
        named = asked.runs or [row.run for row in project.store.runs() if row.outcome == "done"]
        folders = [project.run(run) for run in named]
    found = [row for folder in folders if folder.has_result() for row in compare(folder, asked.rows)]
    for row in found:
        sys.stdout.write(
            f"{row['run']:10} {row['form']:17} {row['dtype']:5} {row['kind']:6} max |Δ| {row['apart']:.2e} "
            f"of values up to {row['largest']:.1f}; {row['mb']:.1f} MB in {row['seconds']:.1f} s\n"
        )
    worst = max(row["apart"] / max(1.0, row["largest"]) for row in found if row["dtype"] == "fp32")
    told = {"worst": worst, "tolerance": TOLERANCE, "torch": torch.__version__, "rows": found}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if worst <= TOLERANCE else 1


def compare(folder: RunFolder, count: int) -> list[dict[str, Any]]:
    """One row a form."""
    trained = read(folder, base_of(folder))
    rows = examples(folder, trained, count)
    ours = lab_says(trained, rows)
    reward = trained.own.head is not None
    found, jobs = [], []
    with tempfile.TemporaryDirectory() as room:
        root = Path(room)
        for offer in offers(folder):
            if offer.form not in MODELS or offer.reason:
                continue
            place, since = root / offer.form, time.perf_counter()
            done = export_run(Wish(run=folder.path, form=offer.form, place=place))
            seconds = time.perf_counter() - since
            jobs.append(
                {
                    "kind": "score" if reward else "causal",
                    **where(offer.form, place, trained),
                    "dtype": "bfloat16" if trained.precision == "bf16" else "float32",
                    "rows": rows,
                    "out": str(root / f"{offer.form}.safetensors"),
                }
            )
            scale = json.loads((place / "score.json").read_text()) if (place / "score.json").exists() else None
            if offer.form == "reward":
                scale = json.loads((place / "config.json").read_text())["rlhf_lab"]
            found.append(
                {
                    "run": folder.run,
                    "form": offer.form,
                    "dtype": trained.precision,
                    "kind": "score" if reward else "logits",
                    "scale": scale,
                    "mb": done.bytes / 2**20,
                    "seconds": seconds,
                }
            )
        (root / "jobs.json").write_text(json.dumps(jobs))
        subprocess.run([sys.executable, "-I", str(LOADER), str(root / "jobs.json")], check=True)
        for row, job in zip(found, jobs, strict=True):
            said = load_file(job["out"])
            theirs = [said[str(n)] for n in range(len(said))]
            if (scale := row.pop("scale")) is not None:
                theirs = [(logit - scale["score_mean"]) / scale["score_std"] for logit in theirs]
            pairs = list(zip(ours, theirs, strict=True))
            row["apart"] = max((a - b.reshape(a.shape)).abs().max().item() for a, b in pairs)
            row["largest"] = max(a.abs().max().item() for a, _ in pairs)
    return found


def where(form: Form, place: Path, trained: Trained) -> dict[str, str | None]:
    """Model and adapter of an export, as a stranger names them."""
    if form == "adapter":
        return {"model": str(trained.model), "adapter": str(place), "tokenizer": str(place)}
    if form == "adapter-and-base":
        base = str(place / "base")
        return {"model": base, "adapter": str(place / "adapter"), "tokenizer": base}
    return {"model": str(place), "adapter": None}


def examples(folder: RunFolder, trained: Trained, count: int) -> list[list[int]]:
    """Held-out prompts of the run's data as ids, with an answer where the data has one."""
    tokenizer = Backbone.load(trained.model, device="cpu").tokenizer
    config, rows = folder.config, []
    with folder.data_path.open("rb") as lines:
        for line in lines:
            record = load_record(line)
            if record.split != "heldout":
                continue
            ids, _ = chat.encode_prompt(tokenizer, record.prompt, config.max_prompt_tokens)
            answers = answers_of(record)
            if answers:
                ids = ids + chat.encode_answer(tokenizer, answers[0].text, config.max_new_tokens)
            rows.append(ids)
            if len(rows) == count:
                break
    return rows


@torch.no_grad()
def lab_says(trained: Trained, rows: list[list[int]]) -> list[torch.Tensor]:
    """Logits of each row, or of a reward model its score."""
    reward = trained.own.head is not None
    backbone = Backbone.load(trained.model, start_adapters=trained.start_folders, dtype=trained.precision, device="cpu")
    backbone.load_adapter("it", trained.folder, head=reward)
    if reward:
        mean, std = score_scale(trained.own.lab)
        return [(score_rows(backbone, "it", [row]) - mean) / std for row in rows]
    ids = [torch.tensor([row]) for row in rows]
    return [backbone.logits(backbone.hidden(row, torch.ones_like(row), "it"))[0].float() for row in ids]


if __name__ == "__main__":
    sys.exit(main())
