"""Memory that was freed goes back to the system, where the C library can be asked for that: glibc holds on to it."""

import ctypes
import sys
from functools import cache


def give_back() -> None:
    """Give all of it back now. What is needed again has to be faulted in again."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL("libc.so.6") if sys.platform == "linux" else None
        return libc if hasattr(libc, "malloc_trim") else None
    except OSError:
        return None
