"""Who is ranking? Chosen at the start, without a password: verdicts are kept by name."""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from rlhf_lab.core.judgement import LONGEST_NAME
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line

MOST_NAMES = 8
"""Names that get a button; everybody else types theirs."""


class StartPage(QWidget):
    """Says `chosen` with a name."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.names: list[QPushButton] = []
        self.name = QLineEdit()
        self.name.setAccessibleName("Your name")
        self.name.setPlaceholderText("Your name")
        self.name.setMaxLength(LONGEST_NAME)
        self.begin = QPushButton("Start ranking")
        self.begin.setProperty("look", "primary")
        self.begin.setEnabled(False)
        self.problem = PlainLabel(role="bad", wrap=True)
        self.problem.hide()
        self.known = PlainLabel("Who is ranking?", role="title")
        self.name.textChanged.connect(lambda text: self.begin.setEnabled(bool(text.strip())))
        self.name.returnPressed.connect(self._type)
        self.begin.clicked.connect(self._type)
        self._lay_out()

    def offer(self, names: Sequence[str]) -> None:
        """Offer the people who have ranked in this project, the newest last."""
        for button in self.names:
            button.hide()
            button.deleteLater()
        self.names = []
        for name in names[-MOST_NAMES:]:
            button = QPushButton(one_line(name, 40).replace("&", "&&"))
            button.setAccessibleName(name)
            button.setMinimumHeight(40)
            button.setAutoDefault(True)
            button.clicked.connect(lambda _=False, n=name: self.chosen.emit(n))
            self._list.addWidget(button)
            self.names.append(button)
        self.name.setPlaceholderText("Somebody else" if names else "Your name")

    def take_focus(self) -> None:
        """The last name, or the field for a new one."""
        (self.names[-1] if self.names else self.name).setFocus()

    def show_problem(self, words: str) -> None:
        """Why that name cannot be used."""
        self.problem.setText(words)
        self.problem.setVisible(bool(words))

    def _type(self) -> None:
        if self.name.text().strip():
            self.chosen.emit(self.name.text().strip())

    def _lay_out(self) -> None:
        card = QFrame()
        card.setProperty("surface", "card")
        card.setFixedWidth(440)
        column = QVBoxLayout(card)
        column.setContentsMargins(28, 24, 28, 28)
        column.setSpacing(12)
        column.addWidget(self.known)
        column.addWidget(
            PlainLabel(
                "Each person's verdicts are kept under their own name, so that the lab can tell how far people agree "
                "with one another and with themselves.",
                role="muted",
                wrap=True,
            )
        )
        self._list = QVBoxLayout()
        self._list.setSpacing(8)
        column.addLayout(self._list)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.name, 1)
        row.addWidget(self.begin)
        column.addLayout(row)
        column.addWidget(self.problem)
        # Stretches, not an alignment: that would not let the words be as high as they are.
        middle = QHBoxLayout()
        middle.addStretch(1)
        middle.addWidget(card)
        middle.addStretch(1)
        whole = QVBoxLayout(self)
        whole.addStretch(2)
        whole.addLayout(middle)
        whole.addStretch(3)
