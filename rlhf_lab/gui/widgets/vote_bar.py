"""The foot of a blind comparison: four verdicts with their keys, who is voting, and what was behind the letters."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout

from rlhf_lab.core.judgement import LONGEST_NAME
from rlhf_lab.gui.models.action_table import ACTIONS
from rlhf_lab.gui.models.blind import Vote
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.rank_keys import KeyButton
from rlhf_lab.gui.widgets.still_text import StillLine

VOTES: tuple[Vote, ...] = ("first", "second", "tie", "both_bad")
SOMEBODY = "me"
"""Who votes until a name is given."""


class VoteBar(QFrame):
    """Says `voted`, `next_asked` and `back_asked`."""

    voted = Signal(str)
    next_asked = Signal()
    back_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "card")
        self.buttons: dict[Vote, KeyButton] = {}
        for vote in VOTES:
            declared = ACTIONS[f"vote.{vote}"]
            words, key = declared.title, declared.keys[0]
            button = KeyButton(words, key)
            button.setShortcut(key)
            button.setToolTip(f"{words}: {key}")
            button.clicked.connect(lambda _=False, v=vote: self.voted.emit(v))
            self.buttons[vote] = button
        self.setProperty("help", "help:control.blind")
        self.next = KeyButton("Next prompt", "Enter", "Another prompt of the data set, and two models drawn for it")
        self.next.setProperty("look", "primary")
        self.next.setShortcut(ACTIONS["vote.next"].keys[0])
        self.next.clicked.connect(self.next_asked)
        self.back = QPushButton("Take back")
        self.back.setToolTip("Undo this vote; the names are known now, so vote on another prompt instead")
        theme().keep_icon(self.back, "undo")
        self.back.clicked.connect(self.back_asked)
        self.who = QComboBox()
        self.who.setEditable(True)
        self.who.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.who.setAccessibleName("Who votes")
        self.who.setToolTip("Votes are kept under this name")
        line = self.who.lineEdit()
        assert line is not None
        line.setMaxLength(LONGEST_NAME)
        line.setPlaceholderText(SOMEBODY)
        self.who.setMinimumContentsLength(10)
        self.who.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.words = StillLine()
        self._lay_out()
        self.show_state(votable=False, voted=False)

    @property
    def name(self) -> str:
        """Who votes."""
        return self.who.currentText().strip() or SOMEBODY

    def offer_people(self, names: list[str]) -> None:
        """Offer who has judged in this project; what is written stays."""
        before = self.who.currentText()
        self.who.clear()
        self.who.addItems(names)
        self.who.setCurrentText(before or (names[-1] if names else SOMEBODY))

    def show_state(self, *, votable: bool, voted: bool, can_go_on: bool = True) -> None:
        """Which buttons make sense."""
        for button in self.buttons.values():
            button.setEnabled(votable)
        self.next.setEnabled(can_go_on and not votable)
        self.back.setEnabled(voted)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in self.buttons.values():
            row.addWidget(button)
        row.addWidget(self.back)
        row.addStretch(1)
        row.addWidget(PlainLabel("Voting as", role="muted"))
        row.addWidget(self.who)
        row.addWidget(self.next)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 10)
        column.setSpacing(8)
        column.addWidget(self.words)
        column.addLayout(row)
