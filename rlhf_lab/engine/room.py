"""Saving where there is no room: the run waits, says what it needs, and goes on when a person has made room."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import SafetensorError
from torch import Tensor

from rlhf_lab.core.control import Control
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.room import cannot_write

if TYPE_CHECKING:
    from rlhf_lab.engine.backbone import Backbone
    from rlhf_lab.engine.parts import Parts

Saved = TypeVar("Saved")


def save(write: Callable[[], Saved], what: str, folder: Path, needed: int, control: Control) -> Saved:
    """What ``write`` returns, tried again for as long as ``control`` holds the run.

    ``needed``: bytes. Raises `LabError` where it cannot be written and nobody is to wait for.
    """
    while True:
        try:
            return write()
        except (OSError, SafetensorError) as error:
            words = cannot_write(error, _nearest(folder), needed)
            if words is None:
                reason = getattr(error, "strerror", None) or error
                raise LabError(f"{what} could not be saved in {folder}: {reason}. Make room, then resume.") from error
            if not control.held(f"{what} cannot be saved. {words}"):
                raise LabError(f"{what} could not be saved. {words} Then resume.") from error


def save_adapter(backbone: "Backbone", name: str, parts: "Parts", extra: dict[str, Any]) -> None:
    """Write what the run has made of its adapter to ``adapter/``."""
    folder, needed = parts.folder / "adapter", bytes_of(backbone.parameters_of(name))
    save(lambda: backbone.save_adapter(name, folder, extra), "The result", folder, needed, parts.control)


def bytes_of(tensors: Mapping[str, Tensor]) -> int:
    """What they take on the disk."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _nearest(folder: Path) -> Path:
    return next((place for place in (folder, *folder.parents) if place.exists()), folder)
