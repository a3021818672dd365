"""How long answers are: two distributions at hand, such as chosen and rejected, on one axis."""

from collections.abc import Mapping

from rlhf_lab.core.events import Histogram
from rlhf_lab.gui.plots.histogram_plot import HistogramPlot


class LengthsPlot(HistogramPlot):
    """Shows the histograms that it is given; names that are missing are not drawn."""

    def __init__(self, title: str, names: tuple[str, ...]):
        self._given: dict[str, Histogram] = {}
        super().__init__(title, names)

    def show_histograms(self, given: Mapping[str, Histogram]) -> None:
        """Replace what is drawn."""
        self._given = dict(given)
        self.ask_redraw(soon=True)

    def shown(self, name: str) -> Histogram | None:
        """What is drawn under this name now."""
        return self._given.get(name)
