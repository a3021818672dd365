"""The pictures of a reward model's diagnosis in their frames."""

from PySide6.QtCore import Slot

from rlhf_lab.core.diagnosis import RewardDiagnosis
from rlhf_lab.gui.models.diagnosis import calibration_points
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.plots.calibration_plot import CalibrationPlot
from rlhf_lab.gui.plots.card import Card, Entry, Legend
from rlhf_lab.gui.plots.length_plot import SIDES, WORDS, LengthPlot
from rlhf_lab.gui.theme import theme

HEIGHT = 260
CALIBRATION_HELP = (
    "The difference of two scores says how sure the reward model is that people prefer the first answer; which of the two "
    "is first is drawn by lot. Each point gathers the held-out pairs for which it is about as sure: to the right is what "
    "it predicts, up is how often the first answer wins by the labels; larger points stand for more pairs, the bars are "
    "95% intervals. On the dashed line its word can be taken as it is. A flatter curve: it is too sure of itself, and PPO "
    "then believes differences that are not there.\n\n"
    "ECE, the expected calibration error, is the mean distance from that line. Up to about 0.05 is good; noisy labels "
    "alone bend the curve towards 50%."
)
LENGTH_HELP = (
    "Each point is one held-out answer. A cloud without a slope does not pay for length. A clear slope (correlation above "
    "0.5 or below −0.5) means that PPO can raise the score by writing more, or less: “Longer wins” or “Shorter "
    "wins” in the table of accuracies says whether people's labels ask for it too."
)


class CalibrationCard(Card):
    """The `CalibrationPlot`."""

    def __init__(self) -> None:
        self.plot = CalibrationPlot("Calibration")
        self.legend = Legend([Entry("observed", "Held-out pairs", CALIBRATION_HELP)], None)
        super().__init__("Calibration", CALIBRATION_HELP, self.plot, self.legend)
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
        self.legend = Legend([Entry(side, words, LENGTH_HELP) for side, words in WORDS.items()], None)
        super().__init__("Score against length", LENGTH_HELP, self.plot, self.legend)
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
