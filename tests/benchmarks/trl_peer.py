"""TRL's side of the comparison: runs TRL's own trainers on a batch and weights that lie in a folder.

Started by `against_trl.py` with the Python of an environment that has TRL; it knows nothing of the lab. What TRL
works out is left in ``trl.json`` (losses, metrics) and ``trl.pt`` (tensors).

    python trl_peer.py offline FOLDER       RewardTrainer and DPOTrainer (TRL 1.16)
    python trl_peer.py ppo FOLDER           PPOTrainer (TRL 1.12)
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

torch.set_num_threads(1)
QUIET: dict[str, Any] = {"report_to": [], "use_cpu": True, "bf16": False, "disable_tqdm": True, "save_strategy": "no"}


def causal(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def scoring(folder: Path) -> Any:
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32).eval()


def collated(trainer: Any, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    return dict(trainer.data_collator(rows))


def reward(folder: Path, batch: dict[str, Any], out: str) -> dict[str, float]:
    """`RewardTrainer.compute_loss` on the pairs: plain, with margins, with centring, and with padding = end."""
    from trl import RewardConfig, RewardTrainer

    rows = [
        {"chosen_ids": p["prompt"] + p["chosen"], "rejected_ids": p["prompt"] + p["rejected"], "margin": p["margin"]}
        for p in batch["pairs"]
    ]
    found = {}
    for name, centre, margin, pad_is_end in (
        ("plain", None, False, False),
        ("margin", None, True, False),
        ("centring", 0.01, False, False),
        ("padded with the end", None, False, True),
    ):
        tokenizer = AutoTokenizer.from_pretrained(folder / "reward")
        if pad_is_end:
            tokenizer.pad_token = tokenizer.eos_token
        given = rows if margin else [{k: v for k, v in row.items() if k != "margin"} for row in rows]
        args = RewardConfig(output_dir=out, center_rewards_coefficient=centre, max_length=None, **QUIET)
        model = scoring(folder / "reward")
        trainer = RewardTrainer(
            model=model, args=args, train_dataset=Dataset.from_list(given), processing_class=tokenizer
        )
        found[name] = trainer.compute_loss(model, collated(trainer, given)).item()
    return found


def dpo(folder: Path, batch: dict[str, Any], out: str) -> dict[str, float]:
    """`DPOTrainer.compute_loss` on the pairs, for each loss that both have."""
    from trl import DPOConfig, DPOTrainer

    rows = [{f"{k}_ids": p[k] for k in ("prompt", "chosen", "rejected")} for p in batch["pairs"]]
    found = {}
    beta, smoothing = batch["beta"], batch["smoothing"]
    # AOT of one pair at a time sorts nothing, and is then the conservative (label-smoothed) loss; "sigmoid" ignores it.
    for name, loss_type, groups in (
        ("sigmoid", "sigmoid", [rows]),
        ("ipo", "ipo", [rows]),
        ("smoothing", "aot", [[row] for row in rows]),
        ("sigmoid with smoothing", "sigmoid", [rows]),
        ("robust", "robust", [rows]),
    ):
        eps = 0.0 if name in ("sigmoid", "ipo") else smoothing
        args = DPOConfig(
            output_dir=out, beta=beta, loss_type=[loss_type], label_smoothing=eps, max_length=None, **QUIET
        )
        model = causal(folder / "policy")
        trainer = DPOTrainer(
            model=model,
            ref_model=causal(folder / "reference"),
            args=args,
            # It tokenises whatever it is given; the ids are collated below.
            train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
            processing_class=AutoTokenizer.from_pretrained(folder / "policy"),
        )
        losses = [trainer.compute_loss(model, collated(trainer, group)).item() for group in groups]
        found[name] = sum(losses) / len(losses)
    return found


def ppo(folder: Path, batch: dict[str, Any], out: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """`PPOTrainer.train` for one update on answers that are given; each named case of the batch by itself."""
    found, tensors = {}, {}
    for name, case in batch["ppo"].items():
        found[name], tensors[name] = one_update(folder, batch, case, out)
    return found, tensors


def one_update(folder: Path, batch: dict[str, Any], case: dict[str, Any], out: str) -> tuple[dict[str, Any], Any]:
    """Between rollout and learning, policy and critic get the weights that steps of an optimiser might have given."""
    from trl.experimental.ppo import PPOConfig, PPOTrainer
    from trl.experimental.ppo import ppo_trainer as inside

    tokenizer = AutoTokenizer.from_pretrained(folder / "policy", padding_side="left")
    prompts, answers, episodes = case["prompts"], case["answers"], case["episodes"]
    width, temperature = max(map(len, answers)), batch["temperature"]
    models = {role: causal(folder / role) for role in ("policy", "reference")}
    models |= {role: scoring(folder / role) for role in ("reward", "value")}
    later = {"policy": causal(folder / "policy later"), "value": scoring(folder / "value later")}
    steps: list[int] = []
    np.random.seed(0)
    args = PPOConfig(
        output_dir=out,
        per_device_train_batch_size=case["micro_batch"],
        gradient_accumulation_steps=episodes // case["micro_batch"],
        num_mini_batches=case["minibatches"],
        num_ppo_epochs=1,
        total_episodes=episodes,
        local_rollout_forward_batch_size=episodes,
        response_length=width,
        temperature=temperature,
        stop_token="eos",
        learning_rate=1e-12,
        kl_coef=batch["kl_coef"],
        gamma=batch["gamma"],
        lam=batch["lam"],
        cliprange=batch["clip_range"],
        cliprange_value=batch["value_clip_range"],
        vf_coef=batch["value_coef"],
        missing_eos_penalty=None,
        whiten_rewards=False,
        num_sample_generations=0,
        **QUIET,
    )
    trainer = PPOTrainer(
        args=args,
        processing_class=tokenizer,
        model=models["policy"],
        ref_model=models["reference"],
        reward_model=models["reward"],
        value_model=models["value"],
        train_dataset=Dataset.from_list([{"input_ids": ids} for ids in prompts]),
    )
    trainer.optimizer.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    order: list[int] = []
    seen: dict[str, Any] = {"masked_mean": []}

    def given_answers(model: Any, queries: torch.Tensor, _: int, pad: int, __: Any) -> tuple[torch.Tensor, Any]:
        for row in queries.tolist():
            ids = [token for token in row if token != pad]
            order.append(next(i for i in range(len(prompts)) if prompts[i] == ids and i not in order))
        filled = torch.tensor([answers[i] + [pad] * (width - len(answers[i])) for i in order])
        both = torch.cat([queries, filled], 1)
        logits = inside.forward(model, both, pad).logits[:, queries.shape[1] - 1 : -1]
        return both, logits / (temperature + 1e-7)

    real_whiten, real_mean = inside.masked_whiten, inside.masked_mean

    def whiten(values: torch.Tensor, mask: torch.Tensor, shift_mean: bool = True) -> torch.Tensor:
        white = real_whiten(values, mask, shift_mean)
        seen["advantages"], seen["whitened"], seen["mask"] = values.clone(), white.clone(), mask.clone()
        np.random.seed(0)  # TRL shuffles minibatches with it
        for role, model in later.items():
            models[role].load_state_dict(model.state_dict())
        return white

    def mean(values: torch.Tensor, mask: torch.Tensor, axis: Any = None) -> torch.Tensor:
        seen["masked_mean"].append((values.detach().clone(), mask.clone()))
        return real_mean(values, mask, axis)

    inside.batch_generation, inside.masked_whiten, inside.masked_mean = given_answers, whiten, mean
    logged: dict[str, float] = {}
    trainer.log = lambda metrics, *_: logged.update(metrics)
    try:
        trainer.train()
    finally:
        inside.masked_whiten, inside.masked_mean = real_whiten, real_mean
    metrics = {name: value for name, value in logged.items() if isinstance(value, float)}
    return metrics | {"optimiser steps": len(steps)}, seen | {"order": order}


def main(what: str, folder: Path) -> None:
    """One environment's share."""
    import trl

    batch = json.loads((folder / "batch.json").read_text())
    with tempfile.TemporaryDirectory() as out:
        if what == "offline":
            found = {"reward": reward(folder, batch, out), "dpo": dpo(folder, batch, out)}
        else:
            metrics, tensors = ppo(folder, batch, out)
            found = {"ppo": metrics}
            torch.save(tensors, folder / "trl.pt")
    (folder / f"trl-{what}.json").write_text(json.dumps(found | {"version": trl.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
