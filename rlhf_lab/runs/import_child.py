"""The data process: ``python -m rlhf_lab.runs.import_child DATABASE``; see `rlhf_lab.runs.importing`.

One JSON line a request, any number of lines a reply, the last of which is "done", "cancelled" or "error".
A thread reads ahead, so that a cancel is heard in the middle of an import; the end of input cancels, too.
What was cancelled is said at once, and only then removed from the database.
"""

import gc
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping as AnyMapping
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter

from rlhf_lab.core.errors import LabError
from rlhf_lab.data import export, importer, preview, statistics
from rlhf_lab.data.mapping import Mapping, NeedsMapping
from rlhf_lab.data.source import ImportCancelled
from rlhf_lab.runs import host
from rlhf_lab.store import Store

_PREVIEW = TypeAdapter(preview.Preview)
_RESULTS = TypeAdapter(list[importer.ImportResult])
_EXPORTED = TypeAdapter(export.ExportResult)
_STATISTICS = TypeAdapter(statistics.DatasetStatistics)
_MAPPING = TypeAdapter(Mapping | None)
_LONGEST_CELL = 500
_MOST_MEMORY = 8 * 2**30
"""Addresses; a file that wants more was made to want it."""


class Desk:
    """Where requests arrive and replies leave."""

    def __init__(self, out: IO[bytes]) -> None:
        self.waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._out = out
        self._cancel = threading.Event()
        self._said = False

    def read(self, lines: IO[bytes]) -> None:
        """Runs in a thread."""
        for line in lines:
            request = json.loads(line)
            if request["op"] == "cancel":
                self._cancel.set()
            else:
                self.waiting.put(request)
        self._cancel.set()
        self.waiting.put(None)

    def reply(self, kind: str, body: bytes = b"null") -> None:
        """Send a line; nobody may be there to read it any more."""
        try:
            self._out.write(b'{"kind": "%s", "body": %s}\n' % (kind.encode(), body))
            self._out.flush()
        except OSError:
            self._cancel.set()

    def progress(self, done: int, total: int) -> None:
        """How far it is."""
        self.reply("progress", b"[%d, %d]" % (done, total))

    def cancelled(self) -> bool:
        """Whether the work should end; says that it will at once, since ending takes longer."""
        if self._cancel.is_set() and not self._said:
            self._said = True
            self.reply("cancelled")
        return self._said

    def begin(self) -> None:
        """Forget the cancel of an earlier request."""
        if self._said:
            self._cancel.clear()
            self._said = False


def serve(desk: Desk, database: Path) -> None:
    """Meet requests one after the other, until the end of input."""
    while (request := desk.waiting.get()) is not None:
        desk.begin()
        try:
            done = _met(request, desk, database)
        except ImportCancelled:
            desk.cancelled()
        except NeedsMapping as needed:
            samples = [{name: _shown(value) for name, value in row.items()} for row in needed.rows]
            _fail(desk, str(needed), columns=needed.columns, rows=samples)
        except LabError as error:
            _fail(desk, str(error))
        except MemoryError:
            _fail(desk, "Not enough memory for this file. Split it, or close other programs.")
        except Exception as error:
            traceback.print_exc()
            first_line = (str(error).strip() or "no message").splitlines()[0][:300]
            _fail(desk, f"It did not work out ({type(error).__name__}: {first_line}).")
        else:
            desk.reply("done", done)


def _met(request: AnyMapping[str, Any], desk: Desk, database: Path) -> bytes:
    mapping = _MAPPING.validate_python(request.get("mapping"))
    match request["op"]:
        case "preview":
            path = Path(request["path"])
            shown = preview.preview(path, mapping, limit=request["limit"], heldout=request["heldout"])
            return _PREVIEW.dump_json(shown)
        case "import":
            with Store.open(database) as store:
                results = importer.import_files(
                    [Path(path) for path in request["paths"]],
                    store,
                    progress=desk.progress,
                    cancelled=desk.cancelled,
                    heldout=request["heldout"],
                    mapping=mapping,
                )
            return _RESULTS.dump_json(results)
        case "export":
            with Store.open(database) as store:
                exported = export.export(
                    store,
                    request["name"],
                    Path(request["path"]),
                    request["form"],
                    split=request["split"],
                    escape_formulas=request["escape_formulas"],
                    progress=desk.progress,
                    cancelled=desk.cancelled,
                )
            return _EXPORTED.dump_json(exported)
        case "statistics":
            with Store.open(database) as store:
                counted = statistics.statistics_of(store.records(request["name"]), cancelled=desk.cancelled)
            if desk.cancelled():
                raise ImportCancelled("The counting was cancelled.")
            return _STATISTICS.dump_json(counted)
        case "index":
            with Store.open(database) as store:
                ready = store.build_search(request["name"], desk.progress, desk.cancelled)
            if desk.cancelled():
                raise ImportCancelled("The index was left as far as it was.")
            return b"true" if ready else b"false"
    raise LabError(f"The import process does not know how to {request['op']!r}.")


def _fail(desk: Desk, message: str, **more: Any) -> None:
    desk.reply("error", json.dumps({"message": message, **more}).encode())


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def main() -> None:
    """See the module."""
    host.private_files()
    host.be_nice()
    host.limit_memory(_MOST_MEMORY)
    # Replies have a stream of their own: what a library prints by mistake is no reply.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    desk = Desk(out)
    threading.Thread(target=desk.read, args=(sys.stdin.buffer,), name="requests", daemon=True).start()
    # Rows are trees, freed as they go; looking for cycles among them costs a tenth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    serve(desk, Path(sys.argv[1]))
    os._exit(0)  # the thread waits in a read that nothing ends


if __name__ == "__main__":
    main()
