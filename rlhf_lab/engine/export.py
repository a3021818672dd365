"""A run's result as folders that plain transformers and peft load, with the lab's own numbers.

A LoRA adapter; for one that was trained on a base with other adapters merged into it, those and it as one adapter
of the ranks' sum, on the original base; that merged base; the merged model; a reward model with its head. Each goes
into a folder that the caller made, checked and will put in its place.
"""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoTokenizer, GenerationConfig

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import adapters, chat
from rlhf_lab.engine.adapters import Adapter
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.model_files import root_of

Precision = Literal["fp32", "bf16"]

_BYTES: dict[Precision, int] = {"fp32": 4, "bf16": 2}
_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
_PREFIX = "base_model.model."
_LICENCES = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*", "USE_POLICY*")
_MOST_LICENCE = 2**20
_PLACING = ("layers_to_transform", "layers_pattern", "exclude_modules")
"""Of PEFT's config: where the layers are, besides ``target_modules``."""


@dataclass(frozen=True)
class Trained:
    """What a run left: its base, the adapters merged into that, in order, and its own adapter on top."""

    model: Path
    start: tuple[Adapter, ...]
    start_folders: tuple[Path, ...]
    own: Adapter
    folder: Path
    precision: Precision
    """Of the base while it was trained."""

    @classmethod
    def read(cls, model: Path, start: Sequence[Path], folder: Path, precision: Precision) -> "Trained":
        """Read the adapters; raises `LabError` where they are damaged, or the base is not what it was."""
        own = adapters.read(folder)
        merged = tuple(adapters.read(path) for path in start)
        # This one hash is of the base's files and of every adapter between.
        adapters.check_base(folder, own, adapters.base_hash(model, merged))
        return cls(model, merged, tuple(start), own, folder, precision)


def model_bytes(model: Path, precision: Precision) -> int:
    """How much room the weights of the model take when written."""
    numbers = 0
    for file in model.glob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            numbers += sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118
    return numbers * _BYTES[precision]


def adapter_bytes(trained: Trained) -> int:
    """How much room the adapter takes when written."""
    every = (*trained.start, trained.own)
    return sum(4 * (a.numel() + b.numel()) for adapter in every for a, b in adapter.layers.values())


