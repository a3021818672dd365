"""The Compare pane: two models, one prompt, side by side, as chat or as raw completion."""

from typing import Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.gui.asker import Asker, MakeInference
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.contenders import Contender, Example, Mode, contenders, examples, opening_pair
from rlhf_lab.gui.models.offers import finished_runs, run_title
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.answer_view import AnswerView
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip
from rlhf_lab.runs.inference import Inference

RAW_END = "\n"
"""Where a raw answer ends when only one line is wanted."""


class ComparePane(QWidget):
    """Both models get the same prompt, temperature and seed."""

    def __init__(self, lab: Lab, make_inference: MakeInference = Inference):
        super().__init__()
        self._lab = lab
        self.setAccessibleName("Compare")
        self.asker = Asker(lab.project.models_folder, self, make_inference)
        self._sides: dict[int, AnswerView] = {}
        self._example: Example | None = None
        self.views = [AnswerView("A"), AnswerView("B")]
        self.chat, self.raw = QPushButton("Chat"), QPushButton("Raw completion")
        self.chat.setToolTip("The prompt in the model's chat template: how one talks to an assistant")
        self.raw.setToolTip("The model continues the text as it stands: what a base model does")
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
        self.prompt.setPlaceholderText("Ask both models something (Ctrl+Enter), or choose an example.")
        self.prompt.setFixedHeight(4 * self.prompt.fontMetrics().lineSpacing() + 20)
        self.example = QComboBox()
        self.example.setAccessibleName("Example prompts")
        self.example.setMinimumContentsLength(18)
        self.example.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.reward = QComboBox()
        self.reward.setAccessibleName("Reward model that scores the answers")
        self.temperature = self._number("1", "0 always takes the likeliest token; 1 samples as trained.", "Temperature")
        self.seed = self._number("0", "The same seed and model: the same answer.", "Seed")
        self.length = self._number("96", "Answers are cut after so many tokens.", "Longest answer")
        self.ask = QPushButton("Ask both")
        self.ask.setProperty("look", "primary")
        theme().keep_icon(self.ask, "send")
        self.stop = QPushButton("Stop")
        theme().keep_icon(self.stop, "stop")
        self.stop.setEnabled(False)
        self.problem = PlainLabel(role="warn", wrap=True)
        self._lay_out()
        self._connect()
        self._take_mode()
        self.refresh()

    @property
    def mode(self) -> Mode:
        """How the models are asked."""
        return "chat" if self.chat.isChecked() else "raw"

    @Slot()
    def refresh(self) -> None:
        """Look which models, reward models and example prompts there are."""
        known = contenders(self._lab.project)
        for view, first in zip(self.views, opening_pair(known), strict=True):
            view.offer(known, first)
        chosen = self.reward.currentData()
        self.reward.clear()
        self.reward.addItem("No score", None)
        for row in finished_runs(self._lab.project, ("reward",)):
            self.reward.addItem(run_title(row.run), row.run)
        at = self.reward.findData(chosen)
        self.reward.setCurrentIndex(at if chosen is not None and at >= 0 else min(1, self.reward.count() - 1))
        if self.example.count() <= 1:
            self._fill_examples()

    def showEvent(self, event: QShowEvent) -> None:
        """A pane that comes into view shows the project as it is now."""
        super().showEvent(event)
        self.refresh()

    @Slot()
    def ask_both(self) -> None:
        """Send the prompt to both models."""
        wishes, problem = self._wishes()
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        if problem or self._sides:
            return
        prompt = self._prompt()
        for place, view in enumerate(self.views):
            contender = view.contender()
            assert contender is not None
            try:
                request = self.asker.ask(contender.spec(self._lab.project), prompt, **wishes, **self._more(contender))
            except LabError as error:
                view.end(str(error))
                continue
            self._sides[request] = view
            view.begin("Loading the model…" if place == 0 else "Waiting for model A…")
        self._show_busy()

    @Slot()
    def stop_both(self) -> None:
        """End both answers early."""
        self.asker.cancel(list(self._sides))

    def _wishes(self) -> tuple[dict[str, Any], str]:
        """What both are asked alike, or what is wrong with it."""
        if not self.prompt.toPlainText().strip():
            return {}, "Write a prompt first, or choose an example."
        try:
            temperature, seed, length = float(self.temperature.text()), int(self.seed.text()), int(self.length.text())
        except ValueError:
            return {}, "Temperature must be a number, seed and longest answer must be whole numbers."
        if not 0 <= temperature <= 5 or not 0 <= seed < 2**31 or not 1 <= length <= 4096:
            return {}, "Temperature goes from 0 to 5, the seed from 0 up, the longest answer from 1 to 4,096 tokens."
        chat = self.mode == "chat"
        system = self.system.text().strip()
        return {
            "mode": self.mode,
            "system": system if chat and system else None,
            "stop": RAW_END if not chat and self.one_line.isChecked() else None,
            "temperature": temperature,
            "seed": seed,
            "max_new_tokens": length,
            "judge": "world" in self._prompt().tags,
        }, ""

    def _more(self, contender: Contender) -> dict[str, Any]:
        """What only makes sense for a model with an adapter, and for a scored answer."""
        run = self.reward.currentData()
        return {
            "kl": contender.run is not None and self.mode == "chat",
            "reward": self._lab.project.model_spec(run) if run is not None and self.mode == "chat" else None,
        }

    def _prompt(self) -> Prompt:
        """The text as it stands; what is known of an example holds while it is unchanged."""
        text, example = self.prompt.toPlainText(), self._example
        unchanged = example is not None and text in (example.chat, example.raw)
        tags = example.record.prompt.tags if unchanged and example is not None else {}
        return Prompt(messages=(Message(role="user", content=text),), tags=tags)

    @Slot(int, str)
    def _came(self, request: int, text: str) -> None:
        if request in self._sides:
            self._sides[request].add_text(text)

    @Slot(int, str, dict)
    def _answered(self, request: int, text: str, values: dict[str, float]) -> None:
        if request in self._sides:
            self._sides[request].set_answer(text, values)

    @Slot(int, str)
    def _ended(self, request: int, problem: str) -> None:
        if request in self._sides:
            self._sides.pop(request).end(problem)
        for view in self._sides.values():
            view.show_status("Loading the model…")
        self._show_busy()

    def _show_busy(self) -> None:
        busy = bool(self._sides)
        self.ask.setEnabled(not busy)
        self.stop.setEnabled(busy)

    @Slot()
    def _take_mode(self) -> None:
        chat = self.mode == "chat"
        self.system.setVisible(chat)
        self.one_line.setVisible(not chat)
        self.reward.setEnabled(chat)
        self.reward.setToolTip(
            plain_tip("Scores both answers." if chat else "Reward models score answers in chat form only.")
        )
        for view in self.views:
            view.set_mode(self.mode)
        example = self._example
        if example is not None and self.prompt.toPlainText() in (example.chat, example.raw):
            self.prompt.setPlainText(example.chat if chat else example.raw)

    def _fill_examples(self) -> None:
        self.example.clear()
        self.example.addItem("Examples", None)
        for example in examples(self._lab.project):
            self.example.addItem(one_line(example.chat, 60), example)
            self.example.setItemData(self.example.count() - 1, plain_tip(example.chat), Qt.ItemDataRole.ToolTipRole)
        self.example.setEnabled(self.example.count() > 1)
        if self._example is None and not self.prompt.toPlainText():
            self._take_example(min(1, self.example.count() - 1))

    @Slot(int)
    def _take_example(self, index: int) -> None:
        example = self.example.itemData(index)
        if example is not None:
            self._example = example
            self.example.setCurrentIndex(0)  # a list to take from, not a setting
            self.prompt.setPlainText(example.chat if self.mode == "chat" else example.raw)

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        if self._lab.state(run).outcome == "starting" and not self._sides:
            self.asker.free_memory()

    def _number(self, text: str, tip: str, name: str) -> QLineEdit:
        edit = QLineEdit(text)
        edit.setAccessibleName(name)
        edit.setToolTip(plain_tip(tip))
        edit.setFixedWidth(edit.fontMetrics().horizontalAdvance("000000") + 20)
        return edit

    def _connect(self) -> None:
        self.ask.clicked.connect(self.ask_both)
        self.stop.clicked.connect(self.stop_both)
        self.chat.toggled.connect(self._take_mode)
        self.example.activated.connect(self._take_example)
        for keys in ("Ctrl+Return", "Ctrl+Enter"):
            QShortcut(QKeySequence(keys), self, self.ask_both, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.asker.came.connect(self._came)
        self.asker.answered.connect(self._answered)
        self.asker.ended.connect(self._ended)
        self._lab.closing.connect(self.asker.close)
        self._lab.run_changed.connect(self._run_changed)
        self._lab.runs_changed.connect(self.refresh)
        self._lab.datasets_changed.connect(self._fill_examples)

    def _lay_out(self) -> None:
        first = QHBoxLayout()
        first.setSpacing(12)
        for widget in (self.chat, self.raw):
            first.addWidget(widget)
        first.addWidget(self.system, 1)
        first.addWidget(self.one_line, 1)
        first.addWidget(self.example)
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
            last.addSpacing(8)
        last.addStretch(1)
        last.addWidget(self.stop)
        last.addWidget(self.ask)
        card = QFrame()
        card.setProperty("surface", "card")
        column = QVBoxLayout(card)
        column.setContentsMargins(12, 10, 12, 10)
        column.setSpacing(8)
        column.addLayout(first)
        column.addWidget(self.prompt)
        column.addWidget(self.problem)
        column.addLayout(last)
        self.problem.hide()
        sides = QHBoxLayout()
        sides.setSpacing(12)
        for view in self.views:
            sides.addWidget(view, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(12, 12, 12, 12)
        whole.setSpacing(12)
        whole.addWidget(card)
        whole.addLayout(sides, 1)
