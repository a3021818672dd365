"""Errors that nobody caught, in any thread or slot: logged in full, told once, and the window lives on."""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtWidgets import QApplication

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.redact import without_secrets
from rlhf_lab.runs.project_log import frames

if TYPE_CHECKING:
    from rlhf_lab.gui.main_window import MainWindow
    from rlhf_lab.gui.widgets.failure_dialog import FailureDialog

_log = logging.getLogger(__name__)

FLOOD_S = 2.0
"""The same error within so many seconds of its last time is only counted."""

_MOST_KNOWN = 200


@dataclass(frozen=True)
class Fault:
    """One error: its name, what it said, and where it came from."""

    name: str
    said: str
    where: str
    details: str


@dataclass
class _Seen:
    """How often, and when last."""

    times: int = 0
    last: float = float("-inf")


class Failures(QObject):
    """Takes the place of Python's hooks until `close`; lives in the GUI thread, hears of all threads."""

    happened = Signal(object)
    """A `Fault` that was not seen before."""
    again = Signal(object, int)
    """One that was, and how often by now; a flood of it comes once."""
    refused = Signal(str)
    """A `LabError` that nobody caught: its words are for the person as they are."""

    def __init__(self, parent: QObject | None = None, now: Callable[[], float] = time.monotonic):
        super().__init__(parent)
        self._now = now
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._lock = threading.Lock()
        self._before = sys.excepthook, threading.excepthook, sys.unraisablehook
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._take, self._take_of_thread, self._note

    def close(self) -> None:
        """Errors go where they went before."""
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._before

    def times(self, fault: Fault) -> int:
        """How often it has happened."""
        with self._lock:
            seen = self._seen.get((fault.name, fault.where))
            return seen.times if seen is not None else 1

    def _take(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Runs in the thread of the error: it may emit signals, nothing else of Qt."""
        if issubclass(kind, KeyboardInterrupt):
            QApplication.quit()
            return
        if isinstance(error, LabError):
            _log.warning("%s", error)
            self.refused.emit(str(error))
            return
        fault = fault_of(error)
        times, flood = self._count(fault)
        if flood:
            return
        sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))
        if times == 1:
            _log.error("nobody caught this", exc_info=(kind, error, trace))
            self.happened.emit(fault)
        else:
            _log.error("%s at %s: %d times by now", fault.name, fault.where, times)
            self.again.emit(fault, times)

    def _take_of_thread(self, arguments: Any) -> None:
        if not issubclass(arguments.exc_type, SystemExit) and arguments.exc_value is not None:
            self._take(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)

    def _note(self, arguments: Any) -> None:
        """What is raised while objects are collected: nobody waits for its effect, so the log is enough."""
        if arguments.exc_value is not None and not self._count(fault_of(arguments.exc_value))[1]:
            _log.error("while an object was collected", exc_info=arguments.exc_value)
        self._before[2](arguments)

    def _count(self, fault: Fault) -> tuple[int, bool]:
        """How often it has happened, and whether it is one of a flood."""
        with self._lock:
            if len(self._seen) > _MOST_KNOWN:
                self._seen.clear()
            seen = self._seen.setdefault((fault.name, fault.where), _Seen())
            now = self._now()
            flood = now - seen.last < FLOOD_S
            seen.times, seen.last = seen.times + 1, now
            return seen.times, flood


def fault_of(error: BaseException) -> Fault:
    """What a person is told of an error."""
    lines = without_secrets(frames(error)).splitlines()
    said = without_secrets(str(error)).strip()
    trace = traceback.extract_tb(error.__traceback__)
    where = f"{trace[-1].filename}:{trace[-1].lineno}" if trace else ""
    return Fault(type(error).__name__, said.splitlines()[0][:300] if said else "", where, "\n".join(lines))


class Telling(QObject):
    """Shows faults in a window: one dialog at a time, what comes while it is open goes into it."""

    def __init__(self, failures: Failures, window: "MainWindow"):
        super().__init__(window)
        self._failures, self._window = failures, window
        self._dialog: FailureDialog | None = None
        # Queued: an error in the middle of painting must not open a dialog there.
        later = Qt.ConnectionType.QueuedConnection
        failures.happened.connect(self._tell, later)
        failures.again.connect(self._tell_again, later)
        failures.refused.connect(window.show_problem, later)

    @Slot(object)
    def _tell(self, fault: Fault) -> None:
        # Imported here: the first window needs none of it.
        from rlhf_lab.gui.widgets.failure_dialog import FailureDialog

        if self._dialog is None:
            parent = QApplication.activeModalWidget() or self._window
            self._dialog = FailureDialog(self._window.diagnostics, self._failures.times, parent)
            self._dialog.finished.connect(self._closed)
            self._dialog.show_fault(fault)
            self._dialog.open()
        else:
            self._dialog.show_fault(fault)

    @Slot(object, int)
    def _tell_again(self, fault: Fault, times: int) -> None:
        if self._dialog is None:
            self._window.show_problem(
                f"The same went wrong again ({fault.name}), {times} times by now. Nothing is lost."
            )

    @Slot()
    def _closed(self) -> None:
        if self._dialog is not None:
            self._dialog.deleteLater()
        self._dialog = None
