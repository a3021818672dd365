"""The pictures of a reward model's diagnosis in their frames."""

from PySide6.QtCore import Slot

from rlhf_lab.core.diagnosis import RewardDiagnosis
from rlhf_lab.core.help import tip
from rlhf_lab.gui.models.diagnosis import calibration_points
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.plots.calibration_plot import CalibrationPlot
from rlhf_lab.gui.plots.card import Card, Entry, Legend
from rlhf_lab.gui.plots.length_plot import SIDES, WORDS, LengthPlot
from rlhf_lab.gui.theme import theme

HEIGHT = 228
CALIBRATION, LENGTH = "control.calibration", "control.score_length"


class CalibrationCard(Card):
    """The `CalibrationPlot`."""

    def __init__(self) -> None:
        self.plot = CalibrationPlot("Calibration")
        self.legend = Legend([Entry("observed", "Held-out pairs", tip(CALIBRATION))], None)
        super().__init__("Calibration", tip(CALIBRATION), self.plot, self.legend, f"help:{CALIBRATION}")
        self._found = RewardDiagnosis()
        self.setFixedHeight(HEIGHT)
        self.plot.pointed.connect(self._tell)
        theme().changed.connect(self._recolour)
        self._recolour()

    def show_diagnosis(self, found: RewardDiagnosis) -> None:
        """Show another one."""
        self._found = found
        self.plot.show_bins(calibration_points(found.calibration))
        self._tell(None)

    @Slot(object)
    def _tell(self, at: int | None) -> None:
        if at is not None:
            self.set_aside(calibration_points(self._found.calibration)[at].words)
        else:
            self.set_aside("" if self._found.ece is None else f"ECE {self._found.ece:.3f}")

    @Slot()
    def _recolour(self) -> None:
        self.legend.set_colours({"observed": self.plot.colour()})


class LengthCard(Card):
    """The `LengthPlot`."""

    def __init__(self) -> None:
        self.plot = LengthPlot("Score against length")
        self.legend = Legend([Entry(side, words, tip(LENGTH)) for side, words in WORDS.items()], None)
        super().__init__("Score against length", tip(LENGTH), self.plot, self.legend, f"help:{LENGTH}")
        self._found = RewardDiagnosis()
        self.setFixedHeight(HEIGHT)
        self.plot.pointed.connect(self._tell)
        theme().changed.connect(self._recolour)
        self._recolour()

    def show_diagnosis(self, found: RewardDiagnosis) -> None:
        """Show another one."""
        self._found = found
        self.plot.show_answers(found.points)
        self._tell(None)

    @Slot(object)
    def _tell(self, at: int | None) -> None:
        if at is not None:
            self.set_aside(self.plot.words(at))
        else:
            known = self._found.length_correlation
            self.set_aside("" if known is None else f"correlation {number(known)}")

    @Slot()
    def _recolour(self) -> None:
        self.legend.set_colours({side: self.plot.colour(side) for side in SIDES})
