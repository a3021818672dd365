"""The peer's side of `speed_stages.py`: some steps of one of TRL 1.16's trainers on the data of a folder, timed.

Started with the Python of an environment that has TRL; it knows nothing of the lab.

    python speed_stages_trl.py FOLDER STAGE

Prints one JSON object: seconds of each step, by the clock and of the CPU, peak memory in MB, what the first step found.
"""

import json
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from peak import peak_mb
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl import (
    DPOConfig,
    DPOTrainer,
    RewardConfig,
    RewardTrainer,
    RLOOConfig,
    RLOOTrainer,
    SFTConfig,
    SFTTrainer,
)


class Stamps(TrainerCallback):
    """When training began and when each step ended, by the clock and of the CPU."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def stamp(self, *_: Any, **__: Any) -> None:
        self.seen.append((time.perf_counter(), time.process_time()))

    on_train_begin = on_step_end = stamp


def common(work: dict[str, Any], out: str) -> dict[str, Any]:
    """What every trainer is told."""
    lab = work["lab"]
    return {
        "output_dir": out,
        "per_device_train_batch_size": work["micro_batch"],
        "gradient_accumulation_steps": lab["batch_size"] // work["micro_batch"],
        "max_steps": lab.get("max_steps") or lab["updates"],
        "learning_rate": lab["learning_rate"],
        "max_grad_norm": 1.0,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
    }


def causal(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)


def scoring(folder: Path, work: dict[str, Any], tokenizer: Any) -> Any:
    """The base with the head that the lab begins with; the lab's has a bias besides, which begins at 0."""
    model = AutoModelForSequenceClassification.from_pretrained(folder / "base", num_labels=1, dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id
    with torch.no_grad():
        model.score.weight.copy_(torch.tensor(work["head"]))
    return model


def lora(work: dict[str, Any], task: str) -> LoraConfig:
    """For a classifier PEFT leaves the head as it is and trains all of it."""
    return LoraConfig(
        r=work["lab"]["lora_r"], lora_alpha=work["lab"]["lora_alpha"], target_modules="all-linear", task_type=task
    )


def sft(folder: Path, work: dict[str, Any], tokenizer: Any, told: dict[str, Any]) -> Any:
    rows = [
        {
            "input_ids": row["prompt"] + row["answer"],
            "completion_mask": [0] * len(row["prompt"]) + [1] * len(row["answer"]),
        }
        for row in work["rows"]
    ]
    return SFTTrainer(
        model=causal(folder),
        args=SFTConfig(**told, train_sampling_strategy="sequential", completion_only_loss=True, max_length=None),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora(work, "CAUSAL_LM"),
    )


def reward(folder: Path, work: dict[str, Any], tokenizer: Any, told: dict[str, Any]) -> Any:
    rows = [{f"{side}_ids": row["prompt"] + row[side] for side in ("chosen", "rejected")} for row in work["rows"]]
    return RewardTrainer(
        model=scoring(folder, work, tokenizer),
        args=RewardConfig(**told, train_sampling_strategy="sequential", max_length=None),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora(work, "SEQ_CLS"),
    )


def dpo(folder: Path, work: dict[str, Any], tokenizer: Any, told: dict[str, Any]) -> Any:
    """It tokenises whatever it is given; a space keeps the prompt's last word and the answer's first apart."""
    rows = [
        {"prompt": row["text"] + " ", "chosen": row["chosen_text"], "rejected": row["rejected_text"]}
        for row in work["rows"]
    ]
    trainer = DPOTrainer(
        model=causal(folder),
        args=DPOConfig(**told, train_sampling_strategy="sequential", beta=work["lab"]["beta"], max_length=None),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora(work, "CAUSAL_LM"),
    )
    for made, row in zip(trainer.train_dataset, work["rows"], strict=True):
        assert all(made[f"{part}_ids"] == row[part] for part in ("prompt", "chosen", "rejected")), "not the same ids"
    return trainer


def rloo(folder: Path, work: dict[str, Any], tokenizer: Any, told: dict[str, Any]) -> Any:
    lab = work["lab"]
    return RLOOTrainer(
        model=causal(folder),
        reward_funcs=scoring(folder, work, tokenizer).eval(),
        args=RLOOConfig(
            **told,
            shuffle_dataset=False,
            num_generations=lab["samples"],
            num_iterations=lab["epochs"],
            max_completion_length=lab["max_new_tokens"],
            temperature=lab["temperature"],
            top_p=1.0,
            top_k=0,
            beta=lab["kl_coef"],
        ),
        train_dataset=Dataset.from_list([{"prompt": row["text"] + " "} for row in work["rows"]]),
        processing_class=tokenizer,
        reward_processing_classes=tokenizer,
        peft_config=lora(work, "CAUSAL_LM"),
    )


TRAINERS = {"sft": sft, "reward": reward, "dpo": dpo, "rloo": rloo}


def main(folder: Path, stage: str) -> None:
    """One run of so many steps as the folder's work says."""
    work = json.loads((folder / f"{stage}.json").read_text())
    torch.set_num_threads(work["lab"]["threads"])
    disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    stamps = Stamps()
    stdout, sys.stdout = sys.stdout, sys.stderr  # it prints as it goes
    try:
        with tempfile.TemporaryDirectory() as out:
            trainer = TRAINERS[stage](folder, work, tokenizer, common(work, out))
            trainer.add_callback(stamps)
            trainer.train()
    finally:
        sys.stdout = stdout
    first = trainer.state.log_history[0]
    sys.stdout.write(
        json.dumps(
            {
                "seconds": [later[0] - earlier[0] for earlier, later in pairwise(stamps.seen)],
                "cpu_seconds": [later[1] - earlier[1] for earlier, later in pairwise(stamps.seen)],
                "peak_mb": peak_mb(),
                "first": first["completions/mean_length" if stage == "rloo" else "loss"],
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
