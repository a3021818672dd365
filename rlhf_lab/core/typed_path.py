"""Paths as people type them."""

import os
from pathlib import Path


def typed_path(text: str | Path) -> Path:
    """With "~" as the home of its user; where there is no such home it stays, as in a shell."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - `Path.expanduser` raises there
