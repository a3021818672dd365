"""The peer's side of `speed_ppo.py`: some updates of TRL 1.12's PPOTrainer on the prompts of a folder, timed.

Started with the Python of an environment that has TRL; it knows nothing of the lab. The reward and the value model
are the plain classifiers that TRL asks for.

    python speed_trl.py FOLDER

Prints one JSON object: seconds of each update, peak memory in MB.
"""

import json
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peak import peak_mb
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer


def main(folder: Path) -> None:
    """One run of so many updates as the folder's work says."""
    work = json.loads((folder / "work.json").read_text())
    lab = work["lab"]
    torch.set_num_threads(lab["threads"])
    tokenizer = AutoTokenizer.from_pretrained(folder / "base", padding_side="left")

    def scoring() -> Any:
        model = AutoModelForSequenceClassification.from_pretrained(folder / "base", num_labels=1, dtype=torch.float32)
        model.config.pad_token_id = tokenizer.pad_token_id
        return model

    with tempfile.TemporaryDirectory() as out:
        args = PPOConfig(
            output_dir=out,
            per_device_train_batch_size=lab["batch_size"],
            gradient_accumulation_steps=1,
            num_mini_batches=1,
            num_ppo_epochs=lab["epochs"],
            total_episodes=lab["batch_size"] * lab["updates"],
            local_rollout_forward_batch_size=lab["batch_size"],
            response_length=lab["max_new_tokens"],
            temperature=lab["temperature"],
            stop_token=None,
            missing_eos_penalty=None,
            learning_rate=lab["learning_rate"],
            kl_coef=lab["kl_coef"],
            gradient_checkpointing=False,
            num_sample_generations=0,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        )
        trainer = PPOTrainer(
            args=args,
            processing_class=tokenizer,
            model=AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32),
            ref_model=None,
            reward_model=scoring(),
            value_model=scoring(),
            train_dataset=Dataset.from_list([{"input_ids": ids} for ids in work["ids"]]),
            peft_config=LoraConfig(
                r=lab["lora_r"], lora_alpha=lab["lora_alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
            ),
        )
        stamps = [(time.perf_counter(), time.process_time())]
        trainer.log = lambda *_: stamps.append((time.perf_counter(), time.process_time()))
        stdout, sys.stdout = sys.stdout, sys.stderr  # it prints as it goes
        try:
            trainer.train()
        finally:
            sys.stdout = stdout
    sys.stdout.write(
        json.dumps(
            {
                "seconds": [later[0] - earlier[0] for earlier, later in pairwise(stamps)],
                "cpu_seconds": [later[1] - earlier[1] for earlier, later in pairwise(stamps)],
                "peak_mb": peak_mb(),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
