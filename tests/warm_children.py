"""Children that begin as copies of a process which has imported the libraries: see the fixture `warm_children`.

They are real processes, children of whoever started them, with the arguments, streams, environment, folder and session
that were asked for; only their seconds of imports are not spent again. What a library read of the environment when it
was imported stays: where the hub keeps its models is one. ``python -m tests.warm_children SOCKET`` is the process that
is copied; it does nothing else and has one thread.
"""

import atexit
import contextlib
import ctypes
import gc
import inspect
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHILDREN = {
    (sys.executable, "-P", "-m"): {
        "rlhf_lab.engine.oracles",
        "rlhf_lab.runs.child",
        "rlhf_lab.runs.export_child",
        "rlhf_lab.runs.import_child",
        "rlhf_lab.runs.models_child",
        "rlhf_lab.runs.worker",
        "rlhf_lab",
        "tests.runs.limited_child",
    },
    (sys.executable, "-m"): {
        "rlhf_lab",
        "rlhf_lab.engine.oracles.shared_batch",
        "tests.benchmarks.kills",
        "tests.benchmarks.kills_careless",
    },
    (sys.executable,): {str(Path(__file__).parent / "runs" / "fake_child.py")},
}
"""Those of our processes that import for longer than they work; the command's own children are copies too."""
NURSERIES: set[int] = set()
"""Processes that are copied: they serve more than one test."""

_MOST_BYTES = 1 << 20
_READY = b"ready"
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_start = inspect.signature(subprocess.Popen._execute_child)


class Nursery:
    """The process that is copied, and how to ask it; started when it is first asked, unless there is one."""

    def __init__(self, there: socket.socket | None = None) -> None:
        self._socket = there
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Have it ready: seconds, at the first time."""
        if self._socket is None:
            self._socket = self._begin()
            assert self._socket.recv(_MOST_BYTES) == _READY, "the process that children are copied from did not begin"

    def bear(self, wanted: dict[str, Any], streams: Sequence[int]) -> int:
        """Have a child of this process born; its pid."""
        self.begin()
        assert self._socket is not None
        # Its parent for a moment is a process between, and then whoever looks after orphans.
        _look_after_orphans(True)
        try:
            socket.send_fds(self._socket, [json.dumps(wanted).encode()], list(streams))
            born = self._socket.recv(_MOST_BYTES)
        finally:
            _look_after_orphans(False)
        assert born, "the process that children are copied from has ended"
        return int(born)

    def close(self) -> None:
        """End it; its copies live on."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.wait()
            NURSERIES.discard(self._process.pid)

    def _begin(self) -> socket.socket:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join([root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.warm_children", str(there.fileno())],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "TOKENIZERS_PARALLELISM": "false"},
                pass_fds=[there.fileno()],
                start_new_session=True,
            )
        NURSERIES.add(self._process.pid)
        return here


def popen(nursery: Nursery) -> type:
    """A `subprocess.Popen` whose children are born there, where they are some of ours; all others start as ever."""

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def _execute_child(self, *given: Any) -> None:
            asked = _start.bind(self, *given).arguments
            command = asked["args"] if isinstance(asked["args"], list | tuple) else [asked["args"]]
            known = next((c for c in CHILDREN if tuple(command[: len(c)]) == c), None)
            if known is None or command[len(known)] not in CHILDREN[known]:
                super()._execute_child(*given)
                return
            wanted = {
                "arguments": command[len(known) :],
                "environment": dict(os.environ if asked["env"] is None else asked["env"]),
                "folder": str(asked["cwd"] or Path.cwd()),
                "finds_modules_there": "-P" not in known,
                "session": asked["start_new_session"],
            }
            ends = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
            try:
                self.pid = nursery.bear(wanted, [n if end == -1 else end for n, end in enumerate(ends)])
                self._child_created = True
            finally:
                names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
                self._close_pipe_fds(*(asked[name] for name in names))

    return Popen


def _look_after_orphans(whether: bool) -> None:
    assert ctypes.CDLL(None).prctl(_SUBREAPER, int(whether), 0, 0, 0) == 0


def _serve(asks: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Bear a child for each request; returns in the child alone, with what was asked for and its streams."""
    while True:
        asked, streams, *_ = socket.recv_fds(asks, _MOST_BYTES, 3)
        if not asked:
            os._exit(0)
        assert len(list(Path("/proc/self/task").iterdir())) == 1, "a copy would lack threads that it may wait for"
        told, tells = os.pipe()
        between = os.fork()
        if between == 0:
            until_it_is_gone, gone = os.pipe()
            if os.fork():
                os._exit(0)
            asks.close()
            for end in (told, gone):
                os.close(end)
            os.read(until_it_is_gone, 1)
            os.close(until_it_is_gone)
            wanted = json.loads(asked)
            if wanted["session"]:
                os.setsid()
            os.write(tells, str(os.getpid()).encode())  # only now: who started it may look at its parent and session
            os.close(tells)
            return wanted, streams
        os.close(tells)
        os.waitpid(between, 0)
        asks.send(os.read(told, 99))
        for end in (told, *streams):
            os.close(end)


def _be(asked: dict[str, Any], streams: list[int]) -> None:
    """Be the process that was asked for."""
    module, *arguments = asked["arguments"]
    if module == "rlhf_lab":
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            here.close()
            for end in streams:
                os.close(end)
            _be(*_serve(there))
            return
        there.close()
        subprocess.Popen = popen(Nursery(here))  # type: ignore[misc]
    for n, end in enumerate(streams):
        os.dup2(end, n)
        os.close(end)
    # Not those of before, which think that they are still what they were: a file, perhaps, in which one can seek.
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    if asked["finds_modules_there"]:
        sys.path.insert(0, asked["folder"])
    sys.argv = [module, *arguments]
    try:
        if module.endswith(".py"):
            runpy.run_path(module, run_name="__main__")
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
    except Exception:
        status = 1
        traceback.print_exc()
    # What an interpreter does at its end; but taking the libraries apart, four tenths of a second, is left out.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _import_what_takes_seconds() -> None:
    from rlhf_lab.engine import libraries

    libraries.load()
    import rlhf_lab.cli
    import rlhf_lab.data.export
    import rlhf_lab.data.importer
    import rlhf_lab.engine.export
    import rlhf_lab.engine.oracles.checks
    import rlhf_lab.engine.sized
    import rlhf_lab.engine.stages
    import rlhf_lab.headless_recipes
    import rlhf_lab.runs.answering
    import rlhf_lab.runs.diagnostics
    import rlhf_lab.runs.keeping
    import rlhf_lab.runs.model_work
    import rlhf_lab.runs.watched
    import rlhf_lab.world.judge  # noqa: F401

    gc.freeze()


if __name__ == "__main__":
    with contextlib.closing(socket.socket(fileno=int(sys.argv[1]))) as requests:
        _import_what_takes_seconds()
        requests.send(_READY)
        found = _serve(requests)
    _be(*found)
