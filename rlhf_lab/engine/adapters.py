"""LoRA adapters on disk: PEFT's files, a scalar head beside them, and what the lab knows of them.

``adapter_config.json`` and ``adapter_model.safetensors`` are PEFT's own format: any program that reads it
reads ours. ``head.safetensors`` is the scalar head; ``lab.json`` says on which weights the adapter sits
(``base_hash``), which stage made it, and how its scores are normalised. Pickled files are never read.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.small_files import read_json
from rlhf_lab.engine import disk
from rlhf_lab.engine.model_files import check_files, in_short

_PREFIX = "base_model.model."
_MOST_ALPHA = 1e6
_REFUSED = ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication", "lora_bias")


@dataclass(frozen=True)
class Adapter:
    """One adapter as plain tensors: for each adapted layer A [r, in] and B [out, r], fp32."""

    r: int
    alpha: float
    rslora: bool
    layers: dict[str, tuple[Tensor, Tensor]]
    head: tuple[Tensor, Tensor] | None = None
    lab: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def scale(self) -> float:
        """What B·A is multiplied with."""
        return self.alpha / (self.r**0.5 if self.rslora else self.r)


def read(folder: Path) -> Adapter:
    """Read an adapter folder; raises `LabError` for anything that is not a plain LoRA in safetensors."""
    check_files(folder)
    config = _read_json(folder / "adapter_config.json", folder)
    problem = _problem(config)
    if problem:
        raise LabError(f"The adapter in {folder} cannot be used: {problem}.")
    weights = _read_tensors(folder / "adapter_model.safetensors", folder)
    head_file = folder / "head.safetensors"
    head = _read_tensors(head_file, folder) if head_file.exists() else None
    adapter = Adapter(
        r=config["r"],
        alpha=float(config["lora_alpha"]),
        rslora=bool(config.get("use_rslora")),
        layers=_by_layer(weights, config["r"], folder),
        head=None if head is None else _head(head, folder),
        lab=_read_json(folder / "lab.json", folder) if (folder / "lab.json").exists() else {},
    )
    return Adapter(**{**vars(adapter), "digest": _digest(adapter)})


def read_lab(folder: Path) -> dict[str, Any]:
    """What ``lab.json`` says (base_hash, stage, score_mean, score_std, …) without reading the weights."""
    return _read_json(folder / "lab.json", folder)


def write(
    folder: Path, adapter: Adapter, *, targets: list[str], blocks: list[int] | None, base: str, fan_in_fan_out: bool
) -> None:
    """Write an adapter folder whole or not at all; an older one at the same place is replaced.

    ``targets`` are the adapted layers as PEFT names them; in all blocks, or in these ``blocks`` alone.
    """
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.r,
        lora_alpha=int(adapter.alpha) if adapter.alpha == int(adapter.alpha) else adapter.alpha,
        use_rslora=adapter.rslora,
        target_modules=targets,
        layers_to_transform=blocks,
        fan_in_fan_out=fan_in_fan_out,
        base_model_name_or_path=base,
        inference_mode=True,
    )
    tensors = {}
    for name, (a, b) in adapter.layers.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = a.contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = b.contiguous()
    with disk.filling(folder) as fresh:
        config.save_pretrained(str(fresh))
        save_file(tensors, fresh / "adapter_model.safetensors", metadata={"format": "pt"})
        if adapter.head is not None:
            weight, bias = adapter.head
            save_file({"weight": weight.contiguous(), "bias": bias.contiguous()}, fresh / "head.safetensors")
        (fresh / "lab.json").write_text(json.dumps(adapter.lab, indent=1, allow_nan=False), encoding="utf-8")


def base_hash(model: Path, merged: Iterable[Adapter]) -> str:
    """Of the weights that an adapter sits on: the model's files, and the adapters merged into them, in order."""
    found = hashlib.sha256()
    for file in sorted(model.glob("*.safetensors")):
        with file.open("rb") as opened:
            found.update(hashlib.file_digest(opened, "sha256").digest())
    for adapter in merged:
        found.update(bytes.fromhex(adapter.digest))
    return found.hexdigest()


def check_base(folder: Path, adapter: Adapter, base_hash: str) -> None:
    """Raise `LabError` for an adapter that was trained on other weights."""
    made_on = adapter.lab.get("base_hash")
    if made_on is not None and made_on != base_hash:
        raise LabError(
            f"The adapter in {folder} was trained on other weights than these. "
            "Use the same model and the same start as the run that made it."
        )


