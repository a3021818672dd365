"""What is asked when the window closes while something trains, or other work is under way that ends with it."""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from rlhf_lab.gui.widgets.plain_text import PlainLabel


class CloseDialog(QDialog):
    """Keep training, stop and save, or stay; Escape stays. Without a run: close, or stay."""

    keep_chosen = Signal()
    stop_chosen = Signal()

    def __init__(self, titles: Sequence[str], queued: int, works: Sequence[str], parent: QWidget | None = None):
        super().__init__(parent)
        self.setWindowTitle("Still training" if titles else "Still at work")
        self.setMinimumWidth(520)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(12)
        still = f"{' and '.join(titles)} still train{'s' * (len(titles) == 1)}" if titles else "Not everything is done"
        column.addWidget(PlainLabel(still, role="title"))
        if titles:
            column.addWidget(PlainLabel(_of_runs(queued), wrap=True))
        if works:
            column.addWidget(
                PlainLabel(
                    "This ends when the window closes" + (", also where training goes on:" if titles else ":"),
                    wrap=True,
                )
            )
            column.addWidget(PlainLabel("\n".join(f"•  {work}" for work in works), wrap=True))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.setContentsMargins(0, 12, 0, 0)
        self.stay = self._button("Cancel", "Stay in the window")
        self.stop = self._button("Stop and save", "Save the last whole step, then close; the run can be resumed")
        if titles:
            self.keep = self._button("Keep training", "Close the window and train on in the background")
        else:
            self.keep = self._button("End and close", "End what is under way and close the window")
        self.keep.setProperty("look", "primary")
        self.keep.setDefault(True)
        row.addWidget(self.stay)
        row.addStretch(1)
        row.addWidget(self.stop)
        self.stop.setVisible(bool(titles))
        row.addWidget(self.keep)
        column.addLayout(row)
        self.stay.clicked.connect(self.reject)
        self.stop.clicked.connect(self.accept)
        self.stop.clicked.connect(self.stop_chosen)
        self.keep.clicked.connect(self.accept)
        self.keep.clicked.connect(self.keep_chosen)

    def _button(self, title: str, tip: str) -> QPushButton:
        button = QPushButton(title)
        button.setAccessibleName(title)
        button.setToolTip(tip)
        return button


def _of_runs(queued: int) -> str:
    told = "Training can go on without the window. The next time you open the lab, the run and its curves are there."
    if queued:
        told += f" The {queued} waiting {'run starts' if queued == 1 else 'runs start'} when the lab is open again."
    return told
