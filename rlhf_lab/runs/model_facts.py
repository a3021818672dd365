"""What a model's folder says of itself, read from its small files and the headers of its weights; nothing is loaded."""

import json
import math
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_lab.core.small_files import read_json

_MOST_HEADER = 64 * 2**20
_DTYPES = {"F32": "fp32", "BF16": "bf16", "F16": "fp16", "F64": "fp64"}


@dataclass(frozen=True)
class ModelFacts:
    """``architecture`` is the model type, "" where config.json says none; ``parameters`` 0 where the weights say nothing."""

    architecture: str = ""
    parameters: int = 0
    dtype: str = ""
    quantised: bool = False


def facts_of(folder: Path) -> ModelFacts:
    """Of a folder with config.json and safetensors, or with a LoRA; whatever is not there or damaged is left out."""
    adapter = _json(folder / "adapter_config.json")
    config = _json(folder / "config.json")
    counts: Counter[str] = Counter()
    for file in sorted(folder.glob("*.safetensors")):
        for dtype, shape in _tensors(file):
            counts[dtype] += math.prod(shape)
    kind = f"LoRA, rank {adapter['r']}" if isinstance(adapter.get("r"), int) else config.get("model_type")
    return ModelFacts(
        architecture=kind[:60] if isinstance(kind, str) else "",
        parameters=counts.total(),
        dtype=_DTYPES.get(counts.most_common(1)[0][0], counts.most_common(1)[0][0].lower()[:12]) if counts else "",
        quantised=bool(config.get("quantization_config")),
    )


def newest_in(folder: Path) -> float:
    """When the file below that was written last was written; the one that a link leads to counts."""
    newest = 0.0
    for file in folder.rglob("*"):
        try:
            newest = max(newest, file.stat().st_mtime)
        except OSError:  # it went meanwhile, or leads nowhere
            continue
    return newest


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _tensors(file: Path) -> Iterator[tuple[str, list[int]]]:
    """Dtype and shape of each tensor that the header names; of a damaged one nothing."""
    try:
        if not file.is_file():
            return
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > _MOST_HEADER:
                return
            header = json.loads(opened.read(length))
        for name, told in header.items():
            if name != "__metadata__":
                yield str(told["dtype"]), [int(size) for size in told["shape"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error):
        return
