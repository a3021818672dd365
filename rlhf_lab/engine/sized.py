"""A micro-batch as large as the device's free memory allows, for a run that leaves its size to the machine."""

from pathlib import Path

import torch

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.lengths import Lengths
from rlhf_lab.core.memory import Shape, chosen_micro_batch
from rlhf_lab.core.small_files import read_json
from rlhf_lab.engine.machine import pick_dtype

USUAL = 8
"""For a model whose config names no sizes."""


def sized(config: RunConfig, model: Path, lengths: Lengths, device: torch.device, free: int) -> RunConfig:
    """The config with a micro-batch that fits into ``free`` bytes by the estimate, where it has none of its own.

    On a GPU the estimate was never held against a measurement.
    """
    if config.micro_batch_size:
        return config
    try:
        shape = Shape.of(read_json(model / "config.json"))
    except (OSError, ValueError, AttributeError):  # a stranger's file, which loading will say more of
        return config.model_copy(update={"micro_batch_size": USUAL})
    half = pick_dtype(config.dtype, device) == torch.bfloat16
    size = chosen_micro_batch(config, shape, free, bf16=half, cpu=device.type == "cpu", lengths=lengths)
    return config.model_copy(update={"micro_batch_size": size})
