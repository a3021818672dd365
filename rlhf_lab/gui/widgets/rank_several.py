"""Three to nine answers as cards, and the ladder on which they are ranked: by digits, by lifting, by the mouse."""

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QApplication, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from rlhf_lab.core.judgement import MOST_RANKED
from rlhf_lab.gui.models.rank_levels import Levels
from rlhf_lab.gui.models.rank_words import LETTERS
from rlhf_lab.gui.models.ranking import Item
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.rank_answer import AnswerCard, Ghost
from rlhf_lab.gui.widgets.rank_keys import KeyButton
from rlhf_lab.gui.widgets.rank_ladder import Ladder

_COLUMNS = {3: 3, 4: 2, 5: 3, 6: 3, 7: 3, 8: 3, 9: 3}
_DIGITS = {Qt.Key(Qt.Key.Key_1 + n): n + 1 for n in range(MOST_RANKED)}
_STEPS = {Qt.Key.Key_Up: -1, Qt.Key.Key_Left: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_Right: 1}
_ENTER = Qt.Key.Key_Return, Qt.Key.Key_Enter
_GIVING = *_ENTER, Qt.Key.Key_E, Qt.Key.Key_X
_PLAIN = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier
_HINT = (
    "1–9 rank the answer in focus, Space lifts it and the arrows move it, or drag it onto the ladder. Equal is fine."
)
_LIFTED_HINT = "The arrows move {letter}; Space puts it down, Esc puts it back."


