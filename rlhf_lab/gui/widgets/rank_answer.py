"""One answer to read: a letter for a name, the text, and how it stands. Who wrote it is not said here."""

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView, one_line

_LARGER = 1.08
"""Of the system's text: answers are read for hours."""


class ReadingText(PlainView):
    """A text without a frame; `focused` says when it gets or loses the focus."""

    focused = Signal(bool)

    def __init__(self, name: str):
        super().__init__()
        self.setProperty("look", "bare")
        self.setAccessibleName(name)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # long lines are broken
        self.setCursorWidth(0)  # nothing is written here
        self.document().setDocumentMargin(2)
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * _LARGER)
        self.setFont(font)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """See `focused`."""
        super().focusInEvent(event)
        self.focused.emit(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """See `focused`."""
        super().focusOutEvent(event)
        self.focused.emit(False)


class Badge(QWidget):
    """A letter in a small square, or a rank in a round one."""

    def __init__(self, text: str = "", *, round: bool = False):
        super().__init__()
        self._text, self._round, self._strong = text, round, False
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        theme().changed.connect(self.update)

    def show_text(self, text: str, *, strong: bool = False) -> None:
        """Show another one, or "" for none; a strong one is filled with the accent colour."""
        if (text, strong) != (self._text, self._strong):
            self._text, self._strong = text, strong
            self.update()

    @property
    def text(self) -> str:
        """What it says."""
        return self._text

    def sizeHint(self) -> QSize:
        """As high as two thirds more than the text."""
        side = round(self.fontMetrics().height() * 1.55)
        return QSize(side, side)

    def minimumSizeHint(self) -> QSize:
        """It does not shrink."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """An empty one keeps its place, so that nothing has to be laid out anew."""
        if not self._text:
            return
        painter = QPainter(self)
        side = self.sizeHint().width()
        box = QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        draw_badge(painter, box, self._text, self.font(), strong=self._strong, round=self._round)


def draw_badge(
    painter: QPainter, box: QRectF, text: str, font: QFont, *, strong: bool = False, round: bool = False
) -> None:
    """Also used where badges are painted into a larger picture."""
    colours = theme().colours
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colours.accent if strong else colours.raised))
    radius = box.height() / 2 if round else 6
    painter.drawRoundedRect(box, radius, radius)
    bold = QFont(font)
    bold.setBold(True)
    painter.setFont(bold)
    painter.setPen(QColor(colours.on_accent if strong else colours.text))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()


class Ghost(QWidget):
    """What is dragged: the letter and how the answer begins, small enough to see where it would land."""

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self._letter = self._words = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.resize(196, round(self.fontMetrics().height() * 1.55) + 14)
        self.hide()

    def lift(self, letter: str, text: str) -> None:
        """Appear above everything else, as this answer."""
        self._letter, self._words = letter, one_line(text, 40)
        self.raise_()
        self.show()

    def paintEvent(self, event: QPaintEvent) -> None:
        """See `QWidget.paintEvent`."""
        colours = theme().colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(colours.accent), 1.5))
        painter.setBrush(QColor(colours.surface))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 8, 8)
        side = self.height() - 14
        draw_badge(painter, QRectF(7, 7, side, side), self._letter, self.font(), strong=True)
        words = QRectF(side + 15, 0, self.width() - side - 24, self.height())
        painter.setPen(QColor(colours.text))
        shown = self.fontMetrics().elidedText(self._words, Qt.TextElideMode.ElideRight, int(words.width()))
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


class AnswerCard(QFrame):
    """The card lights up while its text has the focus; ``chosen`` and ``lifted`` are further looks."""

    def __init__(self, letter: str):
        super().__init__()
        self.letter = letter
        self._lit = self._chosen = self._lifted = False
        self.badge = Badge(letter)
        self.status = PlainLabel(role="caption")
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.rank = Badge(round=True)
        self.view = ReadingText(f"Answer {letter}")
        self.view.focused.connect(self._light)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.badge)
        head.addWidget(self.status, 1)
        head.addWidget(self.rank)
        self.rank.show_text("")
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 8, 10)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.view, 1)
        theme().changed.connect(self.update)

    def show_text(self, text: str) -> None:
        """Show another answer; an empty one is said to be empty."""
        self.view.set_text(text)
        self.view.setPlaceholderText("" if text else "(an empty answer)")
        self.view.verticalScrollBar().setValue(0)
        self.set_chosen(False)

    def set_chosen(self, chosen: bool) -> None:
        """Mark it as what the verdict prefers."""
        if chosen != self._chosen:
            self._chosen = chosen
            self.update()

    def set_lifted(self, lifted: bool) -> None:
        """Mark it as being moved."""
        if lifted != self._lifted:
            self._lifted = lifted
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Drawn here, since a style sheet takes ten times as long to change a border."""
        colours = theme().colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width = 2.0 if self._lit or self._chosen or self._lifted else 1.0
        edge = QPen(QColor(colours.accent if width > 1 else colours.border), width)
        if self._lifted:
            edge.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(edge)
        painter.setBrush(QColor(colours.accent_soft if self._chosen or self._lifted else colours.surface))
        inset = width / 2
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(inset, inset, -inset, -inset), 9, 9)

    def _light(self, lit: bool) -> None:
        self._lit = lit
        self.update()
