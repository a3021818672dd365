"""The way from selected runs to the report on how they behave."""

from collections.abc import Sequence

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QPushButton

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import plain_tip
from rlhf_lab.runs.plan import STARTS
from rlhf_lab.store import RunRow

_TIP = "Ask the selected models and their base the same questions: what training changed of them, and what not"
_NONE = "Select runs that left a model which writes: SFT, PPO, RLOO, GRPO or DPO"


class ReportButton(QPushButton):
    """Takes the runs to the page “What changed” of the Compare pane, together with the base."""

    def __init__(self, lab: Lab):
        super().__init__("What changed")
        self._lab = lab
        self._runs: list[str] = []
        theme().keep_icon(self, "report")
        self.clicked.connect(self._show)
        self.show_rows([])

    def show_rows(self, rows: Sequence[RunRow]) -> None:
        """The selected runs; of these count the ones that can be asked."""
        self._runs = [row.run for row in rows if row.stage in STARTS and row.trashed is None]
        self.setEnabled(bool(self._runs))
        self.setToolTip(plain_tip(_TIP if self._runs else _NONE))

    @Slot()
    def _show(self) -> None:
        self._lab.pane_asked.emit("compare", {"report": self._runs})
