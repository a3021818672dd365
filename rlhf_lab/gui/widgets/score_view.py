"""Score a text: type a prompt and answers, change a word, and see what the reward model makes of it."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QPushButton, QToolButton, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.asker import Asker
from rlhf_lab.gui.models.rank_words import LETTERS
from rlhf_lab.gui.models.text_scores import Values, details, figure, verdict
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs.ask import ModelSpec

FEWEST, MOST = 2, 4
"""Answers side by side; one that is left empty is not scored."""

_PROMPT_LINES = 3
_MARK = 20


class TextEdit(QPlainTextEdit):
    """Plain text in, Tab goes on."""

    def __init__(self, name: str, hint: str):
        super().__init__()
        self.setAccessibleName(name)
        self.setPlaceholderText(hint)
        self.setTabChangesFocus(True)


class ScoredAnswer(QFrame):
    """One answer and its score, which fades when the words change."""

    changed = Signal()
    removed = Signal()

    def __init__(self, letter: str, *, removable: bool):
        super().__init__()
        self.setProperty("surface", "card")
        self.values: Values | None = None
        self.text = TextEdit(f"Answer {letter}", "An answer to the prompt")
        self.score = PlainLabel("–", role="number")
        self.details = PlainLabel(role="caption")
        self.remove = QToolButton()
        self.remove.setProperty("look", "mark")
        self.remove.setFixedSize(_MARK, _MARK)
        self.remove.setAccessibleName(f"Take away answer {letter}")
        self.remove.setToolTip("Take away this answer")
        theme().keep_icon(self.remove, "close")
        self.remove.setVisible(removable)
        head = QHBoxLayout()
        title = PlainLabel(f"Answer {letter}", role="strong")
        title.setMinimumHeight(_MARK)  # the same line with and without the mark
        head.addWidget(title, 1)
        head.addWidget(self.remove)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.text, 1)
        column.addWidget(self.score)
        column.addWidget(self.details)
        self.text.textChanged.connect(self._changed)
        self.remove.clicked.connect(self.removed)

    @property
    def words(self) -> str:
        """What is typed in."""
        return self.text.toPlainText()

    def show_values(self, values: Values | None) -> None:
        """Show a score; None: it is not known."""
        self.values = values
        self.score.setText("–" if values is None else figure(values))
        self.details.setText("" if values is None else details(values))

    @Slot()
    def _changed(self) -> None:
        self.show_values(None)
        self.changed.emit()


class ScoreView(QWidget):
    """Asks for one answer after the other; ``find_model`` says which model to ask, or raises `LabError`."""

    def __init__(self, asker: Asker, find_model: Callable[[], ModelSpec]):
        super().__init__()
        self._asker, self._find_model = asker, find_model
        self._asked: dict[int, tuple[ScoredAnswer, str]] = {}
        self._given: Prompt | None = None
        self.prompt = TextEdit("Prompt", "What is asked, for example: What is the capital of France?")
        self.prompt.setFixedHeight(_PROMPT_LINES * self.prompt.fontMetrics().lineSpacing() + 20)
        self.answers: list[ScoredAnswer] = []
        self.add = QPushButton("Another answer")
        theme().keep_icon(self.add, "add")
        self.go = QPushButton("Score")
        self.go.setProperty("look", "primary")
        self.go.setToolTip("Have this run's reward model score all answers (Ctrl+Enter)")
        theme().keep_icon(self.go, "reward")
        self.said = PlainLabel(role="strong", wrap=True)
        self.status = PlainLabel(role="muted", wrap=True)
        self._lay_out()
        for _ in range(FEWEST):
            self._add()
        self.add.clicked.connect(self._add)
        self.go.clicked.connect(self.score)
        self.prompt.textChanged.connect(self._prompt_changed)
        bind("reward.score", self, self.score, Qt.ShortcutContext.WidgetWithChildrenShortcut)
        asker.answered.connect(self._answered)
        asker.ended.connect(self._ended)
        self._judge()

    def take(self, prompt: Prompt, answers: Sequence[str]) -> None:
        """Put a prompt with all its turns and these answers into the fields."""
        while len(self.answers) > max(FEWEST, len(answers)):
            self._remove(self.answers[-1])
        while len(self.answers) < len(answers):
            self._add()
        self.prompt.setPlainText(prompt.text)
        self._given = prompt
        for place, field in enumerate(self.answers):
            field.text.setPlainText(answers[place] if place < len(answers) else "")

    def forget(self) -> None:
        """Another reward model is meant: what this one said holds no longer."""
        self._asked.clear()
        for field in self.answers:
            field.show_values(None)
        self.status.setText("")
        self._judge()

    @Slot()
    def score(self) -> None:
        """Ask for the scores of all answers that are there."""
        if not self.go.isEnabled():
            return
        try:
            model = self._find_model()
        except LabError as error:
            self._tell(str(error), "warn")
            return
        for field in self.answers:
            if field.words.strip():
                field.show_values(None)
                self._asked[self._asker.score(model, self._asked_prompt(), field.words)] = (field, field.words)
        self._tell("Loading the model and scoring…")
        self._judge()

    def _asked_prompt(self) -> Prompt:
        """The text as one turn; a prompt that was given keeps its turns while its text is unchanged."""
        text = self.prompt.toPlainText()
        if self._given is not None and text == self._given.text:
            return self._given
        return Prompt(messages=(Message(role="user", content=text),))

    @Slot(int, str, dict)
    def _answered(self, request: int, text: str, values: dict[str, float]) -> None:
        field, words = self._asked.get(request, (None, ""))
        if field is not None and field.words == words:  # else it was changed meanwhile
            field.show_values(values)

    @Slot(int, str)
    def _ended(self, request: int, problem: str) -> None:
        if self._asked.pop(request, None) is None:
            return
        if problem:
            self._asked.clear()
        if not self._asked:
            self._tell(problem, "bad")
        self._judge()

    def _tell(self, text: str, role: str = "muted") -> None:
        self.status.set_role(role)
        self.status.setText(text)
        self.status.setVisible(bool(text))

    @Slot()
    def _prompt_changed(self) -> None:
        for field in self.answers:
            field.show_values(None)
        self._judge()

    @Slot()
    def _judge(self) -> None:
        ready = bool(self.prompt.toPlainText().strip()) and any(field.words.strip() for field in self.answers)
        self.go.setEnabled(ready and not self._asked)
        self.go.setAccessibleDescription("" if ready else "Write a prompt and an answer first.")
        self.said.setText(verdict([field.values for field in self.answers]))

    @Slot()
    def _add(self) -> None:
        if len(self.answers) == MOST:
            return
        field = ScoredAnswer(LETTERS[len(self.answers)], removable=len(self.answers) >= FEWEST)
        field.changed.connect(self._judge)
        field.removed.connect(self._remove_last)
        self.answers.append(field)
        self._row.addWidget(field, 1)
        self._count()

    @Slot()
    def _remove_last(self) -> None:
        self._remove(self.answers[-1])

    def _remove(self, field: ScoredAnswer) -> None:
        self.answers.remove(field)
        self._asked = {request: asked for request, asked in self._asked.items() if asked[0] is not field}
        self._row.removeWidget(field)
        field.hide()
        field.deleteLater()
        self._count()

    def _count(self) -> None:
        self.add.setEnabled(len(self.answers) < MOST)
        for field in self.answers:
            field.remove.setVisible(len(self.answers) > FEWEST and field is self.answers[-1])
        self._judge()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(PlainLabel("Prompt", role="strong"))
        head.addWidget(HelpMark.about("control.score"))
        head.addStretch(1)
        head.addWidget(self.add)
        head.addWidget(self.go)
        card = QFrame()
        card.setProperty("surface", "card")
        column = QVBoxLayout(card)
        column.setContentsMargins(12, 8, 12, 10)
        column.setSpacing(6)
        column.addLayout(head)
        column.addWidget(self.prompt)
        self._row = QHBoxLayout()
        self._row.setSpacing(8)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 8, 0, 0)
        whole.setSpacing(8)
        whole.addWidget(card)
        whole.addLayout(self._row, 1)
        whole.addWidget(self.said)
        whole.addWidget(self.status)
        self.status.hide()
