"""Every attempt ends with exactly one `Finished`, whatever the work did; errors become words."""

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Event, Finished
from rlhf_lab.core.out_of_memory import LESS_MEMORY, is_out_of_memory
from rlhf_lab.core.redact import without_secrets
from rlhf_lab.core.room import cannot_write

_GPU_LOST = ("CUDA error", "CUDA driver error", "NVML", "HIP error", "MPS backend error")


def to_the_end(
    make_events: Callable[[], Iterable[Event]], less_memory: Callable[[], str] = lambda: LESS_MEMORY
) -> Iterator[Event]:
    """The events up to the first `Finished`; one is added when the work ends without, or raises.

    Tracebacks go to standard error, which is the run's ``child.log``.
    """
    step = 0
    try:
        for event in make_events():
            step = event.step
            yield event
            if isinstance(event, Finished):
                return
        yield Finished(step=step, outcome="failed", message="The stage ended without saying how.")
    except StopRequested:
        yield Finished(step=step, outcome="stopped", message="Stopped while it was being loaded.")
    except Exception as error:
        sys.stderr.write(without_secrets(traceback.format_exc()))
        error.__traceback__ = None  # its frames hold the work's tensors, and there may be no memory for a word
        yield Finished(step=step, outcome="failed", message=error_in_words(error, less_memory=less_memory))


def error_in_words(
    error: Exception, log: str = "The run's child.log", less_memory: Callable[[], str] = lambda: LESS_MEMORY
) -> str:
    """What happened and what to do, for the person. ``less_memory``: what to do where memory ran out."""
    if isinstance(error, LabError):
        return str(error)
    if is_out_of_memory(error):
        return f"Not enough memory. {less_memory()}"
    if any(sign in str(error) for sign in _GPU_LOST):
        first = without_secrets(str(error).strip().splitlines()[0][:200])
        return (
            f"The GPU stopped working ({first}). Resume goes on from the last save; if it happens again, "
            'restart the machine or choose device = "cpu".'
        )
    if isinstance(error, OSError) and (words := cannot_write(error, Path(error.filename or "."), 0)):
        return f"{words} Then resume."
    first_line = without_secrets((str(error).strip() or "no message").splitlines()[0][:300])
    return f"{type(error).__name__}: {first_line}. {log} has the details."
