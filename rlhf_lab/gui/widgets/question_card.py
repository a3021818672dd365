"""What models are asked: the prompt, chat or raw completion, and the settings that all of them share."""

import random
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
)

from rlhf_lab.core.naming import run_title
from rlhf_lab.core.records import Message, Prompt, PromptOnly
from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.models.blind import VOTES
from rlhf_lab.gui.models.contenders import Example, Mode, examples
from rlhf_lab.gui.models.offers import finished_runs
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.name_box import NameBox
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip
from rlhf_lab.runs.project import Project

RAW_END = "\n"
"""Where a raw answer ends when only one line is wanted."""


@dataclass(frozen=True)
class Wish:
    """What every model is asked alike; ``more`` are fields of `rlhf_lab.runs.ask.Generate`."""

    mode: Mode
    prompt: Prompt
    reward: str | None
    more: dict[str, Any]
    same_seed: bool = True

    def of(self, place: int) -> dict[str, Any]:
        """The same for the model that stands at this place, which may draw with a seed of its own."""
        return self.more if self.same_seed else self.more | {"seed": (self.more["seed"] + place) % 2**31}


class QuestionCard(QFrame):
    """Says `asked`, `stop_asked` and `mode_changed`, that of another reward model too."""

    asked = Signal()
    stop_asked = Signal()
    mode_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "card")
        self._example: Example | None = None
        self._question: PromptOnly | None = None
        self._blind = False
        self.chat, self.raw = QPushButton("Chat"), QPushButton("Raw completion")
        self.chat.setToolTip("The prompt in the model's chat template: how one talks to an assistant")
        self.raw.setToolTip("The model continues the text as it stands: what a base model does")
        for choice in (self.chat, self.raw):
            choice.setProperty("help", "help:control.mode")
        self._modes = QButtonGroup(self)
        for button in (self.chat, self.raw):
            button.setCheckable(True)
            self._modes.addButton(button)
        self.chat.setChecked(True)
        self.system = QLineEdit()
        self.system.setAccessibleName("System prompt")
        self.system.setPlaceholderText("System prompt (optional)")
        self.one_line = QCheckBox("Stop at the end of the line")
        self.one_line.setChecked(True)
        self.prompt = QPlainTextEdit()
        self.prompt.setAccessibleName("Prompt")
        self.prompt.setTabChangesFocus(True)
        self.prompt.setFixedHeight(4 * self.prompt.fontMetrics().lineSpacing() + 20)
        self.example = _combo("Example prompts", 18)
        self.source = _combo("Prompts to vote on", 18)
        self.reward = _combo("Reward model that scores the answers", 0)
        self.temperature = _number("1", "0 always takes the likeliest token; 1 samples as trained.", "Temperature")
        self.seed = _number("0", "The same seed and model: the same answer.", "Seed")
        self.new_seed = QToolButton()
        self.new_seed.setAccessibleName("Another seed")
        self.new_seed.setToolTip("Another seed, and so other answers")
        theme().keep_icon(self.new_seed, "shuffle")
        self.same_seed = QCheckBox("same for all")
        self.same_seed.setAccessibleName("The same seed for all models")
        explain(self.same_seed, "control.same_seed")
        self.same_seed.setChecked(True)
        self.length = _number("96", "Answers are cut after so many tokens.", "Longest answer")
        self.ask = QPushButton()
        self.ask.setProperty("look", "primary")
        theme().keep_icon(self.ask, "send")
        self.stop = QPushButton("Stop")
        theme().keep_icon(self.stop, "stop")
        self.stop.setEnabled(False)
        self.problem = PlainLabel(role="warn", wrap=True)
        self.problem.hide()
        self._lay_out()
        self._connect()
        self.show_models(2)
        self.set_blind(False)

    @property
    def mode(self) -> Mode:
        """How the models are asked; in a blind comparison each in the form that suits it."""
        return "chat" if self._blind or self.chat.isChecked() else "raw"

    def show_models(self, count: int) -> None:
        """So many are asked."""
        who = {2: "both"}.get(count, f"all {count}")
        self.ask.setText(f"Ask {who}")
        self.prompt.setPlaceholderText(f"Ask {who} models something (Ctrl+Enter), or choose an example.")

    def set_blind(self, blind: bool) -> None:
        """Show what makes sense while the names are hidden, or all."""
        self._blind = blind
        for widget in (self.chat, self.raw, self.example, self.same_seed):
            widget.setVisible(not blind)
        for widget in (self.source, self._source_label):
            widget.setVisible(blind)
        self._take_mode()

    def show_busy(self, busy: bool) -> None:
        """Whether answers are being written."""
        self.ask.setEnabled(not busy)
        self.stop.setEnabled(busy)

    def show_problem(self, problem: str) -> None:
        """Say what is wrong; "" takes it away."""
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))

    def show_question(self, question: PromptOnly) -> None:
        """Put a prompt of a data set in; what is known of it holds while it is unchanged."""
        self._question, self._example = question, None
        self.prompt.setPlainText(question.prompt.text)

    def question(self) -> PromptOnly:
        """The prompt as a record, in its split where it came from a data set."""
        if self._question is not None and self.prompt.toPlainText() == self._question.prompt.text:
            return self._question
        return PromptOnly(prompt=self._prompt())

    def wish(self) -> Wish | None:
        """What is asked; None where something is wrong with it, which is then shown."""
        problem = self._problem()
        self.show_problem(problem)
        if problem:
            return None
        prompt, chat = self.question().prompt, self.mode == "chat"
        system = self.system.text().strip()
        more = {
            "mode": self.mode,
            "system": system if chat and system else None,
            "stop": RAW_END if not chat and self.one_line.isChecked() else None,
            "temperature": float(self.temperature.text()),
            "seed": int(self.seed.text()),
            "max_new_tokens": int(self.length.text()),
            "judge": "world" in prompt.tags,
        }
        reward = self.reward.currentData() if chat else None
        return Wish(self.mode, prompt, reward, more, self._blind or self.same_seed.isChecked())

    def offer_rewards(self, project: Project) -> None:
        """Offer the reward models of the project; the chosen one stays, else it is the newest."""
        chosen = self.reward.currentData()
        self.reward.clear()
        self.reward.addItem("No score", None)
        for row in finished_runs(project, ("reward",)):
            self.reward.addItem(run_title(row.run), row.run)
        at = self.reward.findData(chosen)
        self.reward.setCurrentIndex(at if chosen is not None and at >= 0 else min(1, self.reward.count() - 1))

    def offer_prompts(self, project: Project) -> None:
        """Offer examples, and the data sets to vote on."""
        self.example.clear()
        self.example.addItem("Examples", None)
        for example in examples(project):
            self.example.addItem(one_line(example.chat, 60), example)
            self.example.setItemData(self.example.count() - 1, plain_tip(example.chat), Qt.ItemDataRole.ToolTipRole)
        self.example.setEnabled(self.example.count() > 1)
        if self._example is None and not self.prompt.toPlainText():
            self._take_example(min(1, self.example.count() - 1))
        chosen = self.source.currentData()
        self.source.clear()
        for row in sorted(project.store.datasets(), key=lambda row: row.kind != "prompt"):
            if row.records and row.name != VOTES:
                self.source.addItem(one_line(row.name, 40), row.name)
                self.source.setItemData(self.source.count() - 1, plain_tip(row.name), Qt.ItemDataRole.ToolTipRole)
        self.source.setCurrentIndex(max(0, self.source.findData(chosen)))

    def _problem(self) -> str:
        if not self.prompt.toPlainText().strip():
            return "Write a prompt first, or choose an example."
        try:
            temperature, seed, length = float(self.temperature.text()), int(self.seed.text()), int(self.length.text())
        except ValueError:
            return "Temperature must be a number, seed and longest answer must be whole numbers."
        if not 0 <= temperature <= 5 or not 0 <= seed < 2**31 or not 1 <= length <= 4096:
            return "Temperature goes from 0 to 5, the seed from 0 up, the longest answer from 1 to 4,096 tokens."
        return ""

    def _prompt(self) -> Prompt:
        text, example = self.prompt.toPlainText(), self._example
        unchanged = example is not None and text in (example.chat, example.raw)
        tags = example.record.prompt.tags if unchanged and example is not None else {}
        return Prompt(messages=(Message(role="user", content=text),), tags=tags)

    @Slot()
    def _draw_seed(self) -> None:
        self.seed.setText(str(random.randrange(2**16)))

    @Slot()
    def _take_mode(self) -> None:
        chat = self.mode == "chat"
        self.system.setVisible(chat)
        self.one_line.setVisible(not chat)
        self.reward.setEnabled(chat)
        self.reward.setToolTip(
            plain_tip("Scores the answers." if chat else "Reward models score answers in chat form only.")
        )
        example = self._example
        if example is not None and self.prompt.toPlainText() in (example.chat, example.raw):
            self.prompt.setPlainText(example.chat if chat else example.raw)
        self.mode_changed.emit()

    @Slot(int)
    def _take_example(self, index: int) -> None:
        example = self.example.itemData(index)
        if example is not None:
            self._example, self._question = example, None
            self.example.setCurrentIndex(0)  # a list to take from, not a setting
            self.prompt.setPlainText(example.chat if self.mode == "chat" else example.raw)

    def _connect(self) -> None:
        self.ask.clicked.connect(self.asked)
        self.stop.clicked.connect(self.stop_asked)
        self.chat.toggled.connect(self._take_mode)
        self.reward.currentIndexChanged.connect(self.mode_changed)
        self.example.activated.connect(self._take_example)
        self.new_seed.clicked.connect(self._draw_seed)
        bind("compare.ask", self, self.asked.emit, Qt.ShortcutContext.WidgetWithChildrenShortcut)

    def _lay_out(self) -> None:
        self._source_label = PlainLabel("Prompts of", role="muted")
        self._source_label.setBuddy(self.source)
        first = QHBoxLayout()
        first.setSpacing(12)
        for widget in (self.chat, self.raw):
            first.addWidget(widget)
        first.addWidget(self.system, 1)
        first.addWidget(self.one_line, 1)
        for widget in (self.example, self._source_label, self.source):
            first.addWidget(widget)
        last = QHBoxLayout()
        last.setSpacing(8)
        for words, widget in (
            ("Temperature", self.temperature),
            ("Seed", self.seed),
            ("Longest answer", self.length),
            ("Scored by", self.reward),
        ):
            label = PlainLabel(words, role="muted")
            label.setBuddy(widget)
            last.addWidget(label)
            last.addWidget(widget)
            if widget is self.seed:
                last.addWidget(self.new_seed)
                last.addWidget(self.same_seed)
            last.addSpacing(8)
        last.addStretch(1)
        last.addWidget(self.stop)
        last.addWidget(self.ask)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 10)
        column.setSpacing(8)
        column.addLayout(first)
        column.addWidget(self.prompt)
        column.addWidget(self.problem)
        column.addLayout(last)


def _combo(name: str, letters: int) -> QComboBox:
    combo = NameBox()
    combo.setAccessibleName(name)
    if letters:
        combo.setMinimumContentsLength(letters)
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return combo


def _number(text: str, tip: str, name: str) -> QLineEdit:
    edit = QLineEdit(text)
    edit.setAccessibleName(name)
    edit.setToolTip(plain_tip(tip))
    edit.setFixedWidth(edit.fontMetrics().horizontalAdvance("000000") + 20)
    return edit
