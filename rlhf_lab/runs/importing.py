"""The client of the data process: import, export and counting beside a window that stays at 60 frames. No Qt.

Its methods are those of `rlhf_lab.data`, and block: call them in a thread. A cancel is heard within a
twentieth of a second; what an import had stored by then is removed by the child, which outlives this object
for as long as that takes (or by the next import, should it be killed).
"""

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Split
from rlhf_lab.data.export import ExportResult, Form
from rlhf_lab.data.importer import ImportResult, Progress
from rlhf_lab.data.mapping import Mapping, NeedsMapping
from rlhf_lab.data.preview import Preview
from rlhf_lab.data.source import ImportCancelled
from rlhf_lab.data.statistics import DatasetStatistics
from rlhf_lab.runs import host

ENTRY = (*host.PYTHON, "rlhf_lab.runs.import_child")

_PREVIEW = TypeAdapter(Preview)
_RESULTS = TypeAdapter(list[ImportResult])
_EXPORTED = TypeAdapter(ExportResult)
_STATISTICS = TypeAdapter(DatasetStatistics)
_READER = "importing"
_HEARD_S = 0.05
_PATIENCE_S = 0.4
"""A cancelled child that has not said so by then is killed."""


class Importing:
    """One child, started when it is first needed and used from one thread. ``with Importing(database) as data``."""

    def __init__(self, database: Path, *, entry: Sequence[str] = ENTRY) -> None:
        self._database = database
        self._entry = tuple(entry)
        self._child: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def preview(
        self,
        path: Path,
        mapping: Mapping | None = None,
        *,
        limit: int = 20,
        heldout: float = 0.1,
        cancelled: Callable[[], bool] | None = None,
    ) -> Preview:
        """See `rlhf_lab.data.preview.preview`."""
        wish = {"path": str(path), "limit": limit, "heldout": heldout}
        return _PREVIEW.validate_python(self._ask("preview", wish, mapping, None, cancelled))

    def import_files(
        self,
        paths: Sequence[Path],
        *,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        heldout: float = 0.1,
        mapping: Mapping | None = None,
    ) -> list[ImportResult]:
        """See `rlhf_lab.data.importer.import_files`."""
        wish = {"paths": [str(path) for path in paths], "heldout": heldout}
        return _RESULTS.validate_python(self._ask("import", wish, mapping, progress, cancelled))

    def export(
        self,
        name: str,
        path: Path,
        form: Form,
        *,
        split: Split | None = None,
        escape_formulas: bool = True,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> ExportResult:
        """See `rlhf_lab.data.export.export`."""
        wish = {"name": name, "path": str(path), "form": form, "split": split, "escape_formulas": escape_formulas}
        return _EXPORTED.validate_python(self._ask("export", wish, None, progress, cancelled))

    def statistics(self, name: str, *, cancelled: Callable[[], bool] | None = None) -> DatasetStatistics:
        """See `rlhf_lab.data.statistics.statistics_of`, of all records of a data set."""
        return _STATISTICS.validate_python(self._ask("statistics", {"name": name}, None, None, cancelled))

    def build_search(
        self, name: str, *, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None
    ) -> bool:
        """See `rlhf_lab.store.store.Store.build_search`."""
        return bool(self._ask("index", {"name": name}, None, progress, cancelled))

    def close(self) -> None:
        """End the child once it has removed what was cancelled; does not wait for that."""
        if self._child is not None:
            assert self._child.stdin is not None
            with contextlib.suppress(OSError):
                self._child.stdin.close()
            self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self,
        op: str,
        wish: dict[str, Any],
        mapping: Mapping | None,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
    ) -> Any:
        """Send a request and wait for its last reply, which is returned; raises what the child raised."""
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = self._start()
        child, replies = self._child, self._replies
        self._send({"op": op, **wish, "mapping": asdict(mapping) if mapping else None})
        while True:
            try:
                reply = replies.get(timeout=_HEARD_S)
            except queue.Empty:
                reply = {"kind": "silence"}
            if reply is None:
                raise LabError(_ended(child))
            match reply["kind"]:
                case "progress" if progress is not None:
                    progress(*reply["body"])
                case "done":
                    return reply["body"]
                case "error":
                    self._fail(**reply["body"])
                case "cancelled":  # its input was closed: this client is being let go of
                    raise ImportCancelled(_cancelled(op))
            if cancelled is not None and cancelled():
                return self._cancel(op)

    def _cancel(self, op: str) -> Any:
        """Raises `ImportCancelled` once the child has said so or was killed; one that said so goes on alone.

        Returns the reply of a child that was done just before it heard.
        """
        assert self._child is not None
        self._send({"op": "cancel"})
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                reply = self._replies.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                self._child.kill()
                break
            if reply is None or reply["kind"] in ("cancelled", "error"):
                break
            if reply["kind"] == "done":
                self.close()
                return reply["body"]
        self.close()
        raise ImportCancelled(_cancelled(op))

    def _fail(self, message: str, columns: Sequence[str] = (), rows: Sequence[dict[str, Any]] = ()) -> None:
        if columns:
            raise NeedsMapping(message, tuple(columns), rows)
        raise LabError(message)

    def _send(self, request: dict[str, Any]) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):  # it has just died, which the reader says
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()

    def _start(self) -> "subprocess.Popen[bytes]":
        log = os.open(self._database.with_name("import.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            child = subprocess.Popen(
                [*self._entry, str(self._database)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                **host.detached(),
            )
        finally:
            os.close(log)
        self._replies = queue.SimpleQueue()
        threading.Thread(target=_read, args=(child, self._replies), name=_READER, daemon=True).start()
        return child


def children_are_gone(patience_s: float) -> bool:
    """Wait until no child of this process is left: one whose client was closed may still remove what was cancelled."""
    deadline = time.monotonic() + patience_s
    readers = [thread for thread in threading.enumerate() if thread.name == _READER]
    for reader in readers:
        reader.join(max(0, deadline - time.monotonic()))
    return not any(reader.is_alive() for reader in readers)


def _cancelled(op: str) -> str:
    return f"The {op} was cancelled; nothing of the file in hand was stored."


def _ended(child: "subprocess.Popen[bytes]") -> str:
    status = child.wait()
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    memory = " If nobody did that, memory ran out." if status == -9 else ""
    return f"The import process {how}; nothing of the file in hand was stored.{memory} Try again, or split the file."


def _read(child: "subprocess.Popen[bytes]", replies: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    """Pass on what a child says, and see it out."""
    assert child.stdout is not None
    with child.stdout as lines:
        for line in lines:
            replies.put(json.loads(line))
    child.wait()
    replies.put(None)
