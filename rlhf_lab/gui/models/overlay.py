"""One metric of several runs, laid over each other: drawn at once from sketches, then from what the view needs. No Qt."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np

from rlhf_lab.core.events import AnyEvent, Metrics, Resumed
from rlhf_lab.gui.models.curves import Curve
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.store import Store
from rlhf_lab.store.run_index import Curve as Points

MOST = 10
"""Runs that are laid over each other; more cannot be told apart."""
MOST_KEPT = 20
"""Whole curves that are kept for the next look; one of a million points is 16 MB."""
FINE = 2048
"""Points of a sketch, two a pixel, from which on it draws what the whole curve would draw."""
PREFERRED = ("eval/score", "eval/accuracy", "eval/loss", "objective/scores", "dpo/loss", "reward/loss", "train/loss")
"""What is shown first where the selected runs have it."""

Key = tuple[str, str]
"""Run and metric."""


class Overlay:
    """Chooses the curves; the history that it makes names each by its place, "0" to "9"."""

    def __init__(self) -> None:
        self.runs: tuple[str, ...] = ()
        self.metric = ""
        self._curves: OrderedDict[Key, Curve] = OrderedDict()
        self._sketched: dict[Key, Curve] = {}
        """The sketches; `_curves` has them with what was read of a part."""

    def choose(self, store: Store, runs: Sequence[str], metric: str) -> None:
        """Read what can be read at once."""
        self.runs, self.metric = tuple(runs[:MOST]), metric
        for key in self._keys():
            if key in self._curves:
                self._curves.move_to_end(key)
                continue
            (steps, values), exact = store.sketch(*key)
            self._keep(key, curve_of((steps, values)))
            if not exact:
                self._sketched[key] = self._curves[key]

    def unread(self) -> list[Key]:
        """The curves that are drawn from their sketch."""
        return [key for key in self._keys() if key in self._sketched]

    def rough(self) -> list[Key]:
        """Of these, those whose sketch has fewer points than the plot has pixels: the whole is seen to differ."""
        return [key for key in self.unread() if len(self._sketched[key]) < FINE]

    def take_part(self, key: Key, part: Curve) -> None:
        """What was read of a part of a sketched curve stands there from now on; of other parts their sketch."""
        if key not in self._sketched or not len(part):
            return
        sketch = self._sketched[key]
        begin = int(np.searchsorted(sketch.steps, part.steps[0]))
        end = int(np.searchsorted(sketch.steps, part.steps[-1], side="right"))
        joined = Curve()
        for curve, piece in ((sketch, slice(begin)), (part, slice(None)), (sketch, slice(end, None))):
            joined.load(curve.steps[piece], curve.values[piece])
        self._keep(key, joined)

    def take_whole(self, key: Key, curve: Curve) -> None:
        """The whole curve was read; what came meanwhile stays."""
        if key in self._sketched:
            before = self._sketched.pop(key)
            newer = int(np.searchsorted(before.steps, curve.steps[-1], side="right")) if len(curve) else 0
            curve.load(before.steps[newer:], before.values[newer:])
            self._keep(key, curve)

    def take(self, run: str, events: Iterable[AnyEvent]) -> bool:
        """Add what a run says while it goes on; whether that shows."""
        shown = False
        for event in events:
            if isinstance(event, Resumed):
                self.forget(run)
                shown |= run in self.runs
            elif isinstance(event, Metrics):
                for name, value in event.values.items():
                    if (run, name) in self._curves:
                        self._curves[run, name].append(event.step, value)
                        if (run, name) in self._sketched:
                            self._sketched[run, name].append(event.step, value)
                        shown |= name == self.metric and run in self.runs
        return shown

    def forget(self, run: str) -> None:
        """Its curves have to be read again."""
        for key in [key for key in self._curves if key[0] == run]:
            del self._curves[key]
            self._sketched.pop(key, None)

    def history(self) -> RunHistory:
        """For a plot; places without values have no curve."""
        made = RunHistory("")
        for place, key in enumerate(self._keys()):
            if key in self._curves and len(self._curves[key]):
                made.curves[str(place)] = self._curves[key]
        return made

    def _keys(self) -> list[Key]:
        return [(run, self.metric) for run in self.runs]

    def _keep(self, key: Key, curve: Curve) -> None:
        self._curves[key] = curve
        self._curves.move_to_end(key)
        while len(self._curves) > MOST_KEPT:
            gone, _ = self._curves.popitem(last=False)
            self._sketched.pop(gone, None)


def common_metrics(store: Store, runs: Iterable[str]) -> list[str]:
    """Every metric that any of the runs has, those of most runs first."""
    counts: dict[str, int] = {}
    for run in runs:
        for name in store.metric_names(run):
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))


def first_metric(names: Sequence[str], before: str) -> str:
    """What was shown before, where it is there; else what people look at first."""
    if before in names:
        return before
    return next((name for name in PREFERRED if name in names), names[0] if names else "")


def curve_of(points: Points) -> Curve:
    """As a plot needs it; a million points take a tenth of a second, so whoever reads them beside the window makes it there."""
    made = Curve()
    made.load(*points)
    return made
