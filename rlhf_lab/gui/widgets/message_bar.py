"""Messages below the pane instead of dialogs: what happened, and buttons for a way on. Their place is kept free for them."""

from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import QEvent, QPoint, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QStackedLayout,
    QToolButton,
    QToolTip,
    QWidget,
)

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip
from rlhf_lab.gui.widgets.still_text import StillLines

Surface = Literal["note", "problem", "success", "banner"]
Action = tuple[str, Callable[[], object]]

LINES = 2
"""Of a message, in the place that is kept for it."""
_MOST = 3


class Question(QFrame):
    """What a person has to confirm, in the pane where it was asked for; it goes once a button is pressed."""

    def __init__(self, text: str, actions: tuple[Action, ...]):
        super().__init__()
        self.text = text
        self.setProperty("surface", "problem")
        self.setAccessibleName(text)
        label = PlainLabel(text, wrap=True)
        label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = _row(self)
        row.addWidget(label, 1)
        _add_buttons(row, actions, self.leave)

    def leave(self) -> None:
        """Go away."""
        self.hide()
        self.deleteLater()


class Message(QFrame):
    """One message; it says `left` when it is closed or one of its buttons is pressed."""

    left = Signal(object)
    next_asked = Signal()

    def __init__(self, text: str, surface: Surface, actions: tuple[Action, ...]):
        super().__init__()
        self.text = text
        self.setProperty("surface", surface)
        self.setAccessibleName(text)
        self.label = StillLines(text, LINES)
        self.whole, self.others = QToolButton(), QToolButton()
        self.whole.setText("All of it")
        self.whole.setToolTip(plain_tip(text))
        self.others.setToolTip("Show the one before")
        for button in (self.whole, self.others):
            button.setProperty("look", "small")
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # who clicks does not keep newer messages away
            button.hide()
        row = _row(self)
        row.addWidget(self.label, 1)
        row.addWidget(self.whole)
        _add_buttons(row, actions, self.leave)
        row.insertWidget(row.count() - 1, self.others)
        self.label.elided.connect(self.whole.setVisible)
        self.whole.clicked.connect(self._show_whole)
        self.others.clicked.connect(self.next_asked)

    def show_place(self, place: int, count: int) -> None:
        """That it is, say, the second of three."""
        self.others.setText(f"{place} of {count}")
        self.others.setAccessibleName(f"Message {place} of {count}")
        self.others.setVisible(count > 1)

    def leave(self) -> None:
        """Go away."""
        self.left.emit(self)

    @Slot()
    def _show_whole(self) -> None:
        QToolTip.showText(self.whole.mapToGlobal(QPoint(0, 0)), self.whole.toolTip(), self.whole)


class MessageBar(QFrame):
    """The newest message in front, the others behind it; the same text is shown once.

    As high without messages as with them: none moves the pane under the mouse. While the mouse or the keyboard is on the
    bar itself, the message that is seen stays, and newer ones wait behind it.
    """

    def __init__(self, idle: str = ""):
        """``idle``: what stands there while there are no messages."""
        super().__init__()
        self.setAccessibleName("Messages")
        self._messages: list[Message] = []
        self._waits = False
        self._stack = QStackedLayout(self)
        self._idle = PlainLabel(idle, role="caption")
        self._idle.setContentsMargins(16, 0, 16, 0)
        self._stack.addWidget(self._idle)
        self.setFixedHeight(LINES * self.fontMetrics().lineSpacing() + 12)
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._show_what_waits)

    def show_message(self, text: str, surface: Surface = "note", *actions: Action) -> None:
        """Add a message; the oldest one goes when there are too many."""
        seen = self._stack.currentWidget() if self._is_in_use() else None
        self.take_back(text)
        if len(self._messages) == _MOST:
            next(message for message in self._messages if message is not seen).leave()
        message = Message(text, surface, actions)
        message.left.connect(self._remove)
        message.next_asked.connect(self._show_next)
        self._messages.append(message)
        self._stack.addWidget(message)
        self._waits = seen in self._messages
        self._show(seen if seen is not None and self._waits else message)

    def take_back(self, text: str) -> None:
        """Take a message away that holds no longer."""
        for old in self.messages():
            if old.text == text:
                old.leave()

    def messages(self) -> list[Message]:
        """All there are, oldest first."""
        return list(self._messages)

    def leaveEvent(self, event: QEvent) -> None:
        """See `QWidget.leaveEvent`."""
        super().leaveEvent(event)
        self._show_what_waits()

    @Slot()
    def _show_what_waits(self) -> None:
        if self._waits and not self._is_in_use():
            self._show_newest()

    def _is_in_use(self) -> bool:
        focus = QApplication.focusWidget()
        return self.underMouse() or (focus is not None and self.isAncestorOf(focus))

    @Slot(object)
    def _remove(self, message: Message) -> None:
        seen = self._stack.currentWidget()
        self._messages.remove(message)
        self._stack.removeWidget(message)
        message.hide()
        message.deleteLater()  # it stays a child until then: its own button's click may still be at work
        if message is seen:
            self._show_newest()
        else:
            self._show(seen)

    @Slot()
    def _show_next(self) -> None:
        """The one before, and after the oldest the newest."""
        self._show(self._messages[self._messages.index(self._stack.currentWidget()) - 1])

    def _show_newest(self) -> None:
        self._waits = False
        self._show(self._messages[-1] if self._messages else self._idle)

    def _show(self, front: QWidget) -> None:
        for place, message in enumerate(reversed(self._messages), 1):
            message.show_place(place, len(self._messages))
        self._stack.setCurrentWidget(front)


def _row(frame: QFrame) -> QHBoxLayout:
    row = QHBoxLayout(frame)
    row.setContentsMargins(16, 4, 8, 4)
    row.setSpacing(8)
    return row


def _add_buttons(row: QHBoxLayout, actions: tuple[Action, ...], leave: Callable[[], None]) -> None:
    """The ways on, each of which takes the message away, and the cross."""

    def press(act: Callable[[], object]) -> None:
        leave()
        act()

    for title, act in actions:
        button = QPushButton(title)
        button.setProperty("look", "small")
        button.setAccessibleName(title)
        button.clicked.connect(lambda _=False, act=act: press(act))
        row.addWidget(button)
    close = QToolButton()
    close.setProperty("look", "quiet")
    close.setAccessibleName("Close this message")
    close.setToolTip("Close this message")
    theme().keep_icon(close, "close")
    close.clicked.connect(leave)
    row.addWidget(close)
