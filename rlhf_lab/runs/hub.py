"""Where downloads from the Hugging Face hub lie on this machine; the hub itself is not asked."""

import os
from pathlib import Path


def hub_cache() -> Path:
    """Where hub downloads lie on this machine, for every program: as huggingface_hub has it, which is slow to import."""
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")  # noqa: PTH118
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")  # noqa: PTH118
    return Path(os.path.expandvars(cache)).expanduser()


def hub_folder(model: str) -> Path:
    """Where one model of them lies, if it is there."""
    return hub_cache() / f"models--{model.replace('/', '--')}"


def hub_names() -> list[str]:
    """Of all models that lie there, whole or not."""
    cache = hub_cache()
    inside = sorted(cache.iterdir()) if cache.is_dir() else []
    names = [
        one.name.removeprefix("models--").replace("--", "/", 1) for one in inside if one.name.startswith("models--")
    ]
    return [name for name in names if "/" in name]


def snapshot(place: Path) -> Path | None:
    """The folder of the version that a hub id means; None where it was never whole enough to have one."""
    try:
        revision = (place / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    folder = place / "snapshots" / revision
    return folder if revision.isalnum() and folder.is_dir() else None
