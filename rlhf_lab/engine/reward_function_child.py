"""The process of a reward function: ``python -I reward_function_child.py``; `rlhf_lab.engine.reward_function` starts it.

A script that imports nothing of the lab, so that the function meets an empty process. JSON lines: first the
function's source and limits, answered by "ready"; then a batch a line, answered by "scores" or "error". A batch
that takes too long, or a crash, leaves Python's own dump of where it was on the same pipe and ends the process:
that works even where the function holds the interpreter's lock.
"""

import contextlib
import ctypes
import faulthandler
import json
import math
import os
import sys
import types
from collections.abc import Callable
from itertools import islice
from typing import Any

MOST_FILE_BYTES = 1 << 30
LEAST_MEMORY = 4 << 30
_SET_CHILD_SUBREAPER = 36

Function = Callable[[list[str], list[str], list[dict[str, Any]]], Any]


class WrongResult(Exception):  # noqa: N818 - said of the function, never raised out of this process
    """What the function returned is not one finite number an answer."""


def main() -> None:
    """Serve until the end of input."""
    # The pipes are ours alone: what the function prints goes to standard error, what it reads is empty.
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    faulthandler.enable(replies)
    limit_resources()
    keep_orphans()
    begin = json.loads(requests.readline())
    name, process = begin["name"], os.getpid()
    module = types.ModuleType("reward_function")
    sys.modules["reward_function"] = module  # dataclasses and pickle look a class's module up

    def reply(seconds: float, work: Callable[[], dict[str, Any]]) -> None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=replies)
        try:
            found = work()
        except BaseException as error:  # sys.exit too: whatever it raises is an error of the function
            found = {"error": in_words(error), "line": line_of(error, name)}
        if os.getpid() != process:
            os._exit(0)  # the function forked, and this is its child: it has nothing to say here
        faulthandler.cancel_dump_traceback_later()
        replies.write(json.dumps(found) + "\n")
        replies.flush()

    reply(begin["load_seconds"], lambda: load(begin["source"], name, module))
    for line in requests:
        reply(begin["seconds"], lambda line=line: {"scores": score(vars(module)["reward"], **json.loads(line))})  # type: ignore[misc]
    os._exit(0)  # threads that the function started keep nothing alive


def load(source: str, name: str, module: types.ModuleType) -> dict[str, Any]:
    """Run the file; say where its function begins."""
    exec(compile(source, name, "exec"), vars(module))
    function = vars(module).get("reward")
    if not callable(function):
        raise WrongResult("it has no function reward(prompts, answers, tags)")
    code = getattr(function, "__code__", None)
    return {"ready": True, "line": code.co_firstlineno if code and code.co_filename == name else None}


def score(function: Function, prompts: list[str], answers: list[str], tags: list[dict[str, Any]]) -> list[float]:
    """What the function gives for each answer, checked."""
    wanted = len(answers)
    result = function(prompts, answers, tags)
    if isinstance(result, str | bytes | dict) or not hasattr(result, "__iter__"):
        raise WrongResult(f"it returned {result!r:.60} instead of a list of {wanted} numbers")
    found = list(islice(result, wanted + 1))
    if len(found) != wanted:
        many = f"more than {wanted}" if len(found) > wanted else str(len(found))
        raise WrongResult(f"it returned {many} numbers for {wanted} answers")
    return [number(value, place) for place, value in enumerate(found, start=1)]


def number(value: Any, place: int) -> float:
    """``value`` as a finite float; numpy's and torch's numbers are numbers, text is not."""
    shown = f"{value!r:.60}"
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise WrongResult(f"it returned {shown} for answer {place}, which is no number") from None
    if not math.isfinite(found):
        raise WrongResult(f"it returned {shown} for answer {place}")
    return found


def in_words(error: BaseException) -> str:
    """One line."""
    try:
        words = " ".join(str(error).split())[:300]
    except Exception:
        words = ""  # the function's own exception class may be broken too
    if isinstance(error, WrongResult):
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def line_of(error: BaseException, name: str) -> int | None:
    """The line of the function's file that was reached last, if any was."""
    if isinstance(error, SyntaxError) and error.filename == name:
        return error.lineno
    line, frame = None, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == name:
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def keep_orphans() -> None:
    """What the function starts and lets go of, in a session of its own too, stays under this process (Linux alone)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def limit_resources() -> None:
    """No core dumps, no file or memory without bound, where the system can see to that."""
    try:
        import resource
    except ImportError:  # Windows
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: MOST_FILE_BYTES}
    if sys.platform == "linux":  # macOS counts what is mapped, not what is used
        limits[resource.RLIMIT_AS] = max(LEAST_MEMORY, memory)
    for what, most in limits.items():
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    main()
