"""One data set: what it is, its records, its statistics, its problems, and what to do with it."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import POLICY_STAGES
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.answers import KIND_WORDS
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.message_bar import Question
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip
from rlhf_lab.gui.widgets.problems_view import ProblemsView
from rlhf_lab.gui.widgets.records_view import RecordsView

if TYPE_CHECKING:
    from rlhf_lab.gui.widgets.statistics_view import StatisticsView
    from rlhf_lab.store import DatasetRow

_NAME_SHOWN = 32

_LEARN, _DPO = ("reward", "Train a reward model on this"), ("dpo", "Train DPO on this")
_ASK = ("ppo", "Use these prompts for PPO")
_USES: dict[str, tuple[tuple[str, str], ...]] = {
    "pair": (_LEARN, _DPO, ("rank", "Rank"), ("sft", "Fine-tune on this")),
    "ranking": (_LEARN, _DPO, ("rank", "Rank")),
    "rated": (_LEARN, _DPO, ("rank", "Rank")),
    "candidates": (("rank", "Rank these answers"), _ASK),
    "demonstration": (("sft", "Fine-tune on this"),),
    "prompt": (_ASK,),
    "unpaired": (_ASK,),
}
"""What each kind of data is good for; the first is the usual one."""


class DatasetView(QWidget):
    """Shows the data set that the pane has chosen."""

    export_asked = Signal(object)
    """Its `DatasetRow`."""

    def __init__(self, lab: Lab, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab = lab
        self._row: DatasetRow | None = None
        self._coming: tuple[str, str] | None = None
        """The name of a data set and what it is to become."""
        self.name = PlainLabel(role="heading")
        self.facts = PlainLabel(role="muted", wrap=True)
        self.uses = [QPushButton() for _ in range(max(map(len, _USES.values())))]
        self.uses[0].setProperty("look", "primary")
        for number, button in enumerate(self.uses):
            button.clicked.connect(lambda _=False, n=number: self._use(n))
        self.rename = self._tool("rename", "Rename this data set")
        self.rename.clicked.connect(self._start_rename)
        self.delete = self._tool("trash", "Delete this data set")
        self.delete.clicked.connect(self._ask_delete)
        self.new_name = QLineEdit()
        self.new_name.setAccessibleName("New name of the data set")
        self.new_name.returnPressed.connect(self._rename)
        self.new_name.editingFinished.connect(self._end_rename)
        self.new_name.hide()
        self.export = self._tool("export", "Export this data set as a file")
        self.export.clicked.connect(self._ask_export)
        self.records = RecordsView(lab)
        self.records.changed.connect(self._rename_once_stored)
        self._statistics: StatisticsView | None = None
        self.problems = ProblemsView(lab.project.store)
        self.questions = QVBoxLayout()
        self._lay_out()

    @property
    def statistics(self) -> "StatisticsView":
        """The data set in pictures; made when it is first needed."""
        if self._statistics is None:
            from rlhf_lab.gui.widgets.statistics_view import StatisticsView

            self._statistics = StatisticsView(self._lab)
            self.records.changed.connect(self._statistics.forget)
            self._pictures.layout().addWidget(self._statistics)
            if self._row is not None:
                self._statistics.show_dataset(self._row)
        return self._statistics

    @Slot()
    def _open_tab(self) -> None:
        if self.tabs.currentWidget() is self._pictures:
            self.statistics.show()

    def show_dataset(self, row: "DatasetRow") -> None:
        """Show a data set from its first record on."""
        same = self._row == row
        self._row = row
        self.records.show_dataset(row)
        if self._statistics is not None:
            self._statistics.show_dataset(row)
        if same:
            return
        self.name.setText(one_line(row.name, _NAME_SHOWN))
        self.name.setToolTip(plain_tip(row.name))
        facts = f"{row.records:,} {KIND_WORDS.get(row.kind, 'records')}, {row.heldout:,} of them held out. Format: {row.format}."
        self.facts.setText(f"{facts} {row.note}".strip())
        uses = _USES.get(row.kind, _USES["prompt"])
        for number, button in enumerate(self.uses):
            button.setVisible(number < len(uses))
            if number < len(uses):
                button.setText(uses[number][1])
                button.setAccessibleName(uses[number][1])
        self._clear_questions()
        self._end_rename()
        self.problems.show_dataset(row.name)
        title = f"Problems ({row.problems:,})" if row.problems else "Problems"
        self.tabs.setTabText(self.tabs.indexOf(self.problems), title)

    # What to do with it

    @Slot()
    def _ask_export(self) -> None:
        assert self._row is not None
        self.export_asked.emit(self._row)

    def _use(self, number: int) -> None:
        assert self._row is not None
        stage, _ = _USES.get(self._row.kind, _USES["prompt"])[number]
        chosen = {"stage": stage} if stage in POLICY_STAGES else {}
        self._lab.pane_asked.emit("policy" if chosen else stage, {"dataset": self._row.name} | chosen)

    def _start_rename(self) -> None:
        assert self._row is not None
        self.name.hide()
        self.new_name.setText(self._row.name)
        self.new_name.show()
        self.new_name.selectAll()
        self.new_name.setFocus()

    @Slot()
    def _rename(self) -> None:
        assert self._row is not None
        old, new = self._row.name, self.new_name.text().strip()
        if new == old:
            return
        try:
            self.records.keep()
        except LabError as error:
            self._lab.message.emit(f"“{one_line(old, 60)}” keeps its name while one of its records is edited. {error}")
            return
        self._coming = (old, new)
        self._rename_once_stored()

    @Slot()
    def _rename_once_stored(self) -> None:
        """Changes of records go by the name of the data set: those that were made before are stored before."""
        if self._coming is None or self.records.busy:
            return
        (old, new), self._coming = self._coming, None
        if self.records.editing:  # why it could not be stored was said
            self._lab.message.emit(f"“{one_line(old, 60)}” keeps its name while one of its records is edited.")
            return
        try:
            self._lab.project.store.rename_dataset(old, new)
        except LabError as error:
            self._lab.message.emit(str(error))
            return
        self._row = None
        self._lab.datasets_changed.emit()

    @Slot()
    def _end_rename(self) -> None:
        self.new_name.hide()
        self.name.show()

    @Slot()
    def _ask_delete(self) -> None:
        assert self._row is not None
        name = self._row.name
        self._clear_questions()
        question = Question(
            f"Delete “{one_line(name, 60)}” with {self._row.records:,} records? Runs keep their own copy of what "
            "they were trained on.",
            (("Delete", lambda: self._delete(name)),),
        )
        self.questions.addWidget(question)
        question.findChild(QPushButton).setFocus()

    def _delete(self, name: str) -> None:
        task = self._lab.in_background(lambda store, task: store.delete_dataset(name))
        task.done.connect(self._lab.datasets_changed)
        task.failed.connect(self._lab.message)

    def _clear_questions(self) -> None:
        while (item := self.questions.takeAt(0)) is not None:
            item.widget().deleteLater()

    def _tool(self, icon: str, title: str) -> QToolButton:
        button = QToolButton()
        button.setProperty("look", "quiet")
        button.setToolTip(title)
        button.setAccessibleName(title)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        theme().keep_icon(button, icon)
        return button

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(4)
        for widget in (self.name, self.new_name):
            head.addWidget(widget)
        head.addWidget(self.rename)
        head.addWidget(self.export)
        head.addWidget(self.delete)
        head.addStretch(1)
        for button in reversed(self.uses):
            head.addSpacing(4)
            head.addWidget(button)
        self.tabs = QTabWidget(self)
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.addTab(self.records, "Records")
        self._pictures = QWidget()
        inside = QVBoxLayout(self._pictures)
        inside.setContentsMargins(0, 0, 0, 0)
        self.tabs.addTab(self._pictures, "Statistics")
        self.tabs.addTab(self.problems, "Problems")
        self.tabs.currentChanged.connect(self._open_tab)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.facts)
        column.addLayout(self.questions)
        column.addWidget(self.tabs, 1)
