"""Widgets beside each other, in as many rows as the width asks for."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

ACROSS, DOWN = 6, 4


class Flow(QWidget):
    """Gives each widget its own size hint; only one that is wider than a whole row is squeezed."""

    def __init__(self, across: int = ACROSS) -> None:
        super().__init__()
        self._across = across
        self._widgets: list[QWidget] = []
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_widgets(self, widgets: Sequence[QWidget]) -> None:
        """Hold these from now on, those of them that are not hidden; others are let go, and are the caller's again."""
        self._widgets = list(widgets)
        for widget in widgets:
            if widget.parentWidget() is not self:
                widget.setParent(self)
        self._arrange()
        self.updateGeometry()

    def heightForWidth(self, width: int) -> int:
        """Of all rows at this width."""
        return self._place(width, move=False)

    def sizeHint(self) -> QSize:
        """At the width that it has."""
        return QSize(0, self.heightForWidth(self.width()))

    def minimumSizeHint(self) -> QSize:
        """No wider than its place."""
        return self.sizeHint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width, other rows."""
        super().resizeEvent(event)
        self._arrange()

    def showEvent(self, event: QShowEvent) -> None:
        """Nobody asks for anything while this is hidden: size hints may be others by now."""
        super().showEvent(event)
        self._arrange()
        self.updateGeometry()

    def event(self, event: QEvent) -> bool:
        """A widget that has another size hint asks for this."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._arrange()
            self.updateGeometry()
        return super().event(event)

    def _arrange(self) -> None:
        self._place(self.width(), move=True)

    def _place(self, width: int, *, move: bool) -> int:
        left = top = height = 0
        for widget in self._widgets:
            if widget.isHidden():
                continue
            wanted = widget.sizeHint().boundedTo(QSize(max(width, 1), widget.sizeHint().height()))
            if left and left + wanted.width() > width:
                left, top, height = 0, top + height + DOWN, 0
            if move:
                widget.setGeometry(left, top, wanted.width(), wanted.height())
            left, height = left + wanted.width() + self._across, max(height, wanted.height())
        return top + height
