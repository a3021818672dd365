"""Folders that appear whole or not at all, and stay through a power cut."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A folder to fill, which then takes the place of ``folder``; nothing of it is left where that fails."""
    fresh = fresh_beside(folder)
    try:
        yield fresh
        replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def fresh_beside(folder: Path) -> Path:
    """An empty hidden folder on the same disk, to be filled and then given to `replace`."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    return fresh


def replace(fresh: Path, folder: Path) -> None:
    """Put ``fresh`` where ``folder`` is or is to be; an older one is deleted last."""
    for file in fresh.iterdir():
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
    _sync(fresh)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and needs no such call
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
