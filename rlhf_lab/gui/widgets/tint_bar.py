"""Below answers side by side: how their tokens are tinted, what the shades mean, and the token that is pointed at."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from rlhf_lab.gui.models.token_tint import NO_TINT, sides_in_words
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.still_text import StillLine
from rlhf_lab.gui.widgets.token_view import TintLegend

START, BASE = "kl", "kl_base"
"""Numbers of tokens: against what the model was trained from, and against the base without any adapter."""


class TintBar(QWidget):
    """Says `changed` when another tint is chosen."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.tint = QComboBox()
        self.tint.setAccessibleName("Tint of the tokens")
        explain(self.tint, "control.tint")
        self.tint.addItem(NO_TINT, None)
        self.tint.addItem("Tint: KL to its start", START)
        self.tint.addItem("Tint: KL to the base", BASE)
        self.legend, self.words = TintLegend(), StillLine()
        self.legend.hide()
        self.tint.currentIndexChanged.connect(self.changed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        for widget in (self.tint, self.legend):
            row.addWidget(widget)
        row.addWidget(self.words, 1)

    @property
    def name(self) -> str | None:
        """The number that tints the tokens; None: plain text."""
        return self.tint.currentData()

    def show_scale(self, full: float | None) -> None:
        """The size that has the full shade; None: no answer here has such numbers."""
        name = self.name
        self.legend.setVisible(name is not None and full is not None)
        if name is not None and full is not None:
            self.legend.show_scale(name, full)
        self.tell("")

    @Slot(str)
    def tell(self, words: str) -> None:
        """The numbers of a token; until one is pointed at, what the colours mean."""
        name = self.name
        missing = "Ask, and the tokens of trained models are tinted." if name else ""
        self.words.show_text(words or (sides_in_words(name) if name and self.legend.isVisibleTo(self) else missing))
