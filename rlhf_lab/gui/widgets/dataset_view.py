"""One data set: what it is, its records with search, one of them to read, its problems, and what to do with it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, Qt, QTimer, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSplitter,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.answers import KIND_WORDS
from rlhf_lab.gui.models.records_table import PAGE, RecordsTable
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.message_bar import Message
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView, one_line
from rlhf_lab.gui.widgets.reading_view import ReadingView
from rlhf_lab.gui.widgets.record_list import RecordView

if TYPE_CHECKING:
    from rlhf_lab.store import DatasetRow, Store

_MOST_FOUND = 5_000
_TYPING_MS = 250
_PROBLEMS = 1_000

_USES: dict[str, tuple[tuple[str, str], ...]] = {
    "pair": (("reward", "Train a reward model on this"), ("sft", "Fine-tune on this")),
    "demonstration": (("sft", "Fine-tune on this"),),
    "prompt": (("ppo", "Use these prompts for PPO"),),
    "unpaired": (("ppo", "Use these prompts for PPO"),),
}
"""What each kind of data is good for; the first is the usual one."""


class DatasetView(QWidget):
    """Shows the data set that the pane has chosen."""

    def __init__(self, lab: Lab, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab = lab
        self._row: DatasetRow | None = None
        self._search: Background | None = None
        self._found = 0
        self.name = PlainLabel(role="heading")
        self.facts = PlainLabel(role="muted", wrap=True)
        self.uses = [QPushButton(), QPushButton()]
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
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search prompts and answers")
        self.search.setAccessibleName("Search records")
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(320)
        QShortcut(QKeySequence.StandardKey.Find, self, self.search.setFocus)
        self.matches = PlainLabel(role="muted")
        self._pause = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self._pause.timeout.connect(self._look_for)
        self.search.textChanged.connect(self._typed)
        self.model = RecordsTable(self)
        self.table = RecordView(self.model, "Records")
        self.table.selectionModel().currentRowChanged.connect(self._read)
        self.reading = ReadingView()
        self.problems = PlainView()
        self.problems.setAccessibleName("Problems, by line of the file")
        self.questions = QVBoxLayout()
        self._lay_out()

    def show_dataset(self, row: "DatasetRow") -> None:
        """Show a data set from its first record on."""
        same = self._row == row
        self._row = row
        if same:
            return
        self.name.setText(one_line(row.name, 80))
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
        self.search.blockSignals(True)
        self.search.clear()
        self.search.blockSignals(False)
        self._stop_search()
        self._show_all()
        self._show_problems()

    # Records

    def _show_all(self) -> None:
        row, store = self._row, self._lab.project.store
        assert row is not None

        def read(position: int, limit: int) -> Sequence[AnyRecord]:
            try:
                return [found.record for found in store.page_at(row.name, position, limit)]
            except LabError as error:
                self._lab.message.emit(str(error))
                return []

        self.matches.setText("")
        self.model.show_pages(row.kind, row.records, read)
        self.table.selectRow(0)

    @Slot(QModelIndex)
    def _read(self, index: QModelIndex) -> None:
        self.reading.show_record(self.model.record(index.row()) if index.isValid() else None)

    @Slot()
    def _typed(self) -> None:
        self._stop_search()
        self._pause.start()

    @Slot()
    def _look_for(self) -> None:
        text = self.search.text()
        if self._row is None:
            return
        if not text:
            self._show_all()
            return
        self.model.show_list(self._row.kind, [])
        self.reading.show_record(None)
        self.matches.setText("Searching…")
        self._found = 0
        self._search = self._lab.in_background(_search(self._row.name, text))
        self._search.part.connect(self._add_found)
        self._search.done.connect(self._searched)
        self._search.failed.connect(self._lab.message)

    @Slot(object)
    def _add_found(self, found: list[tuple[int, AnyRecord]]) -> None:
        if self.sender() is self._search:
            self.model.add(found)
            if not self._found:
                self.table.selectRow(0)
            self._found += len(found)

    @Slot(object)
    def _searched(self, more: bool) -> None:
        if self.sender() is self._search:
            known = f"the first {self._found:,} matches" if more else f"{self._found:,} matches"
            self.matches.setText("1 match" if self._found == 1 and not more else known)

    def _stop_search(self) -> None:
        self._pause.stop()
        if self._search is not None:
            self._search.cancel()
        self._search = None

    def _show_problems(self) -> None:
        assert self._row is not None
        found, total = self._lab.project.store.problems(self._row.name, _PROBLEMS)
        lines = [f"line {line}: {reason}" for line, reason in found]
        if total > len(found):
            lines.append(f"… and {total - len(found):,} more")
        self.problems.set_text("\n".join(lines) or "Every line of the file could be used.")
        self.tabs.setTabText(1, f"Problems ({total:,})" if total else "Problems")

    # What to do with it

    def _use(self, number: int) -> None:
        assert self._row is not None
        stage, _ = _USES.get(self._row.kind, _USES["prompt"])[number]
        self._lab.pane_asked.emit({"ppo": "policy"}.get(stage, stage), {"dataset": self._row.name})

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
        new = self.new_name.text().strip()
        if new == self._row.name:
            return
        try:
            self._lab.project.store.rename_dataset(self._row.name, new)
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
        question = Message(
            f"Delete “{one_line(name, 60)}” with {self._row.records:,} records? Runs keep their own copy of what "
            "they were trained on.",
            "problem",
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
        head.addWidget(self.delete)
        head.addStretch(1)
        for button in reversed(self.uses):
            head.addSpacing(4)
            head.addWidget(button)
        records = QWidget()
        upper = QVBoxLayout(records)
        upper.setContentsMargins(0, 8, 0, 0)
        upper.setSpacing(8)
        finder = QHBoxLayout()
        finder.setSpacing(8)
        finder.addWidget(self.search, 1)
        finder.addWidget(self.matches)
        finder.addStretch(1)
        upper.addLayout(finder)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.setHandleWidth(8)
        split.addWidget(self.table)
        split.addWidget(self.reading)
        split.setSizes([240, 260])
        upper.addWidget(split, 1)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.addTab(records, "Records")
        self.tabs.addTab(self.problems, "Problems")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.facts)
        column.addLayout(self.questions)
        column.addWidget(self.tabs, 1)


def _search(name: str, text: str) -> Work:
    """Work for `Lab.in_background`: parts of (number, record); whether there are more than are shown."""

    def work(store: "Store", task: Background) -> bool:
        found, after = 0, None
        while found < _MOST_FOUND and not task.cancelled():
            page = store.page(name, after, PAGE, text)
            if not page:
                return False
            task.part.emit([(found + number, row.record) for number, row in enumerate(page, 1)])
            found, after = found + len(page), page[-1].id
        return True

    return work
