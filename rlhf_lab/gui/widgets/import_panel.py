"""What an import would store, before it is stored: format, mapping, first records, problems."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDoubleSpinBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.gui.file_import import Looked
from rlhf_lab.gui.models.answers import KIND_WORDS
from rlhf_lab.gui.models.records_table import RecordsTable
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView, visible
from rlhf_lab.gui.widgets.record_list import RecordView


class ImportPanel(QWidget):
    """Takes the place of the records until the person imports or cancels."""

    import_asked = Signal(list, float)
    cancel_asked = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._files: list[Looked] = []
        self.title = PlainLabel("Import", role="title")
        self.files = QListWidget()
        self.files.setAccessibleName("Files to import")
        self.files.setMaximumHeight(96)
        self.files.currentRowChanged.connect(self._show_file)
        self.format = PlainLabel(role="strong", wrap=True)
        self.about = PlainLabel(role="muted", wrap=True)
        self.first = PlainLabel("First records, as they will be stored", role="caption")
        self._model = RecordsTable(self)
        self.table = RecordView(self._model, "First records, as they will be stored")
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.problems = PlainView()
        self.problems.setAccessibleName("Problems in the first rows")
        self.problems.setMaximumHeight(96)
        self.share = QDoubleSpinBox()
        self.share.setRange(0.0, 50.0)
        self.share.setDecimals(0)
        self.share.setSuffix(" %")
        self.share.setValue(10.0)
        self.share.lineEdit().setTextMargins(6, 0, 0, 0)
        self.share.setAccessibleName("Held-out share")
        self.share.setToolTip(
            "So many of the prompts are kept from training, to judge by. All records of a prompt stay together."
        )
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the import")
        self.cancel = QPushButton("Cancel")
        self.cancel.setAccessibleName("Cancel the import")
        self.cancel.clicked.connect(self.cancel_asked)
        self.go = QPushButton("Import")
        self.go.setProperty("look", "primary")
        self.go.setAccessibleName("Import these files")
        self.go.clicked.connect(self._ask)
        theme().keep_icon(self.go, "import")
        self._lay_out()

    def show_looking(self) -> None:
        """The files are being looked at."""
        self.title.setText("Looking at the files…")
        self._set_contents_visible(False)
        self.bar.setVisible(True)
        self.bar.setRange(0, 0)
        self.go.setVisible(False)
        self.setFocus()

    def show_files(self, files: Sequence[Looked]) -> None:
        """Show what was found in each."""
        self._files = list(files)
        good = [file for file in files if file.preview is not None]
        self._set_contents_visible(True)
        self.bar.setVisible(False)
        self.go.setVisible(True)
        self.go.setEnabled(bool(good))
        self.go.setText(f" Import {len(good)} files" if len(good) > 1 else " Import")
        self.go.setToolTip("" if good else "None of these files can be imported; the reasons stand beside them.")
        self.files.clear()
        for file in files:
            item = QListWidgetItem(visible(file.path.name) + ("" if file.preview else "  (cannot be imported)"))
            self.files.addItem(item)
        self.files.setVisible(len(files) > 1)
        self.files.setCurrentRow(0)
        self._show_file(0)
        (self.go if good else self.cancel).setFocus()

    def show_progress(self, done: int, total: int) -> None:
        """The import goes on."""
        self.title.setText("Importing…")
        self.go.setVisible(False)
        self.share.setEnabled(False)
        self.bar.setVisible(True)
        # Files may be larger than an int of C.
        self.bar.setRange(0, 1000 if total else 0)
        self.bar.setValue(min(1000, 1000 * done // total) if total else 0)

    def _set_contents_visible(self, seen: bool) -> None:
        for widget in (self.files, self.format, self.about, self.first, self.table, self.problems):
            widget.setVisible(seen)
        self.share.setEnabled(seen)

    def _show_file(self, row: int) -> None:
        if not 0 <= row < len(self._files):
            return
        file = self._files[row]
        self.title.setText(f"Import {file.path.name}")
        found = file.preview
        for widget in (self.about, self.first, self.table, self.problems):
            widget.setVisible(found is not None)
        if found is None:
            self.format.set_role("bad")
            self.format.setText(file.reason)
            return
        self.format.set_role("strong")
        self.format.setText(f"{found.format}: {KIND_WORDS.get(found.kind, found.kind)}")
        self.about.setText(f"{found.mapping} {found.note}".strip())
        self._model.show_list(found.kind, list(enumerate(found.records, 1)))
        lines = "\n".join(f"line {problem.line}: {problem.reason}" for problem in found.problems)
        self.problems.set_text(lines)
        self.problems.setVisible(bool(lines))

    def _ask(self) -> None:
        paths = [file.path for file in self._files if file.preview is not None]
        self.import_asked.emit(paths, self.share.value() / 100)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for widget in (self.title, self.files, self.format, self.about, self.first):
            column.addWidget(widget)
        column.addWidget(self.table, 1)
        column.addWidget(self.problems)
        column.addWidget(self.bar)
        row = QHBoxLayout()
        row.setSpacing(8)
        label = PlainLabel("Held out")
        label.setBuddy(self.share)
        row.addWidget(label)
        row.addWidget(self.share)
        row.addStretch(1)
        row.addWidget(self.cancel)
        row.addWidget(self.go)
        column.addLayout(row)
        column.setAlignment(Qt.AlignmentFlag.AlignTop)
