"""Export a run from the window: as what, where to, how far it is, and where it is then."""

from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal, Slot
from PySide6.QtGui import QCloseEvent, QDesktopServices
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import run_title
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.runs_table import size_in_words
from rlhf_lab.gui.run_export import ENDINGS, Choice, Wanted, choices, export_work
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.enter_key import EnterKey
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip
from rlhf_lab.gui.widgets.task_bar import TaskBar
from rlhf_lab.gui.widgets.two_line_item import SECOND_LINE, WARNING, TwoLineItem
from rlhf_lab.runs.exporting import Exported
from rlhf_lab.runs.folder import RunFolder

_CHOICE = Qt.ItemDataRole.UserRole
_WHOLE = ("merged", "reward")
PRECISIONS = (("as it was trained", None), ("fp32", "fp32"), ("bf16, half the size, rounded", "bf16"))


class RunExportButton(QPushButton):
    """Opens the dialog for the run that it is about."""

    def __init__(self, lab: Lab, parent: QWidget | None = None):
        super().__init__(" Export…", parent)
        self._lab = lab
        self._run: str | None = None
        self.dialog: RunExportDialog | None = None
        theme().keep_icon(self, "export")
        self.setAccessibleName("Export this run")
        explain(self, "control.export_run")
        self.clicked.connect(self._open)
        self.show_run(None)

    def show_run(self, run: str | None) -> None:
        """Be about this run."""
        self._run = run
        self.setEnabled(run is not None)

    @Slot()
    def _open(self) -> None:
        if self._run is None:
            return
        if self.dialog is not None:  # an export may be under way in it
            self.dialog.raise_()
            self.dialog.activateWindow()
            return
        try:
            self.dialog = RunExportDialog(self._lab, self._lab.project.run(self._run), self.window())
        except LabError as error:
            self._lab.message.emit(str(error))
            return
        self.dialog.finished.connect(self._closed)
        self.dialog.show()

    @Slot()
    def _closed(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None


class RunExportDialog(QDialog):
    """Beside the window, which stays usable; closing it cancels an export that is under way."""

    exported = Signal(object)
    """An `Exported`, once it is in its place."""

    def __init__(self, lab: Lab, folder: RunFolder, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab, self._folder = lab, folder
        self._task: Background | None = None
        self._named = False
        self._done: Exported | None = None
        lab.actions.help_within(self, "control.export_run")
        title = f"Export {run_title(folder.run)}"
        self.setWindowTitle(title)
        self.resize(720, 640)
        self.title = PlainLabel(title, role="title")
        self.forms = QListWidget()
        self.forms.setAccessibleName("What to export")
        self.forms.setItemDelegate(TwoLineItem(self.forms))
        for choice in choices(folder):
            item = QListWidgetItem(choice.title)
            item.setData(_CHOICE, choice)
            item.setData(SECOND_LINE, "" if choice.reason else choice.what)
            item.setData(WARNING, choice.reason)
            item.setToolTip(plain_tip(choice.reason or choice.what))
            if choice.reason:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.forms.addItem(item)
        self.precision = QComboBox()
        self.precision.setAccessibleName("Precision of the weights")
        for text, value in PRECISIONS:
            self.precision.addItem(text, value)
        self.head = QComboBox()
        self.head.setAccessibleName("Which head")
        self.head.addItem("the mean of all", None)
        self.heads = getattr(folder.config, "heads", 1) if folder.manifest.stage == "reward" else 1
        for number in range(1, self.heads + 1):
            self.head.addItem(f"number {number} alone", number)
        self.path = QLineEdit()
        self.path.textEdited.connect(self._path_edited)
        self.browse = QPushButton("Choose…")
        self.browse.clicked.connect(self._choose)
        self.progress = TaskBar("Progress of the export", lambda done, total: "")
        self.doing = PlainLabel(role="muted")
        self.told = PlainLabel(wrap=True)
        self.told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.open = QPushButton(" Open folder")
        theme().keep_icon(self.open, "folder")
        self.open.clicked.connect(self._show_place)
        self.close_button = QPushButton("Close")
        self.close_button.clicked.connect(self.reject)
        self.go = QPushButton(" Export")
        self.go.setProperty("look", "primary")
        theme().keep_icon(self.go, "export")
        self.go.clicked.connect(self._export)
        self.path.returnPressed.connect(self.go.click)
        self._lay_out()
        for widget in (self.progress, self.doing, self.told, self.open):
            widget.hide()
        self.forms.currentRowChanged.connect(self._form_changed)
        first = next(n for n in range(self.forms.count()) if self._choice(n).reason == "")
        self.forms.setCurrentRow(first)
        self.forms.setFocus()

    def busy(self) -> bool:
        """Whether an export is under way."""
        return self._task is not None

    def wanted(self) -> Wanted:
        """What the person chose."""
        form = self._choice(self.forms.currentRow()).form
        return Wanted(
            self._folder.path,
            form,
            typed_path(self.path.text()),
            self.precision.currentData() if form in _WHOLE else None,
            self.head.currentData() if self._has_heads() else None,
        )

    def reject(self) -> None:
        """See `QDialog.reject`: closed by button, key or frame."""
        self._cancel()
        super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        """See `QWidget.closeEvent`."""
        self._cancel()
        super().closeEvent(event)

    def _choice(self, row: int) -> Choice:
        return self.forms.item(max(row, 0)).data(_CHOICE)

    def _has_heads(self) -> bool:
        form = self._choice(self.forms.currentRow()).form
        return self.heads > 1 and form in ("adapter", "adapter-and-base", "reward")

    @Slot()
    def _form_changed(self) -> None:
        choice = self._choice(self.forms.currentRow())
        self._precision_row.setVisible(choice.form in _WHOLE)
        self._head_row.setVisible(self._has_heads())
        kind = "file" if choice.form in ENDINGS else "folder"
        self.path.setAccessibleName(f"The {kind} to make")
        self.browse.setAccessibleName(f"Choose where to make the {kind}")
        if not self._named:
            name = f"{self._folder.run}-{choice.form}" if kind == "folder" else self._folder.run
            self.path.setText(str(_free(typed_path("~") / f"{name}{ENDINGS.get(choice.form, '')}")))

    @Slot()
    def _path_edited(self) -> None:
        self._named = True
        self.go.setEnabled(bool(self.path.text().strip()))
        self.go.setToolTip("" if self.go.isEnabled() else "Say first where to.")

    @Slot()
    def _choose(self) -> None:
        place = typed_path(self.path.text())
        if self._choice(self.forms.currentRow()).form in ENDINGS:
            dialog = QFileDialog(self, "Export to", str(place))
            dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)  # nothing is written over
        else:
            dialog = QFileDialog(self, "Make the folder in", str(place.parent))
            dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self._chosen)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    @Slot(str)
    def _chosen(self, path: str) -> None:
        folder = self._choice(self.forms.currentRow()).form not in ENDINGS
        place = _free(Path(path) / Path(self.path.text()).name) if folder else Path(path)
        self.path.setText(str(place))
        self._path_edited()

    @Slot()
    def _export(self) -> None:
        self._done = None
        self.told.hide()
        self.open.hide()
        self.progress.begin()
        self._set_busy(True)
        self._task = task = self._lab.in_background(export_work(self.wanted()), "Exporting: nothing of it is kept.")
        task.part.connect(self._doing)
        task.progressed.connect(self.progress.show_progress)
        task.done.connect(self._succeeded)
        task.failed.connect(self._failed)

    @Slot(object)
    def _doing(self, what: str) -> None:
        self.doing.setText(what)

    @Slot(object)
    def _succeeded(self, done: Exported) -> None:
        self._ended("good", "\n".join([f"{done.place} ({size_in_words(done.bytes)})", *done.notes]))
        self._done = done
        self.open.show()
        self.open.setFocus()
        self._named = False
        self.exported.emit(done)

    @Slot(str)
    def _failed(self, why: str) -> None:
        self._ended("bad", why)

    def _ended(self, role: str, told: str) -> None:
        self._task = None
        self._set_busy(False)
        self.told.set_role(role)
        self.told.setText(told)
        self.told.show()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task.done.disconnect(self._succeeded)
            self._task.failed.disconnect(self._failed)
            self._task.part.disconnect(self._doing)
            self._task.progressed.disconnect(self.progress.show_progress)
            self._task = None

    @Slot()
    def _show_place(self) -> None:
        if self._done is not None:
            place = self._done.place
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(place if place.is_dir() else place.parent)))

    def _set_busy(self, busy: bool) -> None:
        self.progress.setVisible(busy)
        self.doing.setVisible(busy)
        self.close_button.setText("Cancel" if busy else "Close")
        for widget in (self.forms, self.precision, self.head, self.path, self.browse, self.go):
            widget.setEnabled(not busy)

    def _lay_out(self) -> None:
        self._precision_row = _row("Precision", self.precision)
        self._head_row = _row("Head", self.head)
        where = _row("Where to", self.path)
        where.layout().addWidget(self.browse)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.open)
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.go)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(12)
        column.addWidget(self.title)
        column.addWidget(self.forms, 1)
        for widget in (self._precision_row, self._head_row, where, self.progress, self.doing, self.told):
            column.addWidget(widget)
        column.addLayout(buttons)
        EnterKey(self)


def _row(title: str, widget: QWidget) -> QWidget:
    whole = QWidget()
    row = QHBoxLayout(whole)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(8)
    label = PlainLabel(title)
    label.setBuddy(widget)
    row.addWidget(label)
    row.addWidget(widget, 1)
    return whole


def _free(path: Path) -> Path:
    """The path, or one beside it that nothing has."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return free
