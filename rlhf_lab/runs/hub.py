"""Where downloads from the Hugging Face hub lie on this machine; the hub itself is not asked."""

import os
from pathlib import Path

from rlhf_lab.core.typed_path import typed_path


def hub_cache() -> Path:
    """Where hub downloads lie on this machine, for every program: as huggingface_hub has it, which is slow to import."""
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")  # noqa: PTH118
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")  # noqa: PTH118
    return typed_path(os.path.expandvars(cache))


def hub_folder(model: str) -> Path:
    """Where one model of them lies, if it is there."""
    return hub_cache() / f"models--{model.replace('/', '--')}"


def hub_names() -> list[str]:
    """Of all models that lie there, whole or not; none where nobody may look."""
    try:
        inside = sorted(place.name for place in hub_cache().iterdir())
    except OSError:
        return []
    names = [one.removeprefix("models--").replace("--", "/", 1) for one in inside if one.startswith("models--")]
    return [name for name in names if "/" in name]


def snapshot(place: Path) -> Path | None:
    """The folder of the version that a hub id means; None where it was never whole enough to have one."""
    try:
        revision = (place / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    folder = place / "snapshots" / revision
    return folder if revision.isalnum() and folder.is_dir() else None
