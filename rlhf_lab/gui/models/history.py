"""Everything that one run has said, in the shape that a pane shows it. No Qt; the same for stored and live runs."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from rlhf_lab.core.diagnosis import RewardDiagnosis
from rlhf_lab.core.events import (
    AnyEvent,
    Changed,
    Diagnosis,
    Finished,
    Health,
    Histogram,
    Metrics,
    Resumed,
    SampleRow,
    Samples,
    Started,
    Warned,
)
from rlhf_lab.gui.models.curves import Curve

MOST_WARNINGS = 50
"""Warnings that are kept; a run that warns at every step says nothing new."""


class RunHistory:
    """Curves, histograms, samples, verdicts and remarks of one run, by step."""

    def __init__(self, run: str):
        self.run = run
        self.curves: dict[str, Curve] = {}
        self.histograms: dict[str, dict[int, Histogram]] = {}
        self.samples: dict[str, dict[int, tuple[SampleRow, ...]]] = {}
        self.diagnoses: dict[int, RewardDiagnosis] = {}
        self.changes: list[Changed] = []
        self.warnings: list[Warned] = []
        self.health: list[Health] = []
        self.started: Started | None = None
        self.finished: Finished | None = None

    def load_curves(self, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> None:
        """Take the stored curves of a run; call once, before any event."""
        for name, (steps, values) in curves.items():
            self.curves.setdefault(name, Curve()).load(steps, values)

    def feed(self, events: Iterable[AnyEvent]) -> set[str]:
        """Take events in order; what was taken already changes nothing. Returns the names of what changed."""
        changed: set[str] = set()
        for event in events:
            match event:
                case Metrics():
                    for name, value in event.values.items():
                        self.curves.setdefault(name, Curve()).append(event.step, value)
                    changed.update(event.values)
                case Histogram():
                    self.histograms.setdefault(event.name, {})[event.step] = event
                    changed.add(event.name)
                case Samples():
                    self.samples.setdefault(event.name, {})[event.step] = event.rows
                    changed.add("samples")
                case Diagnosis():
                    self.diagnoses[event.step] = event.found
                    changed.add("diagnosis")
                case Changed() if event not in self.changes:
                    self.changes.append(event)
                    changed.add("changes")
                case Health() if event not in self.health:
                    self.health.append(event)
                    changed.add("health")
                case Warned() if event not in self.warnings:
                    self.warnings = [*self.warnings, event][-MOST_WARNINGS:]
                    changed.add("warnings")
                case Started():
                    self.started, self.finished = event, None
                case Resumed():
                    self._supersede(event.step)
                    changed.update(self.curves, self.histograms, ("samples", "changes", "diagnosis", "health"))
                case Finished():
                    self.finished = event
        return changed

    def newest(self, name: str) -> float | None:
        """The last value of a metric."""
        curve = self.curves.get(name)
        return curve.newest if curve is not None else None

    def first(self, name: str) -> float | None:
        """The first value of a metric."""
        curve = self.curves.get(name)
        return curve.first() if curve is not None else None

    def sample_steps(self, name: str) -> list[int]:
        """The steps that have samples of this name, rising."""
        return sorted(self.samples.get(name, {}))

    def samples_at(self, name: str, step: int) -> tuple[SampleRow, ...]:
        """The samples of this step, or of the last one before it."""
        steps = self.sample_steps(name)
        at = bisect_right(steps, step)
        return self.samples[name][steps[at - 1]] if at else ()

    def _supersede(self, after: int) -> None:
        self.finished = None
        for curve in self.curves.values():
            curve.supersede(after)
        for by_step in (*self.histograms.values(), *self.samples.values(), self.diagnoses):
            for step in [s for s in by_step if s > after]:
                del by_step[step]
        self.changes = [c for c in self.changes if c.step <= after]
        self.health = [h for h in self.health if h.step <= after]
