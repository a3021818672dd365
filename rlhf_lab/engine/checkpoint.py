"""Checkpoints: tensors and plain state in a folder with hashes; what was damaged is never loaded.

``step-<n>/`` holds ``tensors.safetensors``, ``state.json`` and ``manifest.json`` (SHA-256 and size of the
other two). A folder appears under its name only when all of it is on the disk; the last two are kept.
"""

import errno
import hashlib
import json
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlhf_lab.core.control import Control, NoControl
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.small_files import read_json, read_text
from rlhf_lab.engine import disk, room

KEEP = 2
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
NAME = re.compile(r"step-([0-9]{1,15})")
_MOST_STATE = 2**28


def save(
    folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any], control: Control | None = None
) -> Path:
    """Write ``folder/step-<step>`` and drop all but the newest two. ``state`` is JSON.

    Where there is no room, ``control`` decides whether to wait; raises `LabError` where it does not.
    """
    place = folder / f"step-{step}"
    _refuse_link(folder)

    def write() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        disk.settle(folder)
        with disk.filling(place) as fresh:
            kept = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
            save_file(kept, fresh / TENSORS)
            (fresh / STATE).write_text(json.dumps(state), encoding="utf-8")
            files = {file.name: _fingerprint(file) for file in sorted(fresh.iterdir())}
            manifest = {"step": step, "files": files}
            (fresh / MANIFEST).write_text(_written(manifest), encoding="utf-8")

    room.save(write, f"Step {step}", folder, room.bytes_of(tensors), control or NoControl())
    # Newer ones are damaged, or this would not be written: they do not count.
    for _, path in [found for found in _found(folder) if found[0] <= step][KEEP:]:
        shutil.rmtree(path, ignore_errors=True)
    return place


def newest(
    folder: Path, on_damaged: Callable[[Path, str], None] | None = None
) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """Step, tensors and state of the newest checkpoint that is as it was written; ``None`` when there is none.

    ``on_damaged(path, why)`` hears of each newer one that had to be passed over.
    """
    _refuse_link(folder)
    disk.settle(folder)
    for step, path in _found(folder):
        try:
            return step, *_read(path, step)
        except _DamagedError as error:
            if on_damaged is not None:
                on_damaged(path, str(error))
    return None


def adapter_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Of a checkpoint's own folder: the weights of what it trained, without moments or a critic, and its state.

    Raises `LabError` where it is not as it was written, or not there any more.
    """
    match = NAME.fullmatch(path.name)
    run = path.parent.parent.name
    if match is None or not path.is_dir():
        raise gone(path)
    try:
        state = _checked_state(path, int(match[1]))
        with safe_open(path / TENSORS, "pt") as file:
            names = {name: name.removeprefix("policy/") for name in file.keys()}  # noqa: SIM118 - no mapping
            found = {
                short.removeprefix("weight/"): file.get_tensor(name)
                for name, short in names.items()
                if short.startswith("weight/")
            }
    except (_DamagedError, OSError, SafetensorError) as error:
        raise LabError(
            f"{path.name} of {run} cannot be used: {error}. Choose another save, or the run's result."
        ) from None
    return found, state


def gone(path: Path) -> LabError:
    """For a checkpoint that was named and is not there."""
    run = path.parent.parent.name
    return LabError(
        f"There is no {path.name} of {run} any more: a run keeps its newest {KEEP} saves. Choose a newer one."
    )


class _DamagedError(Exception):
    """Why a checkpoint is not used."""


def _found(folder: Path) -> list[tuple[int, Path]]:
    """(step, path), newest first."""
    places = folder.iterdir() if folder.is_dir() else ()
    named = ((NAME.fullmatch(path.name), path) for path in places)
    return sorted(((int(match[1]), path) for match, path in named if match), reverse=True)


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():  # the run may have come from elsewhere, and the link lead anywhere
        raise LabError(f"{folder} is a link to another folder, which no run's checkpoints are. Start a new run.")


def _read(path: Path, step: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state; raises as `_checked_state`."""
    state = _checked_state(path, step)
    try:
        return load_file(path / TENSORS), state
    except (OSError, ValueError, SafetensorError) as error:
        raise _DamagedError(_unreadable(error)) from None


def _checked_state(path: Path, step: int) -> dict[str, Any]:
    """The state; raises `_DamagedError` where one byte of any file, of the manifest too, is not as it was written."""
    try:
        if path.is_symlink():
            raise _DamagedError("it is a link to another folder")
        text = read_text(path / MANIFEST, linked=False)
        manifest = json.loads(text)
        if manifest["step"] != step or set(manifest["files"]) != {TENSORS, STATE} or text != _written(manifest):
            raise _DamagedError("its manifest does not belong to it, or was changed")
        for name, expected in manifest["files"].items():
            # The size first: a file of a terabyte of nothing would be read for minutes.
            if (path / name).lstat().st_size != expected["bytes"] or _fingerprint(path / name) != expected:
                raise _DamagedError(f"{name} was changed or cut short")
        state = read_json(path / STATE, _MOST_STATE, linked=False)
        if not isinstance(state, dict):
            raise _DamagedError(f"{STATE} holds no state")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _DamagedError(_unreadable(error)) from None
    return state


def _unreadable(error: Exception) -> str:
    return f"its files cannot be read ({getattr(error, 'strerror', None) or error})"


def _written(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=1)


def _fingerprint(file: Path) -> dict[str, Any]:
    if not stat.S_ISREG(file.lstat().st_mode):  # opening a pipe would wait for ever, a link lead anywhere
        raise OSError(errno.EINVAL, f"{file.name} is no regular file")
    with file.open("rb") as opened:
        return {"sha256": hashlib.file_digest(opened, "sha256").hexdigest(), "bytes": file.stat().st_size}
