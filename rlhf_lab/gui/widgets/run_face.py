"""The numbers, plots and samples of a run, as its stage shows them."""

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QVBoxLayout, QWidget

from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.plots.board import PlotBoard
from rlhf_lab.gui.widgets.sample_viewer import SampleViewer
from rlhf_lab.gui.widgets.tiles import Tiles, TileSpec

FillBoard = Callable[[PlotBoard, SampleViewer], None]


class RunFace(QWidget):
    """Tiles above a board; knows no run by itself, only the history that it is given."""

    def __init__(self, tiles: Sequence[TileSpec], fill_board: FillBoard, samples: SampleViewer):
        super().__init__()
        self.tiles = Tiles(tiles)
        self.samples = samples
        self.board = PlotBoard()
        fill_board(self.board, self.samples)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.tiles)
        column.addWidget(self.board, 1)

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run."""
        self.board.show_history(history)
        self.tiles.show_history(history)

    def take_changes(self, history: RunHistory, names: set[str]) -> None:
        """The run that is shown has said something new."""
        self.board.take_changes(names)
        self.tiles.show_history(history)
