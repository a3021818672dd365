"""A micro-batch as large as the device's free memory allows, and checkpointing, for a run that leaves them to the machine."""

from pathlib import Path

import torch

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.lengths import Lengths
from rlhf_lab.core.memory import Shape, settled
from rlhf_lab.core.small_files import read_json
from rlhf_lab.engine.machine import pick_dtype

USUAL = 8
"""For a model whose config names no sizes."""


def sized(config: RunConfig, model: Path, lengths: Lengths, device: torch.device, free: int) -> RunConfig:
    """The config as `settled` finds that it fits into ``free`` bytes, where it leaves that to the machine.

    On a GPU the estimate was never held against a measurement.
    """
    try:
        shape = Shape.of(read_json(model / "config.json"))
    except (OSError, ValueError, AttributeError):  # a stranger's file, which loading will say more of
        return config.model_copy(update={"micro_batch_size": config.micro_batch_size or USUAL})
    half = pick_dtype(config.dtype, device) == torch.bfloat16
    return settled(config, shape, free, bf16=half, cpu=device.type == "cpu", lengths=lengths)
