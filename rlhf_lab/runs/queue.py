"""Who may train when: one run a device, in the order they came."""

from dataclasses import dataclass, field

from rlhf_lab.runs import host


@dataclass
class RunQueue:
    """Plain bookkeeping for whoever starts runs; use it from one thread."""

    _waiting: dict[str, str] = field(default_factory=dict)
    _running: dict[str, str] = field(default_factory=dict)

    def add(self, run: str, device: str) -> None:
        """Let a run wait for its device ("auto" is what it would get)."""
        self._waiting[run] = host.device_of(device)

    def occupy(self, run: str, device: str) -> None:
        """Note a run that trains already, such as a re-attached one."""
        self._running[run] = host.device_of(device)

    def take(self) -> list[str]:
        """Runs whose turn it is now; from here on they count as running."""
        ready = []
        for run, device in list(self._waiting.items()):
            if device not in self._running.values():
                self._running[run] = self._waiting.pop(run)
                ready.append(run)
        return ready

    def finished(self, run: str) -> None:
        """The run has ended, or could not start: its device is free."""
        self._running.pop(run, None)

    def cancel(self, run: str) -> bool:
        """Take a waiting run out; False when it does not wait (any more)."""
        return self._waiting.pop(run, None) is not None

    def move(self, run: str, places: int) -> None:
        """Let a waiting run have its turn so many places later (earlier where negative), as far as there are any."""
        order = list(self._waiting)
        if run not in order:
            return
        at = order.index(run)
        order.insert(max(0, at + places), order.pop(at))
        self._waiting = {name: self._waiting[name] for name in order}

    def waiting(self) -> list[str]:
        """Runs that wait, in order."""
        return list(self._waiting)

    def running(self) -> list[str]:
        """Runs that train."""
        return list(self._running)
