"""What an import would store, before it is stored: format, columns, first records, problems, duplicates, split."""

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.file_import import Looked
from rlhf_lab.gui.models.answers import KIND_WORDS
from rlhf_lab.gui.models.records_table import RecordsTable
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.disclosure import Disclosure
from rlhf_lab.gui.widgets.mapping_form import MappingForm
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView, one_line, plain_tip
from rlhf_lab.gui.widgets.reading_view import ReadingView
from rlhf_lab.gui.widgets.record_list import RecordView
from rlhf_lab.gui.widgets.task_bar import TaskBar
from rlhf_lab.gui.widgets.two_line_item import SECOND_LINE, WARNING, TwoLineItem

_TYPING_MS = 300
_NAMED = 60


class ImportPanel(QWidget):
    """Takes the place of the records until the person imports or cancels."""

    import_asked = Signal()
    cancel_asked = Signal()
    look_asked = Signal(object)
    """Look at these `Looked` again, under their mappings and the share as it is now."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.looked: list[Looked] = []
        self.title = PlainLabel("Import", role="title")
        self.files = QListWidget()
        self.files.setAccessibleName("Files to import")
        self.files.setItemDelegate(TwoLineItem(self.files))
        self.files.setMaximumHeight(142)
        self.files.currentRowChanged.connect(self._show_file)
        self.format = PlainLabel(role="strong", wrap=True)
        self.about = PlainLabel(role="muted", wrap=True)
        self.duplicates = PlainLabel(role="warn", wrap=True)
        self.guess = PlainLabel(
            "No known format: what each column holds was guessed from its name. Check it under Columns.",
            role="warn",
            wrap=True,
        )
        self.mapping = MappingForm()
        self.mapping.changed.connect(self._map)
        self.columns = Disclosure("Columns", self.mapping)
        self.first = PlainLabel("First records, as they will be stored", role="caption")
        self._model = RecordsTable(self)
        self.table = RecordView(self._model, "First records, as they will be stored")
        self.table.selectionModel().currentRowChanged.connect(self._read)
        self.reading = ReadingView()
        self.problems = PlainView()
        self.problems.setAccessibleName("Problems in the first rows")
        self.problems.setMaximumHeight(72)
        self.share = QDoubleSpinBox()
        self.share.setRange(0.0, 50.0)
        self.share.setDecimals(0)
        self.share.setSuffix(" %")
        self.share.setValue(10.0)
        self.share.lineEdit().setTextMargins(6, 0, 0, 0)
        self.share.setAccessibleName("Held-out share of the prompts")
        self.share.setToolTip(
            "So many of the prompts are kept from training, to judge by. All records of a prompt stay together."
        )
        self._pause = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self._pause.timeout.connect(self._look_at_current)
        self.share.valueChanged.connect(self._pause.start)
        self.splits = PlainLabel(role="muted")
        self.progress = TaskBar("Progress of the import", _megabytes)
        self.bar = self.progress.bar
        self.cancel = QPushButton("Cancel")
        self.cancel.setAccessibleName("Cancel the import")
        self.cancel.clicked.connect(self.cancel_asked)
        self.go = QPushButton("Import")
        self.go.setProperty("look", "primary")
        self.go.setAccessibleName("Import these files")
        self.go.clicked.connect(self.import_asked)
        theme().keep_icon(self.go, "import")
        bind("data.leave_import", self, self.cancel_asked.emit, Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._lay_out()

    def show_looking(self) -> None:
        """The files are being looked at."""
        self._pause.stop()
        self.title.setText("Looking at the files…")
        self._set_contents_visible(False)
        self.progress.setVisible(True)
        self.progress.begin()
        self.go.setVisible(False)
        self.setFocus()

    def show_files(self, files: Sequence[Looked]) -> None:
        """Show what was found in each."""
        self.looked = list(files)
        self._set_contents_visible(True)
        self.progress.setVisible(False)
        self.go.setVisible(True)
        self.files.blockSignals(True)
        self.files.clear()
        for file in files:
            item = QListWidgetItem(one_line(file.name, 100))
            item.setToolTip(plain_tip(str(file.path)))
            self.files.addItem(item)
        self.files.blockSignals(False)
        self.files.setVisible(len(files) > 1)
        self._list_anew()
        first = next((at for at, file in enumerate(files) if file.preview is not None), 0)
        self.files.setCurrentRow(first)
        self._show_file(first)
        shown = files[first] if files else None
        unsure = shown is not None and (shown.guessed or shown.preview is None)
        self.columns.button.setChecked(unsure and bool(shown.columns))
        if self.go.isEnabled():
            self.go.setFocus()
        elif self.columns.button.isChecked():
            next(iter(self.mapping.roles.values())).setFocus()
        else:
            self.cancel.setFocus()

    def show_again(self, files: Sequence[Looked]) -> None:
        """Files were looked at another time."""
        by_path = {file.path: file for file in files}
        self.looked = [by_path.get(file.path, file) for file in self.looked]
        self._list_anew()
        self._show_file(max(0, self.files.currentRow()))

    def show_progress(self, done: int, total: int) -> None:
        """The import goes on."""
        self.title.setText("Importing…")
        self.go.setVisible(False)
        self._pause.stop()
        for widget in (self.share, self.mapping, self.files):
            widget.setEnabled(False)
        self.progress.setVisible(True)
        if total:
            self.progress.show_progress(done, total)
        else:
            self.progress.begin()

    def heldout(self) -> float:
        """The share of the prompts that is kept from training."""
        return self.share.value() / 100

    def _set_contents_visible(self, seen: bool) -> None:
        contents = (
            self.files,
            self.format,
            self.about,
            self.guess,
            self.duplicates,
            self.columns,
            self.first,
            self._both,
        )
        for widget in (*contents, self.problems, self.splits):
            widget.setVisible(seen)
        for widget in (self.share, self.mapping, self.files):
            widget.setEnabled(seen)

    def _list_anew(self) -> None:
        for place, file in enumerate(self.looked):
            item, found = self.files.item(place), file.preview
            item.setData(SECOND_LINE, "" if found is None else f"{found.format} · {_kind(found.kind)}")
            reason = "needs its columns named" if file.columns else "cannot be imported"
            item.setData(WARNING, "" if found is not None else reason)
        good = sum(file.preview is not None for file in self.looked)
        self.go.setEnabled(good > 0)
        self.go.setText(f" Import {good} files" if good > 1 else " Import")
        self.go.setToolTip("" if good else "None of these files can be imported; the reasons stand above.")

    @Slot(int)
    def _show_file(self, row: int) -> None:
        if not 0 <= row < len(self.looked):
            return
        file = self.looked[row]
        many = len(self.looked) > 1
        self.title.setText(f"Import {len(self.looked)} files" if many else f"Import {one_line(file.name, _NAMED)}")
        found = file.preview
        self.columns.setVisible(bool(file.columns))
        self.mapping.show_columns(file)
        self.guess.setVisible(file.guessed and found is not None)
        self.columns.button.setText("Columns and rating" if found and len(found.rating_choices) > 1 else "Columns")
        for widget in (self.about, self.first, self._both, self.splits):
            widget.setVisible(found is not None)
        if found is None:
            if file.columns:
                self.columns.open()
            self.format.set_role("warn" if file.columns else "bad")
            self.format.setText(file.reason)
            for widget in (self.problems, self.duplicates, self.guess):
                widget.hide()
            return
        self.format.set_role("strong")
        self.format.setText(f"{found.format}: {_kind(found.kind)}")
        self.about.setText(" ".join(filter(None, (_sentence(found.mapping), found.note))))
        self._model.show_list(found.kind, list(enumerate(found.records, 1)))
        self.table.choose(0)
        lines = "\n".join(f"line {problem.line}: {problem.reason}" for problem in found.problems)
        self.problems.set_text(lines)
        self.problems.setVisible(bool(lines))
        self.duplicates.setText(_duplicates(found.duplicates, found.rows))
        self.duplicates.setVisible(bool(found.duplicates))
        heldout = sum(record.split == "heldout" for record in found.records)
        self.splits.setText(f"of the prompts ({heldout} of the {len(found.records)} records shown)")

    @Slot(QModelIndex)
    def _read(self, index: QModelIndex) -> None:
        self.reading.show_record(self._model.record(index.row()) if index.isValid() else None)

    @Slot()
    def _map(self) -> None:
        """A person corrected the columns: of this file, and of all others that have the same ones."""
        mapping, columns = self.mapping.mapping(), self.looked[max(0, self.files.currentRow())].columns
        alike = [replace(file, mapping=mapping, guessed=False) for file in self.looked if file.columns == columns]
        self.look_asked.emit(alike)

    @Slot()
    def _look_at_current(self) -> None:
        self.look_asked.emit([file for file in self.looked if file.preview is not None])

    def _lay_out(self) -> None:
        self._both = QSplitter(Qt.Orientation.Vertical)
        self._both.setChildrenCollapsible(False)
        self._both.setHandleWidth(8)
        self._both.addWidget(self.table)
        self._both.addWidget(self.reading)
        self._both.setSizes([120, 200])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for widget in (
            self.title,
            self.files,
            self.format,
            self.about,
            self.guess,
            self.duplicates,
            self.columns,
            self.first,
        ):
            column.addWidget(widget)
        column.addWidget(self._both, 1)
        column.addWidget(self.problems)
        column.addWidget(self.progress)
        row = QHBoxLayout()
        row.setSpacing(8)
        label = PlainLabel("Held out")
        label.setBuddy(self.share)
        for widget in (label, self.share, self.splits):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.cancel)
        row.addWidget(self.go)
        column.addLayout(row)
        column.addStretch(0)


def _megabytes(done: int, total: int) -> str:
    return f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total > 1e7 else ""


def _kind(kind: str) -> str:
    return KIND_WORDS.get(kind, kind)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def _duplicates(count: int, rows: int) -> str:
    if not count:
        return ""
    verb = "repeats" if count == 1 else "repeat"
    return (
        f"Of the first {rows:,} rows, {count:,} {verb} or reverse{'s' if count == 1 else ''} an earlier one. "
        "Such rows are listed as problems, not stored."
    )
