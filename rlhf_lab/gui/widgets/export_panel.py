"""A data set as a file: which format, which split, where to; what a format cannot hold is said beforehand."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.data.export import KINDS
from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.file_export import FORMS, FormWords, Wanted
from rlhf_lab.gui.models.answers import KIND_WORDS, ONE_KIND
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip
from rlhf_lab.gui.widgets.task_bar import TaskBar
from rlhf_lab.gui.widgets.two_line_item import SECOND_LINE, WARNING, TwoLineItem

if TYPE_CHECKING:
    from rlhf_lab.store import DatasetRow

_FORM = Qt.ItemDataRole.UserRole


class ExportPanel(QWidget):
    """Takes the place of the records until the person exports or cancels."""

    export_asked = Signal(object)
    """A `Wanted`."""
    cancel_asked = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._row: DatasetRow | None = None
        self._named = False
        self._replace: Path | None = None
        self.exists = PlainLabel(role="warn", wrap=True)
        self.title = PlainLabel("Export", role="title")
        self.forms = QListWidget()
        self.forms.setAccessibleName("Format of the file")
        self.forms.setItemDelegate(TwoLineItem(self.forms))
        for form in FORMS:
            item = QListWidgetItem(form.title)
            item.setData(SECOND_LINE, form.what)
            item.setData(_FORM, form)
            item.setToolTip(plain_tip(form.what))
            self.forms.addItem(item)
        self.forms.currentRowChanged.connect(self._form_changed)
        self.holds = PlainLabel(role="muted", wrap=True)
        self.split = QComboBox()
        self.split.setAccessibleName("Which records")
        self.split.currentIndexChanged.connect(self._form_changed)
        self.escape = QCheckBox("Make formulas harmless")
        self.escape.setChecked(True)
        self.escape.setToolTip(
            "Spreadsheets run cells that begin with = + - @ as formulas. Such cells get an apostrophe in front, which "
            "an import by the lab takes away again."
        )
        self.path = QLineEdit()
        self.path.setAccessibleName("File to write")
        self.path.textEdited.connect(self._path_edited)
        self.browse = QPushButton("Choose…")
        self.browse.setAccessibleName("Choose the file to write")
        self.browse.clicked.connect(self._choose)
        self.progress = TaskBar("Progress of the export", lambda done, total: f"{done:,} of {total:,} records")
        self.cancel = QPushButton("Cancel")
        self.cancel.setAccessibleName("Cancel the export")
        self.cancel.clicked.connect(self.cancel_asked)
        self.go = QPushButton("Export")
        self.go.setProperty("look", "primary")
        self.go.setAccessibleName("Export to this file")
        self.go.clicked.connect(self._ask)
        theme().keep_icon(self.go, "export")
        bind("data.leave_export", self, self.cancel_asked.emit, Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._lay_out()

    def show_dataset(self, row: "DatasetRow") -> None:
        """Begin with a data set."""
        self._row, self._named = row, False
        self.title.setText(f"Export “{one_line(row.name, 60)}”")
        self.split.blockSignals(True)
        self.split.clear()
        for text, split in (
            (f"all {row.records:,} records", None),
            (f"the {row.train:,} to train on", "train"),
            (f"the {row.heldout:,} held out", "heldout"),
        ):
            self.split.addItem(text, split)
        self.split.blockSignals(False)
        for place in range(self.forms.count()):
            item = self.forms.item(place)
            form: FormWords = item.data(_FORM)
            fits = row.kind == "mixed" or row.kind in KINDS[form.form]
            flags = item.flags()
            item.setFlags(flags | Qt.ItemFlag.ItemIsEnabled if fits else flags & ~Qt.ItemFlag.ItemIsEnabled)
            item.setData(SECOND_LINE, form.what if fits else "")
            item.setData(WARNING, "" if fits else f"cannot hold {KIND_WORDS[row.kind]}")
        self._set_busy(False)
        self.forms.setCurrentRow(0)
        self._form_changed()
        self.forms.setFocus()

    def show_progress(self, done: int, total: int) -> None:
        """The export goes on."""
        self._set_busy(True)
        if total:
            self.progress.show_progress(done, total)
        else:
            self.progress.begin()

    def wanted(self) -> Wanted:
        """What the person chose."""
        assert self._row is not None
        form = self._form()
        return Wanted(
            self._row.name,
            typed_path(self.path.text()),
            form.form,
            self.split.currentData(),
            self.escape.isChecked() if form.formulas else False,
        )

    def _form(self) -> FormWords:
        return self.forms.item(max(self.forms.currentRow(), 0)).data(_FORM)

    @Slot()
    def _form_changed(self) -> None:
        if self._row is None:
            return
        form = self._form()
        self.escape.setVisible(form.formulas)
        self.holds.setText(self._lost(form))
        self.holds.setVisible(bool(self.holds.text()))
        if not self._named:
            split = self.split.currentData()
            stem = _file_name(self._row.name) + (f"-{split}" if split else "")
            self.path.setText(str(_free(typed_path("~") / f"{stem}{form.ending}")))
        self._ask_no_more()

    def _lost(self, form: FormWords) -> str:
        """What will not be in the file, or not where one would look for it."""
        assert self._row is not None
        said = []
        if self._row.kind == "mixed" and (
            missing := [ONE_KIND[kind] for kind in ONE_KIND if kind not in KINDS[form.form]]
        ):
            said.append(f"Records of these kinds are left out, and counted: {', '.join(missing)}.")
        return " ".join([*said, form.about]).strip()

    @Slot()
    def _path_edited(self) -> None:
        self._named = True
        self._ask_no_more()
        self.go.setEnabled(bool(self.path.text().strip()))
        self.go.setToolTip("" if self.path.text().strip() else "Say first which file to write.")

    @Slot()
    def _choose(self) -> None:
        dialog = QFileDialog(self, "Export to", self.path.text())
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(self._form().ending.lstrip("."))
        dialog.fileSelected.connect(self._chosen)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    @Slot(str)
    def _chosen(self, path: str) -> None:
        self.path.setText(path)
        self._path_edited()
        self._replace = Path(path)  # the system's dialog has asked

    @Slot()
    def _ask(self) -> None:
        wanted = self.wanted()
        if wanted.path.exists() and wanted.path != self._replace:
            self._replace = wanted.path
            self.exists.setText(
                f"{wanted.path} is there already. Press Replace to overwrite it, or choose another name."
            )
            self.exists.show()
            self.go.setText(" Replace")
            return
        self.show_progress(0, 0)
        self.export_asked.emit(wanted)

    def _ask_no_more(self) -> None:
        self._replace = None
        self.exists.hide()
        self.go.setText(" Export")

    def _set_busy(self, busy: bool) -> None:
        self.progress.setVisible(busy)
        for widget in (self.forms, self.split, self.escape, self.path, self.browse, self.go):
            widget.setEnabled(not busy)

    def _lay_out(self) -> None:
        which = QHBoxLayout()
        which.setSpacing(8)
        for title, widget in (("Records", self.split), ("File", self.path)):
            label = PlainLabel(title)
            label.setBuddy(widget)
            which.addWidget(label)
            which.addWidget(widget, 1 if widget is self.path else 0)
        which.addWidget(self.browse)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.escape)
        buttons.addStretch(1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.go)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(PlainLabel("Format", role="caption"))
        column.addWidget(self.forms, 1)
        column.addWidget(self.holds)
        column.addLayout(which)
        column.addWidget(self.exists)
        column.addWidget(self.progress)
        column.addLayout(buttons)


def _free(path: Path) -> Path:
    """The path, or one beside it that no file has."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem} ({number})")
    return free


def _file_name(name: str) -> str:
    """The data set's name as the name of a file on any system."""
    return "".join(c if c.isalnum() or c in " -_." else "-" for c in name).strip(" .") or "data"
