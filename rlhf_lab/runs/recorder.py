"""From a run's log into the database, batch by batch; reading a log twice changes nothing."""

from collections.abc import Sequence

from rlhf_lab.core.events import AnyEvent
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.log import Tail
from rlhf_lab.store import Store


class Recorder:
    """Writes events with the offset after them, in one transaction a batch."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def offset(self, run: str) -> int:
        """How much of the run's log is recorded."""
        return self._store.offset(run)

    def record(self, run: str, events: Sequence[tuple[AnyEvent, int]]) -> None:
        """Record a batch; events that are there already stay as they are."""
        if events:
            self._store.record_events(run, list(events))

    def catch_up(self, folder: RunFolder) -> None:
        """Record what a log holds beyond what is recorded."""
        tail = Tail(folder.events_path, self.offset(folder.run))
        while found := tail.read():
            self.record(folder.run, found)
