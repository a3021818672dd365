"""Chat templates, rendered in bounds: a process of their own has little memory and time for each.

One process serves all templates of this one. It is started when it is first needed, started anew when a
template wore it out, and ends when this process does, however that happens.
"""

import atexit
import contextlib
import json
import queue
import subprocess
import sys
import threading
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine.template_child import MOST_MEMORY, MOST_SECONDS

ENTRY = (sys.executable, "-P", "-m", "rlhf_lab.engine.template_child")
_PATIENCE_S = 30.0
"""For a machine under load; the process itself counts its seconds where the system can do that."""
_LONGEST_TEMPLATE = 2**20


class Refused(Exception):  # noqa: N818 - a template's own decision, not a fault of the program
    """The template gave up on these messages; the message says why."""


class Renderer:
    """The process and what it knows. Any thread may ask; one at a time is met."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def render(self, template: str, values: dict[str, Any], most: int) -> str:
        """The template with the values, ``most`` characters at most.

        Raises `Refused`, and `LabError` for a template that goes beyond its bounds.
        """
        if len(template) > _LONGEST_TEMPLATE:
            raise LabError("The model's chat template is longer than 1 MB, and is not read. Choose another model.")
        with self._lock:
            reply = self._ask(template, values, most)
        match reply["kind"]:
            case "text":
                return str(reply["text"])
            case "refused":
                raise Refused(reply["reason"])
            case "flood":
                raise _beyond("writes far more than the prompt holds")
            case _:
                raise _beyond(f"needs more than {MOST_MEMORY >> 20} MB of memory for one prompt")

    def close(self) -> None:
        """End the process; it holds nothing that could be lost."""
        child, self._child = self._child, None
        if child is not None and child.stdin is not None:
            child.kill()
            child.wait()
            with contextlib.suppress(OSError):
                child.stdin.close()

    def _ask(self, template: str, values: dict[str, Any], most: int) -> dict[str, Any]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._start()
        assert self._child is not None
        assert self._child.stdin is not None
        request = {"template": template, "values": values, "most": most}
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
            line = self._replies.get(timeout=_PATIENCE_S)
        except (OSError, queue.Empty):
            line = b""
        if not line:
            self.close()
            raise _beyond(f"needs more than {MOST_SECONDS:g} s of work for one prompt, or brings its process down")
        return dict(json.loads(line))

    def _start(self) -> None:
        child = subprocess.Popen(ENTRY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._child, self._replies = child, queue.SimpleQueue()
        threading.Thread(target=_read, args=(child, self._replies), name="templates", daemon=True).start()


def _read(child: "subprocess.Popen[bytes]", replies: "queue.SimpleQueue[bytes]") -> None:
    assert child.stdout is not None
    with child.stdout as lines:
        for line in lines:
            replies.put(line)
    replies.put(b"")


def _beyond(what: str) -> LabError:
    return LabError(f"The model's chat template {what}. Choose another model.")


_RENDERER = Renderer()
render = _RENDERER.render
atexit.register(_RENDERER.close)
