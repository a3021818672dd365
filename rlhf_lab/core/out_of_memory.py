"""Memory that ran out: how the error is known, and the one place for what a person is told to do about it."""

import errno
import re
import traceback
from typing import Any

from rlhf_lab.core.naming import gigabytes

LESS_MEMORY = (
    "Resume with a lower micro_batch_size (it changes memory and speed, never the result), or start a run with fewer "
    "max_prompt_tokens or max_new_tokens or a smaller base model."
)
"""Where nothing is known of what would fit."""

_NAMES = frozenset({"OutOfMemoryError"})
"""Of torch's exceptions: nothing here imports torch."""
_SIGNS = (
    "DefaultCPUAllocator: can't allocate",
    "DefaultCPUAllocator: not enough memory",  # Windows
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "HIP out of memory",
    "MPS backend out of memory",
    f"os error {errno.ENOMEM})",  # safetensors
)
_ADVISED = re.compile(r"Resume with micro_batch_size = (\d{1,9})\b( and gradient_checkpointing = on)?")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the processor or a GPU: `MemoryError`, or what torch raises instead."""
    if isinstance(error, MemoryError) or type(error).__name__ in _NAMES:
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return any(sign in str(error) for sign in _SIGNS)


def let_go_of_frames(error: BaseException) -> None:
    """Let the work's tensors go, which the frames of ``error`` hold; where it was raised is noted on it in words."""
    error.add_note("".join(traceback.format_tb(error.__traceback__)))
    held: BaseException | None = error
    while held is not None:
        held.__traceback__ = None
        held = held.__context__


def advice(fits: int | None, free: int, *, checkpointing: bool = False, sampling: bool = False) -> str:
    """What to do, where it was reckoned what fits into the ``free`` bytes; None: not even a micro-batch of 1.

    ``checkpointing``: it fits only where gradients are checkpointed. ``sampling``: answering a batch of prompts needs more
    than learning does, whatever the micro-batch.
    """
    size = gigabytes(free)
    if fits is None:
        less = "a smaller batch_size" if sampling else "lora_layers = 0.33"
        return (
            f"{size} were free, and by the estimate no smaller micro-batch fits into that. Close other programs and "
            f"resume, or start a run with {less}, fewer max_prompt_tokens or max_new_tokens, or a smaller "
            "base model."
        )
    also = " and gradient_checkpointing = on" if checkpointing else ""
    return (
        f"{size} were free. Resume with micro_batch_size = {fits}{also}, which fits by the estimate (it changes memory and "
        "speed, never the result), or start a run with fewer max_prompt_tokens or max_new_tokens or a smaller base model."
    )


def advised_in(message: str) -> dict[str, Any]:
    """The changes that `advice` named in a run's last words; none where it named none."""
    found = _ADVISED.search(message)
    if found is None:
        return {}
    return {"micro_batch_size": int(found[1])} | ({"gradient_checkpointing": "on"} if found[2] else {})
