"""Enter in a window without a default button: it presses the button that has the keyboard, and no other."""

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QPushButton


class EnterKey(QObject):
    """For windows with a table or a text: Enter there would press the default button of a dialog too."""

    def __init__(self, window: QDialog):
        """Once all its buttons are there."""
        super().__init__(window)
        for button in window.findChildren(QPushButton):
            button.setAutoDefault(False)
            button.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """See `QObject.eventFilter`."""
        pressed = event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and not event.isAutoRepeat()
        if pressed and isinstance(watched, QPushButton) and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            watched.click()
            return True
        return False
