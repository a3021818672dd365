"""Folders that appear whole or not at all, and stay through a power cut."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LEFT = re.compile(r"\.(\w.*)\.(new|old)")
"""What a writer that was killed leaves."""


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
    _put_back(folder.with_name(f".{folder.name}.old"), folder)
    _remove(fresh)
    fresh.mkdir(parents=True)
    return fresh


def replace(fresh: Path, folder: Path) -> None:
    """Put ``fresh`` where ``folder`` is or is to be; an older one is deleted last."""
    for file in fresh.iterdir():
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
    _sync(fresh)
    old = folder.with_name(f".{folder.name}.old")
    _remove(old)
    if os.path.lexists(folder):
        folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        with suppress(OSError):
            _put_back(old, folder)
        raise
    _sync(folder.parent)
    _remove(old)


def settle(parent: Path) -> None:
    """Clear up after writers that were killed: what was moved away and never replaced comes back, the rest goes.

    For a folder in which nobody writes now.
    """
    for path in list(parent.iterdir()) if parent.is_dir() else ():
        if left := _LEFT.fullmatch(path.name):
            with suppress(OSError):  # nothing can be written here: what is good stays where it is
                if left[2] == "old":
                    _put_back(path, path.with_name(left[1]))
                _remove(path)


def _put_back(old: Path, folder: Path) -> None:
    """Undo the first half of a `replace` whose second half never came."""
    if old.is_dir() and not old.is_symlink() and not os.path.lexists(folder):
        old.rename(folder)


def _remove(path: Path) -> None:
    """Whatever it is, as far as that can be done; a link goes, not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _sync(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and needs no such call
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
