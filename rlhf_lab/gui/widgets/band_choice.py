"""Whether runs that differ in their seed alone are drawn one by one, or as their mean with a band."""

from collections.abc import Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.bands import Band, Repeats, band_of, repeats_of
from rlhf_lab.gui.models.curves import Curve
from rlhf_lab.gui.models.spread import SpreadKind
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.store.run_index import Curve as Points

CHOICES: dict[str, SpreadKind | None] = {
    "Each run": None,
    "Mean, lowest to highest": "range",
    "Mean, 95% interval": "interval",
}


class BandChoice(QComboBox):
    """Shows itself where the selected runs hold such repeats."""

    chosen = Signal()

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._repeats: list[Repeats] = []
        self._read: dict[tuple[str, str], Points] = {}
        """By run and metric: a band is drawn anew with each event of one of its runs."""
        self.setAccessibleName("Runs that differ in their seed")
        self.addItems(list(CHOICES))
        explain(self, "control.bands")
        self.activated.connect(self._choose)
        self.hide()

    @property
    def on(self) -> bool:
        """Whether bands are to be drawn of what is selected."""
        return CHOICES[self.currentText()] is not None and any(len(one.runs) > 1 for one in self._repeats)

    def show_runs(self, runs: Sequence[str]) -> None:
        """Look for repeats among these; raises `LabError` where the index cannot be read."""
        rows = self._lab.project.store.runs() if len(runs) > 1 else []
        self._repeats, self._read = repeats_of(rows, runs), {}
        self.setVisible(any(len(one.runs) > 1 for one in self._repeats))

    def bands(self, metric: str, most: int) -> list[tuple[Repeats, Curve, Band]]:
        """The first ``most`` sets of repeats that have the metric: name, mean and band."""
        kind = CHOICES[self.currentText()]
        found = []
        for one in self._repeats[:most] if kind is not None else []:
            band = band_of([self._means(run, metric) for run in one.runs], kind)
            mean = Curve()
            mean.load(band.steps, band.mean)
            found.append((one, mean, band))
        return found

    def forget(self, run: str) -> None:
        """It has gone on."""
        self._read = {key: points for key, points in self._read.items() if key[0] != run}

    def _means(self, run: str, metric: str) -> Points:
        """A sketch would not do: its points are extremes, whose mean is none of the run's."""
        if (run, metric) not in self._read:
            self._read[run, metric] = self._lab.project.store.means(run, metric)
        return self._read[run, metric]

    def concerns(self, run: str) -> bool:
        """Whether the run is one of the selected ones."""
        return any(run in one.runs for one in self._repeats)

    @Slot()
    def _choose(self) -> None:
        self.chosen.emit()