def merge(model: nn.Module, adapter: Adapter, folder: Path) -> None:
    """Add the adapter to the model's own weights, once and for good."""
    modules = dict(model.named_modules())
    for name, (a, b) in adapter.layers.items():
        layer = modules.get(name)
        if not isinstance(layer, nn.Linear | Conv1D) or not fits(layer, a, b):
            raise misfit(folder, name)
        with torch.no_grad():
            change = delta(layer, a.to(layer.weight.device), b.to(layer.weight.device), adapter.scale)
            layer.weight.copy_(layer.weight.float() + change)


def delta(layer: nn.Module, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """What a LoRA adds to the weight of ``layer``, in the layer's own orientation."""
    change = (b @ a) * scale
    return change.T if isinstance(layer, Conv1D) else change


def fits(layer: nn.Module, a: Tensor, b: Tensor) -> bool:
    """Whether A and B have the shapes that the layer needs."""
    shape = layer.weight.shape
    out, into = reversed(shape) if isinstance(layer, Conv1D) else shape
    return a.shape[1] == into and b.shape[0] == out


def misfit(folder: Path, name: str) -> LabError:
    """For an adapter made for another model."""
    return LabError(f"The adapter in {folder} does not fit this model: layer {name}. Choose the model it was made for.")


def _problem(config: dict[str, Any]) -> str:
    if config.get("peft_type") != "LORA":
        return f"it is of type {str(config.get('peft_type'))[:40]!r}, and only LORA is supported"
    if not isinstance(config.get("r"), int) or not 1 <= config["r"] <= 65_536:
        return f"its rank r is {str(config.get('r'))[:40]}"
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or not abs(alpha) <= _MOST_ALPHA or math.isnan(alpha):
        return f"its lora_alpha is {str(alpha)[:40]}"
    if config.get("bias", "none") != "none":
        return "it trains biases"
    found = [name for name in _REFUSED if config.get(name)]
    return f"it uses {', '.join(found)}, which the lab does not read" if found else ""


def _by_layer(weights: dict[str, Tensor], r: int, folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    names = {key.removeprefix(_PREFIX).rsplit(".lora_", 1)[0]: None for key in weights}
    layers = {}
    for name in names:
        a = weights.pop(f"{_PREFIX}{name}.lora_A.weight", None)
        b = weights.pop(f"{_PREFIX}{name}.lora_B.weight", None)
        if a is None or b is None or a.ndim != 2 or b.ndim != 2 or a.shape[0] != r or b.shape[1] != r:
            raise LabError(f"The adapter in {folder} is damaged or not a plain LoRA: layer {name[:100]}.")
        layers[name] = (a.float(), b.float())
    if weights:
        raise LabError(f"The adapter in {folder} is not a plain LoRA: it holds {next(iter(weights))[:100]}.")
    if not layers:
        raise LabError(f"The adapter in {folder} is damaged: it holds no layer.")
    return layers


def _head(found: dict[str, Tensor], folder: Path) -> tuple[Tensor, Tensor]:
    weight, bias = found.get("weight"), found.get("bias")
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != (len(weight),):
        raise LabError(f"The adapter in {folder} is damaged: head.safetensors holds no head.")
    return weight.float(), bias.float()


def _digest(adapter: Adapter) -> str:
    found = hashlib.sha256(f"{adapter.scale!r}".encode())
    for name, (a, b) in sorted(adapter.layers.items()):
        found.update(name.encode())
        found.update(a.numpy().tobytes())
        found.update(b.numpy().tobytes())
    return found.hexdigest()


def _read_json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except FileNotFoundError:
        raise LabError(f"{folder} holds no adapter: {path.name} is missing.") from None
    except (OSError, ValueError) as error:
        raise LabError(f"The adapter in {folder} is damaged: {path.name}: {in_short(error)}.") from None
    if not isinstance(found, dict):
        raise LabError(f"The adapter in {folder} is damaged: {path.name} is no JSON object.")
    return found


def _read_tensors(path: Path, folder: Path) -> dict[str, Tensor]:
    if not path.exists():
        pickled = sorted(p.name for p in folder.glob("*.bin"))
        why = f"; {pickled[0]} is pickled, and such files can run code" if pickled else ""
        raise LabError(f"{folder} holds no {path.name}{why}. Only safetensors are read.")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise LabError(f"The adapter in {folder} is damaged: {path.name}: {in_short(error)}.") from None
