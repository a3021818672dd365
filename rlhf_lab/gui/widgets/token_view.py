"""An answer whose tokens are tinted by a number of theirs, with a legend and the numbers of the token pointed at."""

from bisect import bisect_right
from itertools import zip_longest

from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFocusEvent, QHelpEvent, QLinearGradient, QPainter, QPaintEvent, QTextCharFormat
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from rlhf_lab.core.events import SampleRow
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.models.token_tint import TINTS, in_words, piece_shown, shade, sides_in_words, starts_of
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainView, plain_tip

STRONGEST = 170
"""Of 255: the text stays readable on the fullest shade."""
BELOW, ABOVE = 0, 1
"""Places of the two sides' colours in the theme's series: blue and orange, told apart by any colour vision."""


class TokenView(PlainView):
    """A `PlainView` that can show tokens; the mouse and the text cursor point at them."""

    pointed = Signal(str)
    """The numbers of the token under the text cursor, in words; "" for none."""

    def __init__(self) -> None:
        self._row: SampleRow | None = None
        self._starts: list[int] = []
        super().__init__()
        self.setCursorWidth(2)
        self.cursorPositionChanged.connect(self._tell)

    def show_row(self, row: SampleRow, name: str | None, full: float) -> None:
        """Show the answer, its tokens tinted by ``name``; as plain text with None, or where that is not known."""
        if name is None or name not in row.per_token or not row.pieces:
            self.show_plain(row.completion or "(an empty answer)")
            return
        pieces = [piece_shown(piece) for piece in row.pieces]
        values = row.per_token[name]
        self._row, self._starts = None, []  # the cursor moves while the text is laid out
        looks = [_look(value, full) for value in values[: len(pieces)]]
        self.set_spans(zip_longest(pieces, looks))
        self._row, self._starts = row, starts_of(pieces)
        self._tell()

    def show_plain(self, text: str) -> None:
        """Show text whose tokens are not known."""
        self._row, self._starts = None, []
        self.set_text(text)
        self._tell()

    def words_at(self, place: int) -> str:
        """The numbers of the token at a place in the text; "" where there is none."""
        at = bisect_right(self._starts, place) - 1
        return in_words(self._row, at) if self._row is not None and at >= 0 else ""

    def viewportEvent(self, event: QEvent) -> bool:
        """Hovering tells the numbers of a token."""
        if isinstance(event, QHelpEvent) and self._row is not None:
            words = self._words_below(event.pos())
            if words:
                QToolTip.showText(event.globalPos(), plain_tip(words), self.viewport())
            else:
                QToolTip.hideText()
            return True
        return super().viewportEvent(event)

    def _words_below(self, place: QPoint) -> str:
        cursor = self.cursorForPosition(place)
        # The nearest gap between letters may be the right one of the letter that is pointed at.
        right = cursor.position() > 0 and self.cursorRect(cursor).left() > place.x()
        return self.words_at(cursor.position() - (1 if right else 0))

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Tell of the token under the text cursor."""
        super().focusInEvent(event)
        self._tell()

    @Slot()
    def _tell(self) -> None:
        words = self.words_at(self.textCursor().position())
        self.setAccessibleDescription(words)
        self.pointed.emit(words if self.hasFocus() else "")


class TintLegend(QWidget):
    """From one side's full shade over none to the other's, with the numbers that they stand for."""

    def __init__(self) -> None:
        super().__init__()
        self._name, self._full = "", 1.0
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme().changed.connect(self.update)

    def show_scale(self, name: str, full: float) -> None:
        """The legend of this number."""
        self._name, self._full = name, full
        tint, words = TINTS.get(name), sides_in_words(name)
        self.setToolTip(plain_tip(f"{words}\n{tint.help}" if tint else words))
        self.setAccessibleName(f"{tint.title if tint else name}. {words} Full shade at {number(full)}.")
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Both numbers and the shades between."""
        low, high = self._ends()
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(low) + metrics.horizontalAdvance(high) + 96 + 16, metrics.height() + 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        """See `QWidget.paintEvent`."""
        low, high = self._ends()
        painter = QPainter(self)
        painter.setPen(QColor(theme().colours.muted))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, low)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, high)
        left = self.fontMetrics().horizontalAdvance(low) + 8
        bar = QRectF(left, 3, 96, self.height() - 6)
        shades = QLinearGradient(bar.topLeft(), bar.topRight())
        for place in (-1.0, 0.0, 1.0):
            shades.setColorAt((place + 1) / 2, _colour(place))
        painter.fillRect(bar, shades)

    def _ends(self) -> tuple[str, str]:
        return number(-self._full), f"+{number(self._full)}"


def _colour(share: float) -> QColor:
    made = QColor(theme().colours.series[ABOVE if share > 0 else BELOW])
    made.setAlpha(round(abs(share) * STRONGEST))
    return made


def _look(value: float, full: float) -> QTextCharFormat:
    """A background, and for the lower side a line below too: the side is not told by colour alone."""
    share = shade(value, full)
    made = QTextCharFormat()
    if share:
        made.setBackground(_colour(share))
    if share < 0:
        made.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
        made.setUnderlineColor(QColor(theme().colours.text))
    return made
