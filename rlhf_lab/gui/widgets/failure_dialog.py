"""What is shown when something went wrong inside the lab: what, that nothing is lost, and the way on."""

from collections.abc import Callable

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from rlhf_lab.gui.diagnostics import CopyDiagnostics, Diagnostics
from rlhf_lab.gui.failures import Fault
from rlhf_lab.gui.widgets.disclosure import Disclosure
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView

_LOOK_MS = 500
_DETAILS_LINES = 12

SAFE = (
    "Nothing is lost: data, verdicts and saved steps are on the disk, and runs train in processes of their own. "
    "What you just asked for may not have been done; you can go on and ask again."
)


class FailureDialog(QDialog):
    """Enter and Escape go on. ``times`` says how often a fault has happened, which is looked at while it is shown."""

    def __init__(self, diagnostics: Diagnostics, times: Callable[[Fault], int], parent: QWidget | None = None):
        super().__init__(parent)
        self._times = times
        self._faults: list[Fault] = []
        self.setWindowTitle("Something went wrong")
        self.setMinimumWidth(560)
        self.what = PlainLabel(wrap=True)
        self.count = PlainLabel(role="muted", wrap=True)
        self.view = PlainView()
        self.view.setAccessibleName("Where it came from")
        self.view.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.view.setFixedHeight(_DETAILS_LINES * self.view.fontMetrics().lineSpacing() + 16)
        self.details = Disclosure("Details", self.view)
        self.copy = CopyDiagnostics(diagnostics)
        self.go_on = QPushButton("Go on")
        self.go_on.setProperty("look", "primary")
        self.go_on.setDefault(True)
        self.go_on.clicked.connect(self.accept)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(12)
        column.addWidget(PlainLabel("Something went wrong inside the lab", role="title"))
        column.addWidget(self.what)
        column.addWidget(PlainLabel(SAFE, wrap=True))
        column.addWidget(self.count)
        column.addWidget(self.details)
        row = QHBoxLayout()
        row.setContentsMargins(0, 8, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.copy)
        row.addStretch(1)
        row.addWidget(self.go_on)
        column.addLayout(row)
        self.details.toggled.connect(self._fit)
        self._look = QTimer(self, interval=_LOOK_MS)
        self._look.timeout.connect(self._show_count)
        self._look.start()
        self.go_on.setFocus()

    def show_fault(self, fault: Fault) -> None:
        """Show it, or add it to those that are shown."""
        self._faults.append(fault)
        first = self._faults[0]
        self.what.setText(f"{first.name}: {first.said}" if first.said else first.name)
        self.view.set_text("\n\n".join(shown.details for shown in self._faults))
        self._show_count()

    @Slot()
    def _show_count(self) -> None:
        others, times = len(self._faults) - 1, self._times(self._faults[0])
        parts = [f"It has happened {times:,} times."] if times > 1 else []
        if others:
            parts.append(f"{others} other {'errors' if others > 1 else 'error'} came with it; Details has all.")
        self.count.setText(" ".join(parts))
        self.count.setVisible(bool(parts))

    @Slot()
    def _fit(self) -> None:
        """As high as what is shown."""
        self.layout().activate()
        self.resize(self.width(), self.sizeHint().height())
