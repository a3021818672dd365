"""A trainer child that stands by: it has imported what takes seconds, and waits to be given a run."""

import json
import subprocess
from collections.abc import Sequence

import psutil

from rlhf_lab.runs import host

_NEEDED_BYTES = 2 << 30
_ENTRY = (*host.PYTHON, "rlhf_lab.runs.child", "--standby")


class Standby:
    """Holds at most one waiting child. It ends with this process, unless a run adopted it."""

    def __init__(self, *, enabled: bool = True, entry: Sequence[str] = _ENTRY) -> None:
        self.enabled = enabled
        self._entry = tuple(entry)
        self._child: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Start a waiting child, unless there is one, it is switched off, or memory is low."""
        if self._child is not None and self._child.poll() is not None:
            self.close()
        if self._child is None and self.enabled and psutil.virtual_memory().available > _NEEDED_BYTES:
            self._child = subprocess.Popen(
                self._entry,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=host.child_environment(),
                **host.detached(),
            )

    def adopt(self, arguments: Sequence[str]) -> subprocess.Popen[bytes] | None:
        """Give the waiting child its run; None when there is no living one to take it."""
        child, self._child = self._child, None
        if child is None or child.stdin is None:
            return None
        try:
            with child.stdin:
                child.stdin.write(json.dumps(list(arguments)).encode() + b"\n")
        except OSError:  # it died while waiting
            child.wait()
            return None
        return child  # it may have ended already: the run was its all the same

    def close(self) -> None:
        """End the waiting child; it holds nothing that could be lost."""
        child, self._child = self._child, None
        if child is not None and child.stdin is not None:
            child.kill()
            child.wait()
            child.stdin.close()
