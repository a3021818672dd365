"""Why nothing can be written to a place, and what a person has to do about it, in words."""

import errno
import os
import re
import shutil
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)

_TO_SPARE = 1 << 20
_NUMBER = re.compile(r"\(os error (\d+)\)")


def cannot_write(error: BaseException, place: Path, needed: int) -> str | None:
    """In words, where space or permission is what is missing for ``needed`` bytes more; else None.

    safetensors raises errors of its own, which have the system's number in their text alone.
    """
    number = error.errno if isinstance(error, OSError) else _number_in(error)
    if number in NO_ROOM:
        needs = f"{megabytes(needed + _TO_SPARE)} are needed in {place}{_free(place)}"
        return f"{os.strerror(number)}: {needs}. Delete something there or raise the limit."
    if number in READ_ONLY:
        return f"{os.strerror(number)}: {place} cannot be written, {megabytes(needed)} are needed. Make it writable."
    return None


def megabytes(count: int) -> str:
    """Rounded up: what is needed is never said too small."""
    return f"{-(-count >> 20):,} MB"


def _free(place: Path) -> str:
    try:
        return f", {shutil.disk_usage(place).free >> 20:,} MB are free"
    except OSError:
        return ""


def _number_in(error: BaseException) -> int:
    found = _NUMBER.search(str(error))
    return int(found[1]) if found else 0
