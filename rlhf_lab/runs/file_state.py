"""What the files that a config names are like at a moment: another state where one was changed since. Quick: of weights
only size and time are looked at."""

import contextlib
import hashlib
import os
from pathlib import Path

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.settings import ScoreSettings
from rlhf_lab.runs.approval import read_function
from rlhf_lab.runs.hub import hub_folder, snapshot
from rlhf_lab.runs.plan import absolute_model

_READ = frozenset({".safetensors", ".json", ".jinja", ".model", ".txt", ".gguf"})
"""How the files end that a model is loaded from; a card beside them is none of them."""


def file_states(config: RunConfig) -> dict[str, str]:
    """By the setting that names them; without those that name nothing, or what comes with the lab."""
    found = {}
    if state := _model(config.model):
        found["model"] = state
    if isinstance(config, ScoreSettings) and config.reward_function:
        try:
            found["reward_function"] = read_function(config.reward_function).sha256
        except LabError:
            found["reward_function"] = ""  # the start says why
    return found


def _model(name: str) -> str:
    if name == "bundled":
        return ""
    place = Path(absolute_model(name))
    if not os.path.exists(place):  # noqa: PTH110 - which does not raise for names that no file can have
        version = snapshot(hub_folder(name))
        return version.name if version is not None else ""
    digest = hashlib.sha256()
    with contextlib.suppress(OSError):  # the start says why
        for file in sorted(place.iterdir()) if place.is_dir() else [place]:
            if file.suffix in _READ:
                digest.update(_known(file).encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _known(file: Path) -> str:
    try:
        known = file.stat()
    except OSError:  # a link that leads nowhere, or it went meanwhile
        return f"{file.name}\0"
    return f"{file.name}\0{known.st_size}\0{known.st_mtime_ns}\0"
