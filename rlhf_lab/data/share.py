"""How often something was so, and how sure that number is."""

import math
from dataclasses import dataclass

Z95 = 1.959964
"""95% of a normal distribution lie within so many standard deviations."""


@dataclass(frozen=True)
class Share:
    """``hits`` out of ``of`` (half a hit is a tie); ``low`` to ``high`` is the Wilson score interval, 95%."""

    hits: float
    of: int

    @property
    def value(self) -> float:
        """Between 0 and 1; NaN out of none."""
        return self.hits / self.of if self.of else math.nan

    @property
    def low(self) -> float:
        """The lower end."""
        return self._end(-1)

    @property
    def high(self) -> float:
        """The upper end."""
        return self._end(1)

    @property
    def is_chance(self) -> bool:
        """Whether a half is within the interval: a coin might have given it."""
        return self.of == 0 or self.low <= 0.5 <= self.high

    @property
    def text(self) -> str:
        """As "71% (68–74%)"."""
        if not self.of:
            return "unknown"
        return f"{self.value:.0%} ({100 * self.low:.0f}–{self.high:.0%})"

    def __add__(self, other: "Share") -> "Share":
        return Share(self.hits + other.hits, self.of + other.of)

    def _end(self, sign: int) -> float:
        if not self.of:
            return 0.0 if sign < 0 else 1.0
        n, p, z = self.of, self.value, Z95
        middle = p + z * z / (2 * n)
        width = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return min(1.0, max(0.0, (middle + sign * width) / (1 + z * z / n)))
