"""A process for one piece of work: a request goes in, lines of JSON come out, the last of them "done" or "error".

Its other half is `rlhf_lab.runs.errand_child`. No Qt, no torch.
"""

import contextlib
import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.runs import host

_HEARD_S = 0.05


class Errand:
    """Ends with this process's interest in it. ``name``: what people call the process ("The export process")."""

    def __init__(
        self, name: str, entry: Sequence[str], request: str, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._name, self._log = name, log
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._process = subprocess.Popen(
                list(entry),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=opened,
                env=environment if environment is not None else host.child_environment(),
                **host.detached(),
            )
        finally:
            os.close(opened)
        self._said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="errand", daemon=True)
        self._reader.start()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has died already, which the reader says
            self._process.stdin.write(request.encode() + b"\n")
            self._process.stdin.flush()

    def follow(
        self, hear: Callable[[dict[str, Any]], object], cancelled: Callable[[], bool], on_cancel: LabError
    ) -> dict[str, Any]:
        """Wait for its last word and return it; ``hear`` gets all others. Raises `LabError`, ``on_cancel`` if so wished."""
        try:
            while True:
                if cancelled():
                    raise on_cancel
                try:
                    said = self._said.get(timeout=_HEARD_S)
                except queue.Empty:
                    continue
                if said is None:
                    raise LabError(self._ended())
                if said["kind"] == "done":
                    return said
                if said["kind"] == "error":
                    raise LabError(said["message"])
                hear(said)
        finally:
            self._process.kill()  # whatever it wrote by now is whole, or not wanted
            self._process.wait()
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    self._said.put(json.loads(line))
        self._said.put(None)

    def _ended(self) -> str:
        status = self._process.wait()
        if status == -9:
            return f"{self._name} was killed. If nobody did that, memory ran out: a whole model is loaded for this."
        return f"{self._name} ended with status {status}. {self._log} has the details."
