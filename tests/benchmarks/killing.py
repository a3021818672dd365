"""What the kill benchmarks share: the tally of one kind of victim, a victim in a process of its own, its death."""

import os
import random
import select
import signal
import sqlite3
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

_STARTS_WITHIN_S = 60.0


@dataclass
class Tally:
    """What happened to one kind of victim. Whatever is in `FAULTS` must stay 0."""

    kills: int = 0
    runs: int = 0
    """Runs, histories or databases that were brought to their end in spite of it, and compared."""
    lost: int = 0
    """Kills after which something that had been acknowledged was not there, or was another."""
    corrupt: int = 0
    """Databases or checkpoints that were found damaged."""
    not_resumed: int = 0
    """Runs, migrations, imports or copies that could not go on, or be done again."""
    differing: int = 0
    """Runs whose curves or weights were not those of the run that was never killed, bit for bit."""
    seconds: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)
    """How often a kill hit what it was aimed at, and the like."""
    said: list[str] = field(default_factory=list)
    """One line for each fault."""

    @property
    def faults(self) -> int:
        """Of all kinds."""
        return sum(getattr(self, name) for name in FAULTS)

    def fault(self, kind: str, words: str) -> None:
        """Count it and say it."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.said.append(words)

    def note(self, what: str, count: int = 1) -> None:
        """Count something that is no fault."""
        self.notes[what] = self.notes.get(what, 0) + count


FAULTS = {
    "lost": "acknowledged and lost",
    "corrupt": "corrupt",
    "not_resumed": "could not resume",
    "differing": "differ by a bit",
}


def sound(database: Path) -> bool:
    """Whether SQLite finds nothing wrong."""
    with closing(sqlite3.connect(database)) as db:
        return db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def forked(work: Callable[[], None], said: Path | None = None) -> int:
    """Do the work in a process of its own, which leads a session; its pid. An error goes to ``said``."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        work()
        code = 0
    except BaseException:
        if said is not None:
            said.write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(code)


def killed_after(work: Callable[[Callable[[bytes], object]], None], seconds: float) -> tuple[list[bytes], bool]:
    """Fork ``work(tell)`` and kill it so long after its first line; the whole lines it told, and whether it was killed.

    The pipe is emptied all along: a full one would stop the victim at the same place each time.
    """
    reading, writing = os.pipe()

    def tell(line: bytes) -> None:
        os.write(writing, line + b"\n")

    def child_work() -> None:
        os.close(reading)
        work(tell)

    child = forked(child_work)
    os.close(writing)
    told, end, begun = b"", time.monotonic() + _STARTS_WITHIN_S, False
    while True:
        wait = end - time.monotonic()
        if wait <= 0:
            os.kill(child, signal.SIGKILL)
            while part := os.read(reading, 65536):
                told += part
            break
        if not select.select([reading], [], [], wait)[0]:
            continue
        if not (part := os.read(reading, 65536)):
            break
        told += part
        if not begun and b"\n" in told:
            begun, end = True, time.monotonic() + seconds
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return told.split(b"\n")[:-1], os.WIFSIGNALED(status)


def moment(rng: random.Random, longest: float) -> float:
    """A random moment up to the longest, early ones as likely as late ones on any scale."""
    return rng.random() * longest * rng.choice((0.05, 0.3, 1.0))
