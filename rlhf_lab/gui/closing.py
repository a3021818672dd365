"""What is asked when the window closes while something trains, work is under way that ends with it, or cannot be stored."""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from rlhf_lab.gui.widgets.plain_text import PlainLabel


class CloseDialog(QDialog):
    """Keep training, stop and save, or stay; Escape stays. Without a run: close, or stay."""

    keep_chosen = Signal()
    stop_chosen = Signal()

    def __init__(
        self,
        titles: Sequence[str],
        queued: int,
        works: Sequence[str],
        unkept: Sequence[str],
        parent: QWidget | None = None,
    ):
        """Runs that train, how many wait, works that end with the window, and what was typed and cannot be stored."""
        super().__init__(parent)
        self.setWindowTitle("Still training" if titles else "Still at work" if works else "Not stored")
        self.setMinimumWidth(520)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(12)
        column.addWidget(PlainLabel(_heading(titles, works), role="title"))
        if titles:
            column.addWidget(PlainLabel(_of_runs(queued), wrap=True))
        if works:
            column.addWidget(
                PlainLabel(
                    "This ends when the window closes" + (", also where training goes on:" if titles else ":"),
                    wrap=True,
                )
            )
            column.addWidget(PlainLabel(_listed(works), wrap=True))
        if unkept:
            column.addWidget(PlainLabel("This is not stored, and is lost when the window closes:", wrap=True))
            column.addWidget(PlainLabel(_listed(unkept), wrap=True))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.setContentsMargins(0, 12, 0, 0)
        self.stay = self._button("Cancel", "Stay in the window")
        self.stop = self._button("Stop and save", "Save the last whole step, then close; the run can be resumed")
        if titles:
            self.keep = self._button("Keep training", "Close the window and train on in the background")
        elif works:
            self.keep = self._button("End and close", "End what is under way and close the window")
        else:
            self.keep = self._button("Close anyway", "Close the window without what is not stored")
        offered = self.stay if unkept else self.keep  # Enter loses nothing
        offered.setProperty("look", "primary")
        offered.setDefault(True)
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


def _heading(titles: Sequence[str], works: Sequence[str]) -> str:
    if titles:
        return f"{' and '.join(titles)} still train{'s' * (len(titles) == 1)}"
    return "Not everything is done" if works else "Not everything is stored"


def _listed(what: Sequence[str]) -> str:
    return "\n".join(f"•  {one}" for one in what)


def _of_runs(queued: int) -> str:
    told = "Training can go on without the window. The next time you open the lab, the run and its curves are there."
    if queued:
        told += f" The {queued} waiting {'run starts' if queued == 1 else 'runs start'} when the lab is open again."
    return told
