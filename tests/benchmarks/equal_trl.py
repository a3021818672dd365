"""The peer's side of `equal_episodes.py`: TRL 1.12's PPOTrainer on the base, reward model and prompts of a folder.

Started with the Python of an environment that has TRL; it knows nothing of the lab.

    python equal_trl.py FOLDER scores           TRL's own reading of the reward model, of answers that are given
    python equal_trl.py FOLDER train TRIAL      a run; its adapter is left in FOLDER/TRIAL

What PPOTrainer has no setting for is put right here, in its favour: the prompts come in the given order, an answer
without an end has the given score, and the critic begins as the reward model.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer
from trl.experimental.ppo import ppo_trainer as inside

real_get_reward = inside.get_reward


def scoring(folder: Path) -> Any:
    """The exported reward model with its scale folded into the head, so that its logit is the lab's score."""
    model = AutoModelForSequenceClassification.from_pretrained(folder / "reward", num_labels=1, dtype=torch.float32)
    scale = model.config.rlhf_lab
    head = torch.nn.Linear(model.score.in_features, 1)
    with torch.no_grad():
        head.weight.copy_(model.score.weight / scale["score_std"])
        head.bias.fill_(-scale["score_mean"] / scale["score_std"])
    model.score = head
    return model.eval()


@torch.no_grad()
def scores(folder: Path, work: dict[str, Any], tokenizer: Any) -> None:
    """As the trainer reads them: questions padded on the left, answers on the right, masks from the pad token."""
    model, pad, found = scoring(folder), tokenizer.pad_token_id, []
    rows = work["answered"]
    for start in range(0, len(rows), 64):
        part = rows[start : start + 64]
        context, width = (max(len(row[name]) for row in part) for name in ("prompt", "answer"))
        ids = [
            [pad] * (context - len(row["prompt"]))
            + row["prompt"]
            + row["answer"]
            + [pad] * (width - len(row["answer"]))
            for row in part
        ]
        found += real_get_reward(model, torch.tensor(ids), pad, context)[1].tolist()
    (folder / "scores.json").write_text(json.dumps(found))


def train(folder: Path, work: dict[str, Any], tokenizer: Any, trial: str) -> None:
    """One run under the lab's settings with those of the trial on top."""
    lab = work["lab"] | work["trials"][trial]
    end, size = tokenizer.eos_token_id, lab["batch_size"]
    policy = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    reward, critic = scoring(folder), scoring(folder)
    np.random.seed(lab["seed"])  # TRL shuffles minibatches with it

    def get_reward(model: Any, ids: torch.Tensor, pad: int, context: int) -> Any:
        logits, found, lengths = real_get_reward(model, ids, pad, context)
        if model is reward:
            found = torch.where((ids[:, context:] == end).any(1), found, -lab["missing_eos_penalty"])
        return logits, found, lengths

    inside.get_reward = get_reward
    with tempfile.TemporaryDirectory() as out:
        args = PPOConfig(
            output_dir=out,
            seed=lab["seed"],
            per_device_train_batch_size=size,
            gradient_accumulation_steps=1,
            num_mini_batches=lab["minibatches"],
            num_ppo_epochs=lab["epochs"],
            total_episodes=len(work["ids"]),
            local_rollout_forward_batch_size=size,
            response_length=lab["max_new_tokens"],
            temperature=lab["temperature"],
            stop_token="eos",
            learning_rate=lab["learning_rate"],
            lr_scheduler_type="constant",
            adam_epsilon=1e-5,
            kl_coef=lab["kl_coef"],
            cliprange=lab["clip_range"],
            cliprange_value=lab["value_clip_range"],
            vf_coef=lab["value_coef"],
            gamma=lab["gamma"],
            lam=lab["gae_lambda"],
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
            model=policy,
            ref_model=None,
            reward_model=reward,
            value_model=critic,
            train_dataset=Dataset.from_list([{"input_ids": ids} for ids in work["ids"]]),
            peft_config=LoraConfig(
                r=lab["lora_r"], lora_alpha=lab["lora_alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
            ),
        )
        trainer.dataloader = DataLoader(
            trainer.train_dataset, batch_size=size, shuffle=False, collate_fn=trainer.data_collator
        )
        logged: list[dict[str, float]] = []
        trainer.log = lambda metrics, *_: logged.append(dict(metrics))
        trainer.train()
        made = Path(out) / "adapter"
        trainer.model.policy.save_pretrained(made)
        (made / "log.json").write_text(json.dumps(logged))
        fresh = folder / f"{trial}.new"
        shutil.copytree(made, fresh, dirs_exist_ok=True)
        fresh.rename(folder / trial)  # whole or not there


def main(folder: Path, what: str, *trial: str) -> None:
    """One request."""
    work = json.loads((folder / "work.json").read_text())
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder / "base", padding_side="left")
    if what == "scores":
        scores(folder, work, tokenizer)
    else:
        train(folder, work, tokenizer, *trial)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
