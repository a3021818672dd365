"""One row of the table of symptoms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rlhf_lab.core.health.history import History
from rlhf_lab.core.naming import Stage

HELD_OUT = "held-out prompts"
"""Stands for a look at them where a rule says what it follows."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A symptom, when it is looked for, what it means and what to do.

    ``judge`` looks at the history and says what it sees, or None. The verdict is given once that was so in
    ``often[0]`` of the last ``often[1]`` looks and taken back when it was so in none of them; one of the
    level "stop" stays. Every number that decides is here, so that the table can be read and tested.
    """

    code: str
    title: str
    """A few words, for a chip."""
    stages: tuple[Stage, ...]
    follows: str
    """The metric with whose new values it is looked at again, or `HELD_OUT`; "" is every metric."""
    judge: Callable[[History, "Rule"], str | None]
    limit: float
    floor: float = 0.0
    """What else must be so, where ``limit`` is a ratio or a change; see ``reason``."""
    bf16_limit: float | None = None
    """Instead of ``limit`` where the base may be bf16, which rounds more."""
    window: int = 1
    """Values that are averaged."""
    first_step: int = 0
    """It is silent before."""
    often: tuple[int, int] = (1, 1)
    level: Literal["check", "stop"] = "check"
    marks: tuple[str, ...] = ()
    """Curves on which it is marked, beside the one it follows."""
    reason: str
    """Of the numbers."""
    cause: str
    advice: str

    @property
    def metrics(self) -> tuple[str, ...]:
        """The curves on which the verdict is marked."""
        own = (self.follows,) if self.follows not in ("", HELD_OUT) else ()
        return own + self.marks
