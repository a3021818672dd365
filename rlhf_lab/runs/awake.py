"""Keeping the machine from falling asleep while something trains, by what the system brings along; the screen may go dark."""

import contextlib
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlhf_lab.runs import host

if TYPE_CHECKING:
    import subprocess

_WHY = "A run is training"
_UNTIL_ITS_INPUT_ENDS = ("cat",)
_PROGRAMS: dict[str, tuple[str, ...]] = {
    "linux": ("systemd-inhibit", "--what=idle:sleep", "--mode=block", "--who=RLHF Lab", f"--why={_WHY}"),
    "darwin": ("caffeinate", "-i"),
}
_ES_CONTINUOUS, _ES_SYSTEM_REQUIRED = 0x80000000, 0x00000001
PATIENCE = 0.5
"""Seconds in which it may end by itself; the window waits for it."""


def command(platform: str = sys.platform) -> Sequence[str]:
    """What holds the machine awake for as long as its input is open; empty where there is nothing of the kind."""
    name, *wishes = _PROGRAMS.get(platform, ("",))
    program = shutil.which(name) if name else None
    return (program, *wishes, *_UNTIL_ITS_INPUT_ENDS) if program else ()


class Awake:
    """Holds the machine awake between `hold` and `let_go`; does nothing where the system offers no way.

    The child that holds it ends at the end of its input, and so with this process, however that ends. Use from one
    thread: on Windows the wish is the thread's own.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._asked = self._tried = False

    @property
    def held(self) -> bool:
        """Whether the machine is kept awake now."""
        return self._asked or (self._child is not None and self._child.poll() is None)

    def hold(self) -> None:
        """Keep it awake; again is once. One that could not be held is not tried again before `let_go`."""
        if self._tried:
            return
        self._tried = True
        if host.WINDOWS:
            self._asked = _ask_windows(_ES_CONTINUOUS | _ES_SYSTEM_REQUIRED)
            return
        program = command()
        if program:
            import subprocess  # the first window needs none of it

            with contextlib.suppress(OSError):  # not ours to mend: training goes on without it
                self._child = subprocess.Popen(
                    program,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    **host.detached(),
                )

    def let_go(self) -> None:
        """It may sleep again."""
        self._tried = False
        if self._asked:
            _ask_windows(_ES_CONTINUOUS)
            self._asked = False
        child, self._child = self._child, None
        if child is None or child.stdin is None:
            return
        import subprocess

        with contextlib.suppress(OSError):
            child.stdin.close()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _ask_windows(wish: int) -> bool:
    if sys.platform != "win32":
        return False
    import ctypes

    return bool(ctypes.windll.kernel32.SetThreadExecutionState(ctypes.c_uint(wish)))
