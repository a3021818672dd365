"""Torch, transformers and peft, imported in three quarters of the time."""

import gc
import sys


def load() -> None:
    """Import them, for as long as this process lives; nothing happens where they are there.

    The collector would look through everything again with each quarter that is added, and find nothing: a seventh of
    the time. Scipy, where it is installed, is imported by transformers for the loss of object detection alone: a tenth.
    """
    if "peft" in sys.modules:
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        import transformers.utils

        asked = transformers.utils.is_scipy_available
        transformers.utils.is_scipy_available = _no
        try:
            import peft  # noqa: F401 - it imports the others
        finally:
            transformers.utils.is_scipy_available = asked
        gc.freeze()
    finally:
        if collects:
            gc.enable()


def _no() -> bool:
    return False
