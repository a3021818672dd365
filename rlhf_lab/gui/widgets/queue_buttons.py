"""Lets a run that waits have its turn earlier or later."""

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import plain_tip


class QueueButtons(QWidget):
    """Seen where another run could have its turn instead."""

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._run: str | None = None
        self.earlier, self.later = QToolButton(), QToolButton()
        self.earlier.setText("Earlier")
        self.later.setText("Later")
        self.earlier.setToolTip(plain_tip("Let this run have its turn before the one that waits in front of it"))
        self.later.setToolTip(plain_tip("Let the run that waits behind this one have its turn first"))
        theme().keep_icon(self.earlier, "arrow-up")
        theme().keep_icon(self.later, "arrow-down")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for button in (self.earlier, self.later):
            button.setProperty("look", "small")
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            row.addWidget(button)
        self.earlier.clicked.connect(self._move_up)
        self.later.clicked.connect(self._move_down)
        self.show_run(None)

    def show_run(self, run: str | None) -> None:
        """Be about this run, or about none."""
        self._run = run
        waiting = self._lab.in_line()
        place = waiting.index(run) if run in waiting else -1
        self.setVisible(place >= 0 and len(waiting) > 1)
        self.earlier.setEnabled(place > 0)
        self.later.setEnabled(0 <= place < len(waiting) - 1)

    @Slot()
    def _move_up(self) -> None:
        self._move(-1)

    @Slot()
    def _move_down(self) -> None:
        self._move(1)

    def _move(self, places: int) -> None:
        if self._run is not None:
            self._lab.move_in_line(self._run, places)
