"""What a case of the corpus is, and what is measured when it is tried."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MARK = "lab_canary"
"""In every piece of code that the corpus holds: the watch looks for it where code is compiled or run."""


@dataclass(frozen=True)
class Place:
    """Where a case puts its files, and what it tries to reach: files outside, which nobody may open."""

    folder: Path
    outside: Path
    model: Path | None = None
    """A tiny model that is fine, for cases that change one thing of it."""

    @property
    def secret(self) -> Path:
        """A file of somebody else."""
        return self.outside / "secret.txt"

    @property
    def code(self) -> str:
        """Python that would leave a trace if it were ever run."""
        return f"import os; {MARK} = open({str(self.outside / 'ran')!r}, 'w')"


@dataclass(frozen=True)
class Case:
    """``make`` writes it and returns what is handed to the lab; ``words`` is what the lab must then say."""

    name: str
    words: str
    make: Callable[[Place], Path | str]


@dataclass
class Tried:
    """What came of a case."""

    family: str
    case: str
    expected: str
    said: str = ""
    seconds: float = 0.0
    """Of a processor; ``waited`` is what the clock says, which on a machine at work is more."""
    waited: float = 0.0
    megabytes: float = 0.0
    noted: list[str] = field(default_factory=list)
    """What the watch saw."""

    @property
    def problem(self) -> str:
        """Why this is not how it should be; "" where it is."""
        if self.noted:
            return f"the watch saw: {'; '.join(self.noted)}"
        if not re.search(self.expected, self.said):
            return f"expected {self.expected!r}, the lab said: {self.said[:600]!r}"
        if len(self.said) > 4000:
            return f"the lab said {len(self.said)} characters"
        if self.seconds > MOST_SECONDS or self.megabytes > MOST_MEGABYTES:
            return f"it took {self.seconds:.1f} s and {self.megabytes:.0f} MB"
        return ""


MOST_SECONDS = 10.0
MOST_MEGABYTES = 500.0


def file(name: str, content: bytes) -> Callable[[Place], Path]:
    """Writes one file."""

    def make(place: Place) -> Path:
        path = place.folder / name
        path.write_bytes(content)
        return path

    return make
