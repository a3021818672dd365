"""Small files that a stranger may have written: read whole, but never a pipe or a device, and never without bound."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

MOST_BYTES = 16 * 2**20
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""For files of a project, which may have come from elsewhere: a link among them could mean any file of this machine."""


def read_bytes(path: Path, most: int = MOST_BYTES, *, linked: bool = True) -> bytes:
    """The content of a regular file of at most ``most`` bytes; raises `OSError` for anything else.

    ``linked``: whether it may be a link to such a file.
    """
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags if linked else flags | NO_LINK)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        # Room is made for all that is asked for, and a run that is out of memory reads such files too.
        content = file.read(min(most, found.st_size) + 1)
        if found.st_size < len(content) <= most:  # it grows, or is one whose size the system does not say
            content += file.read(most + 1 - len(content))
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most / 2**20:g} MB", str(path))
    return content


def read_text(path: Path, most: int = MOST_BYTES, *, linked: bool = True) -> str:
    """Such a file as text; raises `OSError`, and `ValueError` where it is not UTF-8."""
    return read_bytes(path, most, linked=linked).decode("utf-8")


def read_json(path: Path, most: int = MOST_BYTES, *, linked: bool = True) -> Any:
    """What such a file says as JSON; raises `OSError`, and `ValueError` where it is none."""
    try:
        return json.loads(read_bytes(path, most, linked=linked))
    except RecursionError:
        raise ValueError("nested too deep") from None
