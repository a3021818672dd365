"""One row of the oracle table."""

import math
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Oracle:
    """What was expected, what the engine gave, and how far apart they may be."""

    name: str
    """The quantity, for people"""
    expected: float
    obtained: float
    tolerance: float
    words: str
    """Where the expectation comes from, and what it guards against"""
    relation: Literal["=", "≤", "≥"] = "="

    @property
    def ok(self) -> bool:
        """Whether it holds; never for NaN."""
        if not math.isfinite(self.obtained):
            return False
        difference = self.obtained - self.expected
        match self.relation:
            case "=":
                return abs(difference) <= self.tolerance
            case "≤":
                return difference <= self.tolerance
            case "≥":
                return difference >= -self.tolerance

    def as_json(self) -> dict[str, Any]:
        """With the verdict; a number that is none is told as text, since JSON has no word for it."""
        obtained = self.obtained if math.isfinite(self.obtained) else str(self.obtained)
        return vars(self) | {"obtained": obtained, "ok": self.ok}
