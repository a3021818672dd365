"""Processes under watch: the audit hook in each of them, the kernel's word on files outside, time and memory."""

import contextlib
import ctypes
import json
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.hostile.case import Tried

_ROOT = Path(__file__).parents[2]
_WATCH = Path(__file__).parent / "watch"
_OPENED = 0x20  # IN_OPEN


class Guard:
    """``with Guard(folder) as guard``: children started inside it are watched. ``folder / "project"`` is theirs."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.outside = folder / "outside"
        self._pipe = folder / "report"
        for path in (self.project, self.outside):
            path.mkdir(parents=True)
        (self.outside / "secret.txt").write_text("a secret of somebody else\n")

    def __enter__(self) -> "Guard":
        self._begun = 0
        os.mkfifo(self._pipe)
        self._report = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        self._kernel = _Kernel(self.outside)
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv("PYTHONPATH", os.pathsep.join([str(_WATCH), str(_ROOT)]))
        self._patch.setenv("HOSTILE_REPORT", str(self._pipe))
        self._patch.setenv("HOSTILE_PROJECT", str(self.project))
        self._patch.setenv("HOSTILE_OUTSIDE", str(self.outside))
        self._patch.setenv("RLHF_LAB_HOME", str(self.project / "home"))
        self._patch.setenv("HOME", str(self.project / "home"))
        self._patch.setenv("HF_HOME", str(self.project / "hub"))
        self._patch.setenv("XDG_RUNTIME_DIR", str(self.project))
        self._patch.setenv("TMPDIR", str(self.project / "tmp"))
        self._patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(self.project / "tmp"))
        self._patch.setenv("HF_HUB_OFFLINE", "1")
        self._patch.setenv("QT_QPA_PLATFORM", "offscreen")
        self._patch.setenv("OMP_NUM_THREADS", "1")
        (self.project / "tmp").mkdir()
        (self.project / "home").mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self.seen()
        self._patch.undo()
        self._kernel.close()
        os.close(self._report)
        assert self._begun, "no process was watched"

    @contextlib.contextmanager
    def measured(self, tried: Tried, pid: int | None) -> Iterator[None]:
        """Fills in the time, the memory of the process, and what was seen meanwhile."""
        before = _rest(pid)
        begun, worked = time.perf_counter(), _worked(pid)
        try:
            yield
        finally:
            tried.waited = time.perf_counter() - begun
            tried.seconds = max(0.0, _worked(pid) - worked)
            tried.megabytes = max(0.0, _peak(pid) - before)
            tried.noted += self.seen()

    def seen(self) -> list[str]:
        """What was noted since the last call."""
        lines = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._report, 2**16):
                lines += part
        noted = [json.loads(line) for line in lines.splitlines()]
        self._begun += sum(note["event"] == "begun" for note in noted)
        noted = [note for note in noted if note["event"] != "begun"]
        said = [f"{n['event']}: {n['what']} in {n['process']} at {' < '.join(n['where'])}" for n in noted]
        return said + [f"opened outside the project: {name}" for name in self._kernel.opened()]


class _Kernel:
    """Files of a folder that anybody opens, whatever language the library is written in (inotify).

    Not the folder itself: anybody who looks through the disk meanwhile lists it too, and the kernel does not say who.
    The hook in each process notes that.
    """

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(os.O_NONBLOCK)
        if self._handle < 0 or libc.inotify_add_watch(self._handle, os.fsencode(folder), _OPENED) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def opened(self) -> list[str]:
        found = b""
        with contextlib.suppress(BlockingIOError):
            found = os.read(self._handle, 2**16)
        names, at = [], 0
        while at < len(found):
            _, _, _, length = struct.unpack_from("iIII", found, at)
            names.append(found[at + 16 : at + 16 + length].rstrip(b"\0").decode())
            at += 16 + length
        return [name for name in names if name]

    def close(self) -> None:
        os.close(self._handle)


def _rest(pid: int | None) -> float:
    """Memory that a process holds now, in MB; its peak is counted anew from here."""
    if pid is None:
        return 0.0
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid, "VmRSS")


def _worked(pid: int | None) -> float:
    """Seconds of a processor that a process and those that it started and waited for have used."""
    with contextlib.suppress(psutil.NoSuchProcess):
        used = psutil.Process(pid).cpu_times()
        return used.user + used.system + used.children_user + used.children_system
    return 0.0


def _peak(pid: int | None) -> float:
    return 0.0 if pid is None else _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    return 0.0