def write_adapter(trained: Trained, place: Path, base: str, *, joined: bool, head: int | None = None) -> None:
    """PEFT's two files. ``joined``: the start adapters are in it, so that it belongs on the original base.

    A reward model's scalar head goes in as ``score``; ``head`` is one of an ensemble, else their mean is taken.
    ``base`` is how the base is called.
    """
    config = json.loads((trained.folder / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    weights = place / "adapter_model.safetensors"
    parts = (*trained.start, trained.own) if joined else (trained.own,)
    if len(parts) == 1 and trained.own.head is None:
        shutil.copyfile(trained.folder / weights.name, weights)
    else:
        layers = _sum_of(parts) if len(parts) > 1 else trained.own.layers
        if len(parts) > 1:
            r = sum(part.r for part in parts)
            config |= {"r": r, "lora_alpha": r, "use_rslora": False}
            if layers.keys() != trained.own.layers.keys():
                config |= dict.fromkeys(_PLACING) | {"target_modules": sorted(layers)}
        tensors = {}
        for name, (a, b) in layers.items():
            tensors[f"{_PREFIX}{name}.lora_A.weight"] = a.contiguous()
            tensors[f"{_PREFIX}{name}.lora_B.weight"] = b.contiguous()
        if trained.own.head is not None:
            tensors[f"{_PREFIX}score.weight"] = one_head(trained.own, head)[0]
            config |= {"task_type": "SEQ_CLS", "modules_to_save": ["score"]}
        save_file(tensors, weights, metadata={"format": "pt"})
    (place / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_tokenizer(trained: Trained, place: Path) -> None:
    """The base's tokenizer and chat template, with the token that ends a turn as its end."""
    tokenizer = AutoTokenizer.from_pretrained(trained.model, local_files_only=True, trust_remote_code=False)
    chat.prepare(tokenizer)
    if trained.own.head is not None:
        prepare_for_scoring(tokenizer)
    tokenizer.save_pretrained(place)


def write_base(trained: Trained, place: Path) -> None:
    """The base as the adapter met it: the start adapters merged, in the precision of the training."""
    backbone = Backbone.load(trained.model, start_adapters=trained.start_folders, dtype=trained.precision, device="cpu")
    if trained.own.head is not None:
        backbone.model.config.pad_token_id = prepare_for_scoring(backbone.tokenizer)
    _save(backbone.model, backbone, place)


def write_merged(trained: Trained, place: Path, precision: Precision) -> None:
    """The whole model with every adapter merged: safetensors, tokenizer, template, generation config."""
    backbone = _merged(trained)
    _save(backbone.model.to(_DTYPES[precision]), backbone, place)


def write_reward(trained: Trained, place: Path, precision: Precision, head: int | None = None) -> dict[str, Any]:
    """The reward model with its head as transformers' sequence classification with one label.

    Its logit is the raw score less the head's bias, which those classes have no place for; what the config says
    under ``rlhf_lab`` (returned, too) makes the lab's score of it: (logit − score_mean) / score_std.
    """
    from transformers import AutoModelForSequenceClassification

    backbone = _merged(trained)
    weight, scale = one_head(trained.own, head)
    config = backbone.model.config
    config.num_labels = 1
    config.id2label, config.label2id = {0: "score"}, {"score": 0}
    config.pad_token_id = prepare_for_scoring(backbone.tokenizer)
    config.rlhf_lab = scale
    with torch.device("meta"):
        model: Any = AutoModelForSequenceClassification.from_config(config)
    setattr(model, model.base_model_prefix, backbone.model.base_model)
    model.score.to_empty(device="cpu")
    with torch.no_grad():
        model.score.weight.copy_(weight)
    _save(model.to(_DTYPES[precision]), backbone, place)
    return scale


def one_head(adapter: Adapter, head: int | None) -> tuple[Tensor, dict[str, Any]]:
    """The weight [1, D] of the score, and the scale that holds for a logit without the head's bias."""
    from rlhf_lab.engine.rewards import score_scale

    assert adapter.head is not None, "a reward run leaves a head"
    weight, bias = adapter.head
    if head is not None and not 1 <= head <= len(weight):
        raise LabError(f"This reward model has {len(weight)} heads; there is no head {head}.")
    which = slice(None) if head is None else slice(head - 1, head)
    mean, std = score_scale(adapter.lab)
    said = {
        "score_mean": mean - bias[which].mean().item(),
        "score_std": std,
        "heads": len(weight),
        "head": "mean" if head is None else head,
    }
    return weight[which].mean(0, keepdim=True).contiguous(), said


def copy_licences(model: Path, place: Path) -> list[str]:
    """The licence files that came with the base, since what is made of it stands under them too."""
    found, root = [], root_of(model)
    for pattern in _LICENCES:
        for file in sorted(model.glob(pattern)):
            real = file.resolve()
            if real.is_relative_to(root) and real.is_file() and real.stat().st_size <= _MOST_LICENCE:
                shutil.copyfile(file, place / file.name)
                found.append(file.name)
    return found


def _merged(trained: Trained) -> Backbone:
    """The base as the adapter met it, and the adapter merged into that in fp32, rounded nowhere."""
    backbone = Backbone.load(trained.model, start_adapters=trained.start_folders, dtype=trained.precision, device="cpu")
    backbone.model.float()
    adapters.merge(backbone.model, trained.own, trained.folder)
    return backbone


def _sum_of(parts: Sequence[Adapter]) -> dict[str, tuple[Tensor, Tensor]]:
    """One adapter, with a scale of 1, that adds what all of these add. A layer that one leaves alone gets zeros there."""
    found = {}
    for name in dict.fromkeys(name for part in parts for name in part.layers):
        inner, outer = next(part.layers[name] for part in parts if name in part.layers)
        downs, ups = [], []
        for part in parts:
            a, b = part.layers.get(name, (inner.new_zeros(part.r, inner.shape[1]), outer.new_zeros(len(outer), part.r)))
            downs.append(a)
            ups.append(part.scale * b)
        found[name] = torch.cat(downs), torch.cat(ups, dim=1)
    return found


def _save(model: Any, backbone: Backbone, place: Path) -> None:
    model.generation_config = _generation_config(model, backbone)
    model.save_pretrained(place, max_shard_size="4GB")
    backbone.tokenizer.save_pretrained(place)


def _generation_config(model: Any, backbone: Backbone) -> GenerationConfig:
    """The base's own, but answers end with the token that the lab taught, and padding is named."""
    found = getattr(backbone.model, "generation_config", None) or GenerationConfig()
    tokenizer = backbone.tokenizer
    ends = found.eos_token_id
    others = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    every = list(dict.fromkeys([tokenizer.eos_token_id, *others]))
    named = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": every if len(every) > 1 else every[0],
        "pad_token_id": tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
    }
    found.update(**named)
    found._from_model_config = False  # else transformers may take the ends from config.json again
    try:
        found.validate(strict=True)
    except ValueError:  # transformers saves no config that contradicts itself, and some models come with one
        return GenerationConfig(**named)
    return found


def prepare_for_scoring(tokenizer: Any) -> int | None:
    """Pad on the right, with a token that never ends a text: transformers' classes skip it to find the last one.

    None where there is no such token: texts are scored one at a time then.
    """
    end = tokenizer.eos_token_id
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id in (None, end):
        spare = next(
            (t for t in (tokenizer.unk_token, tokenizer.bos_token) if t and _is_other(tokenizer, t, end)), None
        )
        tokenizer.pad_token = spare
    return None if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)


def _is_other(tokenizer: Any, token: str, end: int) -> bool:
    return bool(tokenizer.convert_tokens_to_ids(token) != end)
