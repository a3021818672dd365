"""The background trainer as the window knows it; behind it a run source, usually a child process."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QThread, Signal

from rlhf_lab.core.control import Command
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Finished

if TYPE_CHECKING:
    from rlhf_lab.runs.follow import Limits
    from rlhf_lab.runs.source import RunSource

_log = logging.getLogger(__name__)

_BUSY_MS = 300
"""What cannot be recorded within this is kept and recorded later: the curves in the window need not wait for it."""


class TrainerThread(QThread):
    """Starts (or attaches to) a run, records and passes on its events until its one `Finished`.

    Connect its signals to bound methods of GUI objects alone: anything else would run in this thread.
    """

    events_arrived = Signal(str, list)
    """Run id and what it said, at most ten times a second: a flood of queued signals fills the memory."""
    ended = Signal(str)
    """The last thing that it says; after a `let_go` without a `Finished` before it."""

    def __init__(
        self,
        run: str,
        begin: Callable[[], "RunSource"],
        database: Path,
        parent: QObject | None = None,
        *,
        limits: "Limits | None" = None,
    ):
        """``begin`` starts or attaches, in this thread; ``database`` is opened here once more, for the recorder."""
        super().__init__(parent)
        self.run_id = run
        self._begin, self._database, self._limits = begin, database, limits
        self._source: RunSource | None = None
        self._early: list[tuple[Callable[..., Command], dict[str, object]]] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = self._leave = False
        self.heard_end = False
        """Whether the run has said its `Finished`; settled once ``ended`` is emitted."""

    def stop(self) -> None:
        """Save and end, by message first, by force if the run does not answer."""
        self._stop = True
        self._wake.set()

    def let_go(self) -> None:
        """Follow no more; the run itself goes on."""
        self._leave = True
        self._wake.set()

    def send(self, command: Callable[..., Command], **fields: object) -> None:
        """Pass a command to the attempt that is followed, or to the one that is just being started."""
        with self._lock:
            if self._source is None:
                self._early.append((command, fields))
            else:
                self._source.send(command, **fields)

    def forget(self) -> None:
        """Let go of what it was made with, once it has ended and before it is deleted.

        ``begin`` may hold the last reference to the parent: were that dropped by the deletion, the parent would delete
        this thread a second time, in the middle of the first.
        """
        del self._begin

    def run(self) -> None:
        """See `QThread.run`."""
        # Imported here: the first window needs neither.
        from rlhf_lab.runs.follow import follow
        from rlhf_lab.runs.recorder import Recorder
        from rlhf_lab.store import Store

        try:
            with Store.open(self._database, busy_ms=_BUSY_MS) as store:
                source = self._begin()
                with self._lock:
                    self._source = source
                    for command, fields in self._early:
                        source.send(command, **fields)
                follow(
                    source,
                    Recorder(store),
                    self._pass_on,
                    should_stop=lambda: self._stop,
                    should_leave=lambda: self._leave,
                    wait=self._wait,
                    limits=self._limits,
                )
        except LabError as error:
            self._fail(str(error))
        except Exception as error:  # whatever it was, the window must hear of the end
            _log.exception("following %s", self.run_id)
            self._fail(f"The window lost track of the run ({type(error).__name__}: {error}). Restart the window.")
        finally:
            self.ended.emit(self.run_id)

    def _pass_on(self, events: list[AnyEvent]) -> None:
        self.heard_end = self.heard_end or any(isinstance(event, Finished) for event in events)
        self.events_arrived.emit(self.run_id, events)

    def _fail(self, message: str) -> None:
        if not self.heard_end:
            self._pass_on([Finished(outcome="failed", message=message)])

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()
