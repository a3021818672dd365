"""Below the name of a model that still trains: which save answers, what asking costs, and the newer save once it is there."""

from collections.abc import Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from rlhf_lab.gui.models.contenders import Contender
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip


class SaveNote(QWidget):
    """Hidden where the model is no save. Says `newer_chosen` with the contender to change to."""

    newer_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._newer: Contender | None = None
        self.words = PlainLabel(role="caption", wrap=True)
        self.newer = QPushButton()
        self.newer.clicked.connect(self._choose)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.words, 1)
        row.addWidget(self.newer)
        self.hide()

    def show_of(self, contender: Contender | None, known: Sequence[Contender]) -> None:
        """What there is to say of this model; None: nothing, while the names are hidden."""
        save = contender is not None and contender.step is not None
        self._newer = contender.newer(known) if contender is not None else None
        self.words.setText(contender.note if contender is not None else "")
        if self._newer is not None:
            step = "its result" if self._newer.step is None else f"step {self._newer.step:,}"
            self.newer.setText(f"Use {step}")
            self.newer.setToolTip(plain_tip(f"{one_line(self._newer.title, 60)} is newer than what answers now."))
        self.newer.setVisible(self._newer is not None)
        self.setVisible(save)

    @Slot()
    def _choose(self) -> None:
        self.newer_chosen.emit(self._newer)
