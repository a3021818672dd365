"""The inside of a process that does one piece of work: see `rlhf_lab.runs.errand`. The end of input ends it."""

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import IO, Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.redact import without_secrets
from rlhf_lab.runs import host

Say = Callable[..., None]
"""Takes the fields of a line; "kind" among them, neither "done" nor "error"."""


def serve(work: Callable[[bytes, Say], dict[str, Any]], in_words: Callable[[bytes, Exception], str]) -> None:
    """Read the request, do the work, say how it ended: its fields, or the error in words. Does not return."""
    host.private_files()
    host.be_nice()
    # Replies have a stream of their own: what a library prints by mistake is no reply.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def reply(**said: object) -> None:
        out.write(json.dumps(said).encode() + b"\n")
        out.flush()

    request = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_parent, args=(sys.stdin.buffer,), name="parent", daemon=True).start()
    try:
        found = work(request, reply)
    except Exception as error:
        if not isinstance(error, LabError):
            sys.stderr.write(without_secrets(traceback.format_exc()))
            sys.stderr.flush()
        reply(kind="error", message=without_secrets(in_words(request, error)))
    else:
        reply(kind="done", **found)
    os._exit(0)  # the thread waits in a read that nothing ends


def _end_with_parent(lines: IO[bytes]) -> None:
    lines.read()
    os._exit(1)
