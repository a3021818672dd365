"""The place of the panes: in a window that is small for one it is scrolled, not pressed flat."""

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QStackedWidget, QWidget


class PaneStack(QScrollArea):
    """One pane at a time, as large as the room that there is, or as the least that the pane needs."""

    def __init__(self) -> None:
        super().__init__()
        self._inside = _Inside()
        self.setWidget(self._inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def addWidget(self, pane: QWidget) -> None:
        """One more pane, behind what is shown."""
        self._inside.panes.addWidget(pane)

    def currentWidget(self) -> QWidget | None:
        """The pane that is shown."""
        return self._inside.panes.currentWidget()

    def setCurrentWidget(self, pane: QWidget) -> None:
        """Show a pane; those behind it need no room."""
        self._inside.panes.setCurrentWidget(pane)
        self._inside.updateGeometry()


class _Inside(QWidget):
    """Without a layout: to one with lines that wrap the area would give the height that it likes, not the least it needs."""

    def __init__(self) -> None:
        super().__init__()
        self.panes = QStackedWidget(self)

    def minimumSizeHint(self) -> QSize:
        """What the pane that is shown needs."""
        pane = self.panes.currentWidget()
        return QSize(0, 0) if pane is None else pane.minimumSizeHint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The panes have all of it."""
        super().resizeEvent(event)
        self.panes.setGeometry(self.rect())

    def event(self, event: QEvent) -> bool:
        """Pass on to the area that the pane needs another size than before."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().event(event)
