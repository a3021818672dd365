"""The order of several answers as a ladder: a rung for each rank, and on it the letters of the answers that have it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from rlhf_lab.gui.models.rank_levels import Levels
from rlhf_lab.gui.models.rank_words import LETTERS
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import one_line
from rlhf_lab.gui.widgets.rank_answer import draw_badge

_LABEL = 34
_GAP = 6
_BETWEEN = 0.22
"""Share of a rung at its edges where a drop goes between two rungs."""


@dataclass(frozen=True)
class Spot:
    """Where an answer would land: on a level, in the gap above one, or back among the unranked."""

    kind: Literal["level", "gap", "tray"]
    level: int = 0


class Ladder(QWidget):
    """Shows `Levels`; answers are pressed here to be dragged, and dropped here."""

    pressed = Signal(int, QPoint)
    """An answer and where, in global coordinates."""

    def __init__(self) -> None:
        super().__init__()
        self._levels = Levels(0)
        self._texts: list[str] = []
        self._focus: int | None = None
        self._lifted: int | None = None
        self._spot: Spot | None = None
        self.setAccessibleName("Your ranking")
        self.setFixedWidth(232)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)
        theme().changed.connect(self.update)

    def show_texts(self, texts: Sequence[str]) -> None:
        """What the answers say: where one stands alone on its rung, it is seen how it begins."""
        self._texts = [one_line(text, 60) for text in texts]

    def show_levels(self, levels: Levels, focus: int | None, lifted: int | None) -> None:
        """Show how the answers stand; the focused and the lifted one are marked."""
        self._levels, self._focus, self._lifted = levels, focus, lifted
        rungs = (
            f"{level}: {', '.join(LETTERS[a] for a in levels.on(level))}"
            for level in range(1, len(levels) + 1)
            if levels.on(level)
        )
        self.setAccessibleDescription("; ".join(rungs) or "Nothing is ranked yet")
        self.update()

    def show_spot(self, spot: Spot | None) -> None:
        """Mark where the dragged answer would land."""
        if spot != self._spot:
            self._spot = spot
            self.update()

    def spot_at(self, at: QPoint) -> Spot | None:
        """What a drop at this place would mean; None beside the ladder."""
        if not self.rect().contains(at):
            return None
        if at.y() >= self._tray().top():
            return Spot("tray")
        height = self._height()
        level = min(len(self._levels), int((at.y() - self._top()) // height) + 1)
        within = ((at.y() - self._top()) % height) / height
        if self._levels.on(max(level, 1)) and within < _BETWEEN:
            return Spot("gap", max(level, 1))
        if self._levels.on(max(level, 1)) and within > 1 - _BETWEEN:
            return Spot("gap", level + 1)
        return Spot("level", max(level, 1))

    def place_of(self, spot: Spot) -> QPoint:
        """A point that `spot_at` would call that."""
        if spot.kind == "tray":
            return self._tray().center()
        rung = self._rung(min(spot.level, len(self._levels)))
        if spot.kind == "level":
            return rung.center()
        return QPoint(rung.center().x(), rung.top() + 1 if spot.level <= len(self._levels) else rung.bottom() - 1)

    def chip_of(self, answer: int) -> QRect:
        """Where the answer is drawn."""
        level = self._levels.of(answer)
        tray = self._tray()
        row, box = (
            (self._levels.unranked(), tray.adjusted(0, self.fontMetrics().height() + 8, 0, 0))
            if level is None
            else (self._levels.on(level), self._rung(level).adjusted(_LABEL, 0, 0, 0))
        )
        side, gap = self._side(), self._tray_gap() if level is None else _GAP
        room = max(1, (box.width() - _GAP) // (side + gap))
        column, line = row.index(answer) % room, row.index(answer) // room
        lines = (len(row) - 1) // room + 1
        top = box.center().y() - (lines * (side + 2)) // 2 + line * (side + 2) if level is not None else box.top()
        if level is None:
            top += line * (side + 4)
        return QRect(box.left() + _GAP + column * (side + gap), top, side, side)

    def sizeHint(self) -> QSize:
        """Room for a badge on each rung."""
        return QSize(232, 360)

    def minimumSizeHint(self) -> QSize:
        """Nine rungs of the smallest useful height."""
        return QSize(232, 240)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """See `pressed`."""
        answer = self._answer_at(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and answer is not None:
            self.pressed.emit(answer, event.globalPosition().toPoint())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A hand over what can be dragged."""
        over = self._answer_at(event.position().toPoint()) is not None
        self.setCursor(Qt.CursorShape.OpenHandCursor if over else Qt.CursorShape.ArrowCursor)
        event.ignore()

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is under the mouse any more."""
        super().leaveEvent(event)
        self.unsetCursor()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Rungs, badges, tray, and where a drop would land."""
        colours = theme().colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(colours.muted))
        painter.drawText(QRect(2, 0, self.width(), self._top() - 4), Qt.AlignmentFlag.AlignVCenter, "Your ranking")
        for level in range(1, len(self._levels) + 1):
            self._paint_rung(painter, level)
        self._paint_tray(painter)
        for answer in range(len(self._levels)):
            self._paint_chip(painter, answer)
        if self._spot is not None and self._spot.kind == "gap":
            y = self._rung(self._spot.level).top() - 2 if self._spot.level <= len(self._levels) else self._end() - 2
            painter.setPen(QPen(QColor(colours.accent), 3))
            painter.drawLine(QPointF(_LABEL, y), QPointF(self.width() - 4, y))

    def _paint_rung(self, painter: QPainter, level: int) -> None:
        colours, rung = theme().colours, self._rung(level)
        here = self._spot == Spot("level", level)
        painter.setPen(QPen(QColor(colours.accent if here else colours.border), 2.0 if here else 1.0))
        painter.setBrush(QColor(colours.accent_soft if here else colours.surface))
        painter.drawRoundedRect(QRectF(rung.adjusted(_LABEL, 0, -2, -1)), 7, 7)
        painter.setPen(QColor(colours.text if self._levels.on(level) else colours.muted))
        painter.drawText(rung.adjusted(0, 0, _LABEL - 8 - rung.width(), 0), Qt.AlignmentFlag.AlignCenter, str(level))
        if level in (1, len(self._levels)) and not self._levels.on(level):
            painter.setPen(QColor(colours.muted))
            inner = rung.adjusted(_LABEL, 0, -12, 0)
            words = "best" if level == 1 else "worst"
            painter.drawText(inner, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)

    def _paint_tray(self, painter: QPainter) -> None:
        colours, tray = theme().colours, self._tray()
        here = self._spot == Spot("tray")
        painter.setPen(QPen(QColor(colours.accent if here else colours.border), 1.0, Qt.PenStyle.DashLine))
        painter.setBrush(QColor(colours.accent_soft) if here else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(tray.adjusted(1, 0, -2, -1)), 7, 7)
        painter.setPen(QColor(colours.muted))
        words = "Not ranked yet" if self._levels.unranked() else "All ranked: press Enter"
        where = Qt.AlignmentFlag.AlignTop if self._levels.unranked() else Qt.AlignmentFlag.AlignVCenter
        painter.drawText(tray.adjusted(_GAP + 4, 4, -4, -4), where | Qt.AlignmentFlag.AlignLeft, words)

    def _paint_chip(self, painter: QPainter, answer: int) -> None:
        chip = QRectF(self.chip_of(answer))
        level = self._levels.of(answer)
        if level is not None and self._levels.on(level) == [answer]:
            room = QRectF(chip.right() + _GAP, chip.top(), self.width() - chip.right() - 2 * _GAP - 6, chip.height())
            painter.setPen(QColor(theme().colours.muted))
            words = self.fontMetrics().elidedText(self._texts[answer], Qt.TextElideMode.ElideRight, int(room.width()))
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)
        strong = answer in (self._focus, self._lifted)
        draw_badge(painter, chip, LETTERS[answer], self.font(), strong=strong)
        if answer == self._lifted:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(theme().colours.accent), 1.5, Qt.PenStyle.DashLine))
            painter.drawRoundedRect(chip.adjusted(-3, -3, 3, 3), 8, 8)

    def _answer_at(self, at: QPoint) -> int | None:
        return next((a for a in range(len(self._levels)) if self.chip_of(a).adjusted(-3, -3, 3, 3).contains(at)), None)

    def _top(self) -> int:
        return self.fontMetrics().height() + 10

    def _end(self) -> int:
        return self._tray().top() - 8

    def _side(self) -> int:
        return round(self.fontMetrics().height() * 1.55)

    def _tray_gap(self) -> int:
        """Closer together where that keeps all badges on one line."""
        return _GAP if len(self._levels) * (self._side() + _GAP) <= self.width() - _GAP else 2

    def _tray(self) -> QRect:
        room = max(1, (self.width() - _GAP) // (self._side() + self._tray_gap()))
        more_lines = max(0, len(self._levels) - 1) // room
        height = round(self.fontMetrics().height() * 3.4) + more_lines * (self._side() + 4)
        return QRect(0, self.height() - height, self.width(), height)

    def _height(self) -> float:
        return (self._end() - self._top()) / max(1, len(self._levels))

    def _rung(self, level: int) -> QRect:
        height = self._height()
        return QRect(0, round(self._top() + (level - 1) * height), self.width(), round(height) - 4)
