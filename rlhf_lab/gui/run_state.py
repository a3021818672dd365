"""Where a run stands, folded from its events. No Qt; one object per run that the window has seen."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rlhf_lab.core.naming import Stage, run_title

if TYPE_CHECKING:
    from rlhf_lab.core.events import AnyEvent, Health, Progress

Standing = Literal["queued", "starting", "running", "paused", "done", "stopped", "failed", "interrupted"]
LIVE: frozenset[str] = frozenset({"starting", "running", "paused"})
ENDED: frozenset[str] = frozenset({"done", "stopped", "failed", "interrupted"})

_NEWEST_SHARE = 0.3
"""How much the newest step counts in the running mean of a step's seconds."""


@dataclass
class RunState:
    """``stopping`` is set the moment that a person asks; ``values`` holds the newest value of each metric."""

    run: str
    stage: Stage
    outcome: Standing = "queued"
    stopping: bool = False
    step: int = 0
    total: int = 0
    phase: str = ""
    message: str = ""
    held: str = ""
    """What it waits for, where a person has to do something before it can go on."""
    values: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    health: dict[str, "Health"] = field(default_factory=dict)
    """The verdicts that hold now, by their code."""
    step_seconds: float | None = None
    _last: tuple[int, float] | None = None

    @property
    def paused(self) -> bool:
        """Whether it waits because a person asked."""
        return self.outcome == "paused"

    @property
    def live(self) -> bool:
        """Whether somebody works on it now."""
        return self.outcome in LIVE

    @property
    def title(self) -> str:
        """How people call it: "PPO 3"."""
        return run_title(self.run)

    def seconds_left(self) -> float | None:
        """From the mean of the last steps; None while that is not known."""
        if self.outcome != "running" or self.step_seconds is None or not self.total:
            return None
        return max(0, self.total - self.step) * self.step_seconds

    def take(self, events: Iterable["AnyEvent"]) -> None:
        """Fold the events in."""
        for event in events:
            self._take(event)

    def _take(self, event: "AnyEvent") -> None:
        # Imported here: a window without a run needs no event.
        from rlhf_lab.core.events import Finished, Health, Metrics, Paused, Phase, Progress, Resumed, Started, Warned

        match event:
            case Started() | Resumed():
                self.outcome, self.message, self.phase, self.held = "running", "", "", ""
                self.step, self._last = event.step, None
                self.health = {code: said for code, said in self.health.items() if said.step <= event.step}
                self.total = event.total_steps or self.total
            case Phase():
                self.phase = event.name
            case Progress():
                self._advance(event)
            case Metrics():
                self.values.update(event.values)
            case Paused():
                self.outcome = "paused" if event.paused else "running"
                self.held = event.reason
                self._last = None
            case Warned():
                self.warnings.append(event.text)
            case Health(on=True):
                self.health[event.code] = event
            case Health():
                self.health.pop(event.code, None)
            case Finished():
                self.outcome, self.message = event.outcome, event.message
                self.phase, self.held, self.stopping = "", "", False

    def _advance(self, event: "Progress") -> None:
        if self._last is not None and event.done > self._last[0]:
            seconds = max(0.0, event.time - self._last[1]) / (event.done - self._last[0])  # the clock may be set back
            known = self.step_seconds
            self.step_seconds = seconds if known is None else known + _NEWEST_SHARE * (seconds - known)
        self._last = (event.done, event.time)
        self.step, self.total, self.phase = event.done, event.total, ""
        if self.outcome in ("queued", "starting"):
            self.outcome = "running"


def in_words(seconds: float) -> str:
    """A duration for people: "8 s", "1 m 12 s", "2 h 05 m"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
