"""The batch and the weights of `against_trl.py`, in the lab's form and in TRL's."""

import json
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from rlhf_lab.core.config import DpoConfig, PpoConfig
from rlhf_lab.core.records import Pair, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.examples import Encoder
from rlhf_lab.engine.pairs import Compared, encode
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.scoring import Episodes

PAIRS, EPISODES, WIDTH = 12, 8, 14
DPO = DpoConfig(beta=0.2)
SMOOTHING = 0.15
PPO = PpoConfig(
    batch_size=EPISODES,
    micro_batch_size=3,
    max_new_tokens=WIDTH,
    temperature=0.8,
    kl_coef=0.1,
    epochs=1,
    learning_rate=1e-12,
    value_learning_rate=1e-12,
    threads=1,
)


def make_models(folder: Path) -> Backbone:
    """The lab's backbone with all roles, and the same merged, as TRL takes them."""
    model = resource("model")
    backbone = Backbone.load(model, device="cpu")
    roles = {"policy": 0.02, "policy later": 0.0, "value": 0.02, "value later": 0.0, "reward": 0.02}
    for seed, (name, size) in enumerate(roles.items()):
        backbone.add_adapter(name, r=8, alpha=16, seed=seed, head=not name.startswith("policy"))
        if name.endswith("later"):
            stand_where(backbone, name, name.split()[0])
            disturb(backbone, name, seed, 0.004)
        else:
            disturb(backbone, name, seed, size)
        backbone.save_adapter(name, folder / "adapters" / name, {})
    Backbone.load(model, device="cpu").model.save_pretrained(folder / "reference")
    for name in roles:
        merged = Backbone.load(model, device="cpu", start_adapters=[folder / "adapters" / name])
        merged.model.config.pad_token_id = merged.pad_id
        merged.model.save_pretrained(folder / name)
        merged.tokenizer.save_pretrained(folder / name)
        if not name.startswith("policy"):
            scoring = AutoModelForSequenceClassification.from_pretrained(folder / name, num_labels=1)
            with torch.no_grad():
                scoring.score.weight.copy_(backbone.parameters_of(name)["head.weight"])
            scoring.save_pretrained(folder / name)
    return backbone


def disturb(backbone: Backbone, name: str, seed: int, size: float) -> None:
    """Away from zero, as training would; a head's bias stays 0, since TRL's has none."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in backbone.parameters_of(name).items():
            noise = size * torch.randn(parameter.shape, generator=generator)
            parameter.add_(0 if key == "head.bias" else noise)


def stand_where(backbone: Backbone, name: str, other: str) -> None:
    """Give adapter ``name`` the weights of ``other``."""
    theirs = backbone.parameters_of(other)
    with torch.no_grad():
        for key, parameter in backbone.parameters_of(name).items():
            parameter.copy_(theirs[key])


def make_batch(folder: Path, backbone: Backbone) -> tuple[Compared, dict[str, Episodes]]:
    """Bundled pairs with margins; answers that all reach the limit, and answers that end, most of them early."""
    lines = (resource("datasets") / "lab-world-pairs.jsonl").read_text(encoding="utf-8").splitlines()
    found = [record for line in lines[:400] if isinstance(record := load_record(line), Pair)]
    records = [pair.model_copy(update={"margin": 0.1 * i}) for i, pair in enumerate(found[:PAIRS])]
    encoder = Encoder(backbone.tokenizer, 64, 48)
    pairs = encode(encoder, records, use_margins=True)
    asked = {pair.prompt.text: pair for pair in found}
    chosen = list(asked.values())[:EPISODES]
    prompts = Asked([pair.prompt for pair in chosen], [encoder.prompt(pair.prompt) for pair in chosen])
    end = backbone.tokenizer.eos_token_id
    texts = [[t for t in encoder.answer(f"{p.chosen.text} {p.rejected.text}") if t != end] for p in chosen]
    full = [ids[:WIDTH] for ids in texts]
    assert all(len(ids) == WIDTH for ids in full)
    ended = [[*ids[: 3 + i], end] for i, ids in enumerate(full)]
    ended[-1] = full[-1]
    cases = {"cut": Episodes(prompts, full), "ended": Episodes(prompts, ended)}
    # Prompts that are not asked this time, so that the batch is not the last one of the data.
    more = [[*ids, ids[-1]] for ids in prompts.ids]
    in_pieces = {"prompts": prompts.ids, "answers": full, "micro_batch": 2, "minibatches": 2, "episodes": EPISODES}
    batch = {
        "beta": DPO.beta,
        "smoothing": SMOOTHING,
        "pairs": [
            {"prompt": p, "chosen": c, "rejected": r, "margin": m}
            for p, c, r, m in zip(pairs.prompts, pairs.chosen, pairs.rejected, pairs.margin.tolist(), strict=True)
        ],
        "temperature": PPO.temperature,
        "kl_coef": PPO.kl_coef,
        "gamma": PPO.gamma,
        "lam": PPO.gae_lambda,
        "clip_range": PPO.clip_range,
        "value_clip_range": PPO.value_clip_range,
        "value_coef": PPO.value_coef,
        "ppo": {
            "cut": in_pieces | {"micro_batch": EPISODES, "minibatches": 1},
            "ended": in_pieces | {"answers": ended, "micro_batch": EPISODES, "minibatches": 1},
            "ended, in micro-batches": in_pieces | {"answers": ended, "minibatches": 1},
            "minibatches": in_pieces | {"prompts": prompts.ids + more, "answers": full + full},
            "minibatches, last of the data": in_pieces,
        },
    }
    (folder / "batch.json").write_text(json.dumps(batch))
    return pairs, cases
