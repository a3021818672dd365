"""How much disk a run will need, reckoned before it starts from the model's config.json and the run's settings."""

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.memory import Shape, adapters_trained
from rlhf_lab.core.naming import gigabytes

SAVES_KEPT = 2
_MOMENTS = 2


def adapter_bytes(config: RunConfig, shape: Shape) -> int:
    """What a trained adapter takes: fp32, A and B of every linear layer of the adapted blocks."""
    adapted = max(1, round(config.lora_layers * shape.layers))
    return 4 * config.lora_r * shape.in_and_out * adapted if adapters_trained(config) else 0


def save_bytes(config: RunConfig, shape: Shape) -> int:
    """A checkpoint: weights and both moments of all that is trained."""
    return adapters_trained(config) * (1 + _MOMENTS) * adapter_bytes(config, shape)


def disk_need(config: RunConfig, shape: Shape, data: int) -> int:
    """At its highest: the saves that are kept, one more while it is written, the result, and a copy of the data."""
    return (SAVES_KEPT + 1) * save_bytes(config, shape) + adapter_bytes(config, shape) + data


def in_words(config: RunConfig, shape: Shape, data: int, free: int) -> str:
    """For people: what the run needs and what is free."""
    needed, each = disk_need(config, shape, data), save_bytes(config, shape)
    saves = f" ({SAVES_KEPT} saves of {gigabytes(each)}, one more while it is written)" if each else ""
    text = f"About {gigabytes(needed)} on the disk{saves}; {gigabytes(free)} are free."
    return text if needed <= free else f"{text} That is too little: make room there, or choose a smaller lora_r."
