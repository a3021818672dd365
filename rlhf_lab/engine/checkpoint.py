"""Checkpoints: tensors and plain state in a folder with hashes; what was damaged is never loaded.

``step-<n>/`` holds ``tensors.safetensors``, ``state.json`` and ``manifest.json`` (SHA-256 and size of the
other two). A folder appears under its name only when all of it is on the disk; the last two are kept.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from rlhf_lab.core.control import Control, NoControl
from rlhf_lab.engine import disk, room

KEEP = 2
_NAME = re.compile(r"step-(\d+)")


def save(
    folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any], control: Control | None = None
) -> Path:
    """Write ``folder/step-<step>`` and drop all but the newest two. ``state`` is JSON.

    Where there is no room, ``control`` decides whether to wait; raises `LabError` where it does not.
    """
    place = folder / f"step-{step}"

    def write() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with disk.filling(place) as fresh:
            kept = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
            save_file(kept, fresh / "tensors.safetensors")
            (fresh / "state.json").write_text(json.dumps(state), encoding="utf-8")
            files = {file.name: _fingerprint(file) for file in sorted(fresh.iterdir())}
            manifest = {"step": step, "files": files}
            (fresh / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    room.save(write, f"Step {step}", folder, room.bytes_of(tensors), control or NoControl())
    for old, path in _found(folder)[KEEP:]:
        if old < step:
            shutil.rmtree(path, ignore_errors=True)
    return place


def newest(
    folder: Path, on_damaged: Callable[[Path, str], None] | None = None
) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """Step, tensors and state of the newest checkpoint whose hashes are right; ``None`` when there is none.

    ``on_damaged(path, why)`` hears of each newer one that had to be passed over.
    """
    for step, path in _found(folder):
        problem = _problem(path, step)
        if problem is None:
            state = json.loads((path / "state.json").read_text(encoding="utf-8"))
            return step, load_file(path / "tensors.safetensors"), state
        if on_damaged is not None:
            on_damaged(path, problem)
    return None


def _found(folder: Path) -> list[tuple[int, Path]]:
    """(step, path), newest first."""
    places = folder.iterdir() if folder.is_dir() else ()
    named = ((_NAME.fullmatch(path.name), path) for path in places)
    return sorted(((int(match[1]), path) for match, path in named if match), reverse=True)


def _problem(path: Path, step: int) -> str | None:
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        files = manifest["files"]
        if manifest["step"] != step or set(files) != {"tensors.safetensors", "state.json"}:
            return "its manifest does not belong to it"
        wrong = [name for name, expected in files.items() if _fingerprint(path / name) != expected]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its files cannot be read ({error})"
    return f"{wrong[0]} was changed or cut short" if wrong else None


def _fingerprint(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        return {"sha256": hashlib.file_digest(opened, "sha256").hexdigest(), "bytes": file.stat().st_size}
