"""What a stage is given besides its config: data, model, adapters, a way to be stopped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlhf_lab.core.control import Control
from rlhf_lab.core.records import AnyRecord, Prompt

Judge = Callable[[Prompt, str], Mapping[str, float]]
"""A hidden preference, for curves only. Each key is averaged over the rows that have it: metric ``eval/<key>``."""


@dataclass(frozen=True)
class Parts:
    """One start of a stage. Paths are resolved and checked by whoever makes this."""

    folder: Path
    """The run's folder; ``checkpoints/`` and ``adapter/`` are written here."""
    records: Sequence[AnyRecord]
    model: Path
    """A local folder with safetensors and a tokenizer."""
    start_adapters: tuple[Path, ...]
    """Merged into the base, in this order."""
    reward_adapter: Path | None
    """PPO: the adapter of the reward run."""
    reward_model: Path | None
    """PPO: that run's base, for the case that it does not share the backbone."""
    reward_start_adapters: tuple[Path, ...]
    control: Control
    judge: Judge | None = None
    resume: bool = False
    """Go on from the newest complete checkpoint in ``folder/checkpoints``, else from the beginning."""
    reward_function: Path | None = None
    """The run's own copy of an approved reward function."""
