"""The data process of a window: started when it is first needed, used by one task at a time, ended when it rests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlhf_lab.runs.importing import Importing


class DataProcess:
    """Tasks beside the window share one child: the next look at a file need not wait for another start."""

    def __init__(self, database: Path):
        self._database = database
        self._lock = threading.Lock()
        self._importing: Importing | None = None
        self._resting = False

    @contextmanager
    def use(self) -> Iterator["Importing"]:
        """The child, for one task; waits for the one before, which has been cancelled."""
        with self._lock:
            if self._importing is None:
                from rlhf_lab.runs.importing import Importing

                self._importing = Importing(self._database)
            self._resting = False
            try:
                yield self._importing
            finally:
                if self._resting:
                    self._close()

    def rest(self) -> None:
        """Nothing more is wanted for now: the child ends, now or with the task that it works at. Never waits."""
        self._resting = True
        if self._lock.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._lock.release()

    def _close(self) -> None:
        if self._importing is not None:
            self._importing.close()
        self._importing = None