class SeveralBoard(QWidget):
    """Cards keep their places while they are ranked: only the ladder moves."""

    verdict_given = Signal(str, tuple, int)
    """Verdict, ranks by place, strength."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = Levels(0)
        self._lifted: int | None = None
        self._missing = ""
        self._arranged = 0
        self._before: tuple[int | None, ...] = ()
        self._pressed: tuple[int, QPoint] | None = None
        self._dragged: int | None = None
        self.cards = [AnswerCard(letter) for letter in LETTERS]
        self.ladder = Ladder()
        self.ladder.pressed.connect(self._press)
        self.ladder.installEventFilter(self)
        self.hint = PlainLabel(_HINT, role="caption", wrap=True)
        self.equal = KeyButton("All equal", "E", "All answers are equally good: E")
        self.bad = KeyButton("All bad", "X", "None is worth learning from: X")
        self.submit = KeyButton("Submit", "Enter", "Store this ranking: Enter")
        self.submit.setProperty("look", "primary")
        self.equal.clicked.connect(lambda: self._give("tie", (1,) * len(self.levels)))
        self.bad.clicked.connect(lambda: self._give("both_bad", ()))
        self.submit.clicked.connect(self._submit)
        self._ghost = Ghost(self)
        self._lay_out()

    def show_item(self, item: Item) -> None:
        """Show the answers; an undone ranking stands on the ladder again."""
        self._end_drag()
        self._lifted, self._missing = None, ""
        self.levels = Levels(len(item.answers))
        if item.before is not None and item.before.ranks:
            self.levels.restore(item.by_place(item.before.ranks))
        self._arrange(len(item.answers))
        for card, answer in zip(self.cards, item.answers, strict=False):
            card.show_text(answer.text)
        self.ladder.show_texts([answer.text for answer in item.answers])
        self._show()

    def take_focus(self) -> None:
        """The keyboard is in the first answer."""
        self.cards[0].view.setFocus()

    def take_key(self, event: QKeyEvent) -> bool:
        """Act on a key; False for one that means nothing here."""
        key, at = Qt.Key(event.key()), self._focused()
        if event.modifiers() not in _PLAIN:
            return False
        if event.isAutoRepeat() and key in _GIVING:  # a key held down is one verdict, not thirty a second
            return True
        self._missing = ""
        if self._lifted is not None and self._take_lifted(key):
            return True
        if key in _DIGITS and at is not None:
            self._rank(at, _DIGITS[key])
        elif key in (Qt.Key.Key_0, Qt.Key.Key_Backspace, Qt.Key.Key_Delete) and at is not None:
            self.levels.take_off(at)
        elif key == Qt.Key.Key_Space and at is not None:
            self._lift(at)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._focus(((at or 0) + _STEPS[key]) % len(self.levels))
        elif key in _ENTER:
            self._submit()
        elif key == Qt.Key.Key_E:
            self.equal.click()
        elif key == Qt.Key.Key_X:
            self.bad.click()
        else:
            return False
        self._show()
        return True

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys and drags on the texts; drags on the ladder."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self.take_key(event)
        if event.type() == QEvent.Type.FocusIn:
            self._show()
        if isinstance(event, QMouseEvent):
            return self._take_mouse(watched, event)
        return False

    # Keys

    def _take_lifted(self, key: Qt.Key) -> bool:
        assert self._lifted is not None
        if key in _STEPS:
            self.levels.move(self._lifted, _STEPS[key])
        elif key in _DIGITS:
            self.levels.put(self._lifted, _DIGITS[key])
        elif key == Qt.Key.Key_Escape:
            self.levels.restore(self._before)
            self._lifted = None
        elif key == Qt.Key.Key_Space or key in _ENTER:
            self._lifted = None
        else:
            return False
        self._show()
        return True

    def _lift(self, answer: int) -> None:
        self._before, self._lifted = self.levels.snapshot(), answer
        if self.levels.of(answer) is None:
            free = (level for level in range(1, len(self.levels) + 1) if not self.levels.on(level))
            self.levels.put(answer, next(free))

    def _rank(self, answer: int, level: int) -> None:
        new = self.levels.of(answer) is None
        self.levels.put(answer, level)
        if new and self.levels.of(answer) is not None and self.levels.unranked():
            following = [other for other in self.levels.unranked() if other > answer]
            self._focus((following or self.levels.unranked())[0])

    def _submit(self) -> None:
        ranks = self.levels.ranks()
        if ranks is None:
            self._missing = ", ".join(LETTERS[answer] for answer in self.levels.unranked())
            self._focus(self.levels.unranked()[0])
            self._show()
        else:
            self._give("ranked", ranks)

    def _give(self, verdict: str, ranks: tuple[int, ...]) -> None:
        self.verdict_given.emit(verdict, ranks, 1)

    # Mouse

    def _take_mouse(self, watched: QObject, event: QMouseEvent) -> bool:
        at = event.globalPosition().toPoint()
        match event.type():
            case QEvent.Type.MouseButtonPress if event.button() == Qt.MouseButton.LeftButton:
                card = next((n for n, c in enumerate(self.cards) if watched in (c, c.view.viewport())), None)
                if card is not None:
                    self._focus(card)
                    self._press(card, at)
            case QEvent.Type.MouseMove if event.buttons() & Qt.MouseButton.LeftButton and self._pressed is not None:
                self._drag(at)
                return True
            case QEvent.Type.MouseButtonRelease if self._pressed is not None:
                self._drop(at)
        return watched is not self.ladder and self._pressed is not None

    def _press(self, answer: int, at: QPoint) -> None:
        self._pressed = (answer, at)

    def _drag(self, at: QPoint) -> None:
        assert self._pressed is not None
        answer, start = self._pressed
        if self._dragged is None:
            if (at - start).manhattanLength() < QApplication.startDragDistance():
                return
            self._dragged = answer
            self._focus(answer)
            self._ghost.lift(LETTERS[answer], self.cards[answer].view.toPlainText())
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        here = self.mapFromGlobal(at)
        self._ghost.move(here - QPoint(18, 18))
        self.ladder.show_spot(self.ladder.spot_at(self.ladder.mapFromGlobal(at)))

    def _drop(self, at: QPoint) -> None:
        answer = self._dragged
        spot = self.ladder.spot_at(self.ladder.mapFromGlobal(at)) if answer is not None else None
        self._end_drag()
        if answer is not None and spot is not None:
            if spot.kind == "level":
                self.levels.put(answer, spot.level)
            elif spot.kind == "gap":
                self.levels.insert_above(answer, spot.level)
            else:
                self.levels.take_off(answer)
        self._show()

    def _end_drag(self) -> None:
        self._pressed = self._dragged = None
        self._ghost.hide()
        self.unsetCursor()
        self.ladder.show_spot(None)

    # What is shown

    def _show(self) -> None:
        for answer, card in enumerate(self.cards[: len(self.levels)]):
            level = self.levels.of(answer)
            card.rank.show_text("" if level is None else str(level), strong=True)
            card.set_lifted(answer == self._lifted)
        self.ladder.show_levels(self.levels, self._focused(), self._lifted)
        hint = _HINT if self._lifted is None else _LIFTED_HINT.format(letter=LETTERS[self._lifted])
        if self._missing:
            hint = f"Not ranked yet: {self._missing}. Every answer needs a rank; equal ranks are fine."
        self.hint.setText(hint)
        self.hint.set_role("warn" if self._missing else "caption")

    def _focused(self) -> int | None:
        return next((n for n, card in enumerate(self.cards) if card.view.hasFocus()), None)

    def _focus(self, answer: int) -> None:
        self.cards[answer].view.setFocus(Qt.FocusReason.TabFocusReason)

    def _arrange(self, answers: int) -> None:
        if answers == self._arranged:
            return
        self._arranged, columns = answers, _COLUMNS[answers]
        for place, card in enumerate(self.cards):
            self._grid.addWidget(card, place // columns, place % columns)
            card.setVisible(place < answers)
        for line in range(3):
            self._grid.setColumnStretch(line, line < columns)
            self._grid.setRowStretch(line, line * columns < answers)

    def _lay_out(self) -> None:
        self._grid = QGridLayout()
        self._grid.setSpacing(10)
        for card in self.cards:
            for part in (card, card.view, card.view.viewport()):
                part.installEventFilter(self)
            card.setMinimumHeight(92)
        top = QHBoxLayout()
        top.setSpacing(14)
        top.addLayout(self._grid, 1)
        top.addWidget(self.ladder)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.hint, 1)
        for button in (self.equal, self.bad, self.submit):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addLayout(top, 1)
        column.addLayout(row)
