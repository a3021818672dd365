"""Two answers side by side and six verdicts, each with its key."""

from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from rlhf_lab.gui.models.ranking import Item
from rlhf_lab.gui.widgets.rank_answer import AnswerCard
from rlhf_lab.gui.widgets.rank_keys import KeyButton


@dataclass(frozen=True)
class Choice:
    """One of the six: its words, its key caps, and the verdict with ranks by place."""

    words: str
    cap: str
    keys: tuple[Qt.Key, ...]
    verdict: str
    ranks: tuple[int, ...]
    strength: int = 1
    tip: str = ""


MUCH_A = Choice("A much better", "Q", (Qt.Key.Key_Q,), "ranked", (1, 2), 2)
A = Choice("A better", "1", (Qt.Key.Key_1, Qt.Key.Key_A), "ranked", (1, 2), tip="A is better: 1 or A")
TIE = Choice("Tie", "3", (Qt.Key.Key_3,), "tie", (1, 1), tip="Equally good: 3")
BAD = Choice("Both bad", "4", (Qt.Key.Key_4,), "both_bad", (), tip="Neither is worth learning from: 4")
B = Choice("B better", "2", (Qt.Key.Key_2, Qt.Key.Key_B), "ranked", (2, 1), tip="B is better: 2 or B")
MUCH_B = Choice("B much better", "W", (Qt.Key.Key_W,), "ranked", (2, 1), 2)
CHOICES = (MUCH_A, A, TIE, BAD, B, MUCH_B)
_BY_KEY = {key: choice for choice in CHOICES for key in choice.keys}
_PLAIN = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier
_ENTER = Qt.Key.Key_Return, Qt.Key.Key_Enter


class PairBoard(QWidget):
    """With ``confirm`` a verdict is only marked until Enter, or the same key again."""

    verdict_given = Signal(str, tuple, int)
    """Verdict, ranks by place, strength."""

    def __init__(self) -> None:
        super().__init__()
        self.confirm = False
        self._marked: Choice | None = None
        self.cards = [AnswerCard("A"), AnswerCard("B")]
        self.buttons = {choice: KeyButton(choice.words, choice.cap, choice.tip) for choice in CHOICES}
        for choice, button in self.buttons.items():
            button.clicked.connect(lambda _=False, c=choice: self._choose(c))
        for card in self.cards:
            card.view.installEventFilter(self)
        self._lay_out()

    def show_item(self, item: Item) -> None:
        """Show two answers; the verdict that was undone stays marked where verdicts are confirmed."""
        for card, answer in zip(self.cards, item.answers, strict=True):
            card.show_text(answer.text)
        self._mark(None)
        if item.before is not None:
            ranks = item.by_place(item.before.ranks) if item.before.ranks else ()
            was = (item.before.verdict, ranks, item.before.strength)
            self._light(next((c for c in CHOICES if (c.verdict, c.ranks, c.strength) == was), None))

    def take_focus(self) -> None:
        """The keyboard is in the answers."""
        if not any(card.view.hasFocus() for card in self.cards):
            self.cards[0].view.setFocus()

    def take_key(self, event: QKeyEvent) -> bool:
        """Act on a key; False for one that means nothing here."""
        key = Qt.Key(event.key())
        if event.modifiers() not in _PLAIN:
            return False
        if key in _BY_KEY:
            if not event.isAutoRepeat():  # a key held down is one verdict, not thirty a second
                self._choose(_BY_KEY[key])
        elif key in _ENTER and self._marked is not None:
            self._give(self._marked)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.cards[key == Qt.Key.Key_Right].view.setFocus(Qt.FocusReason.TabFocusReason)
        elif key == Qt.Key.Key_Space:
            self.cards[self.cards[0].view.hasFocus()].view.setFocus(Qt.FocusReason.TabFocusReason)
        else:
            return False
        return True

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The texts would keep Space and the arrows for themselves."""
        return event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and self.take_key(event)

    def _choose(self, choice: Choice) -> None:
        if self.confirm and self._marked is not choice:
            self._mark(choice)
        else:
            self._give(choice)

    def _give(self, choice: Choice) -> None:
        self._mark(None)
        self.verdict_given.emit(choice.verdict, choice.ranks, choice.strength)

    def _mark(self, choice: Choice | None) -> None:
        self._marked = choice
        self._light(choice)

    def _light(self, choice: Choice | None) -> None:
        ranks = choice.ranks if choice is not None else ()
        for place, card in enumerate(self.cards):
            card.set_chosen(bool(ranks) and ranks[place] == 1)
        for other, button in self.buttons.items():
            button.setCheckable(other is choice)
            button.setChecked(other is choice)
            button.update()  # one that is checkable no longer lost its mark without being drawn again

    def _lay_out(self) -> None:
        sides = QHBoxLayout()
        sides.setSpacing(12)
        for card in self.cards:
            sides.addWidget(card, 1)
        row = QHBoxLayout()
        row.setSpacing(8)
        for choice in CHOICES:
            row.addWidget(self.buttons[choice], 3 if choice.ranks and choice is not TIE else 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addLayout(sides, 1)
        column.addLayout(row)
