"""The Data pane: data sets, their records, reading, problems, import by drop or button."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.naming import so_many
from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.data_process import DataProcess
from rlhf_lab.gui.file_export import Wanted, export_file
from rlhf_lab.gui.file_import import (
    Looked,
    dropped_paths,
    has_files,
    look_again,
    look_at,
    store_files,
    told,
    wishes_for,
)
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.answers import counted
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.dataset_view import DatasetView
from rlhf_lab.gui.widgets.guide_card import GuideCard
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip
from rlhf_lab.gui.widgets.two_line_item import SECOND_LINE, WARNING, TwoLineItem

if TYPE_CHECKING:
    from rlhf_lab.data.importer import ImportResult
    from rlhf_lab.gui.widgets.export_panel import ExportPanel
    from rlhf_lab.gui.widgets.import_panel import ImportPanel
    from rlhf_lab.store import DatasetRow

_NAME = Qt.ItemDataRole.UserRole
_FILES = "Data (*.jsonl *.ndjson *.json *.csv *.tsv *.txt *.gz *.zst *.parquet *.arrow *.feather)"


class DataPane(QWidget):
    """Files may be dropped anywhere on it."""

    guide_asked = Signal()

    def __init__(self, lab: Lab, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab = lab
        self._task: Background | None = None
        self._storing = False
        self._dropped: list[Path] = []
        self._imported = ""
        self._rows: list[DatasetRow] = []
        self._process = DataProcess(lab.project.store.path)
        lab.closing.connect(self._rest)
        self.setAcceptDrops(True)
        self.setAccessibleName("Data")
        self.list = QListWidget()
        self.list.setAccessibleName("Data sets")
        self.list.setItemDelegate(TwoLineItem(self.list))
        self.list.currentItemChanged.connect(self._chosen)
        self.import_button = QPushButton("Import…")
        self.import_button.setAccessibleName("Import files")
        explain(self.import_button, "control.import", "data.import")
        self.import_button.clicked.connect(self.choose_files)
        theme().keep_icon(self.import_button, "import")
        self.folder_button = QToolButton()
        self.folder_button.setAccessibleName("Import a folder")
        explain(self.folder_button, "control.import_folder", "data.import_folder")
        self.folder_button.clicked.connect(self.choose_folder)
        theme().keep_icon(self.folder_button, "folder")
        bind("data.import", self, self.choose_files)
        bind("data.import_folder", self, self.choose_folder)
        self.view = DatasetView(lab)
        self._panel: ImportPanel | None = None
        self._exporter: ExportPanel | None = None
        self.view.export_asked.connect(self._ask_export)
        self.empty = PlainLabel(
            "No data yet. Drop a file or a folder of data anywhere here, or press Import. JSON Lines, JSON, CSV, TSV, Parquet "
            "and Arrow are read, packed as .gz or .zst too.",
            role="muted",
            wrap=True,
        )
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.guide = GuideCard()
        self.guide.button.clicked.connect(self.guide_asked)
        self.stack = QStackedWidget()
        for widget in (self.empty, self.view):
            self.stack.addWidget(widget)
        self._lay_out()
        lab.datasets_changed.connect(self.refresh)
        lab.runs_changed.connect(self._runs_changed)
        self.stack.currentChanged.connect(self._offer_guide)
        self.refresh()
        self._offer_guide()

    @property
    def panel(self) -> "ImportPanel":
        """Where an import is looked at before it is done; made when it is first needed."""
        if self._panel is None:
            from rlhf_lab.gui.widgets.import_panel import ImportPanel

            self._panel = ImportPanel()
            self._panel.import_asked.connect(self._store)
            self._panel.look_asked.connect(self._look_again)
            self._panel.cancel_asked.connect(self._cancel)
            self.stack.addWidget(self._panel)
        return self._panel

    @property
    def exporter(self) -> "ExportPanel":
        """Where an export is prepared; made when it is first needed."""
        if self._exporter is None:
            from rlhf_lab.gui.widgets.export_panel import ExportPanel

            self._exporter = ExportPanel()
            self._exporter.export_asked.connect(self._export)
            self._exporter.cancel_asked.connect(self._cancel)
            self.stack.addWidget(self._exporter)
        return self._exporter

    # What is there

    def showEvent(self, event: QShowEvent) -> None:
        """Votes, and models that write, add records while another pane is in view."""
        super().showEvent(event)
        self._offer_guide()
        if self._lab.project.store.datasets() != self._rows:
            self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Read the list of data sets anew; the chosen one stays chosen, or what stands in its place."""
        chosen, place = self.list.currentItem(), self.list.currentRow()
        name = self._imported or (chosen.data(_NAME) if chosen is not None else "")
        self._imported = ""
        self._rows = rows = self._lab.project.store.datasets()
        self.list.blockSignals(True)
        self.list.clear()
        for row in rows:
            item = QListWidgetItem(one_line(row.name, 80))
            item.setData(SECOND_LINE, counted(row.records, row.kind))
            item.setData(WARNING, so_many(row.problems, "problem") if row.problems else "")
            item.setData(_NAME, row.name)
            item.setToolTip(plain_tip(f"{row.name}: {row.format}"))
            self.list.addItem(item)
        self.list.setCurrentRow(self._place(name, place))
        self.list.blockSignals(False)
        if self.stack.currentWidget() in (self.empty, self.view):
            self._show_records()

    def select(self, name: str, otherwise: int = 0) -> None:
        """Choose a data set by its name, else by its place; what is being stored stays in view until it is done."""
        if self._is_storing():
            return
        self.list.setCurrentRow(self._place(name, otherwise))
        self._show_records()

    def fill_in(self, fields: dict[str, str]) -> None:
        """Another pane asks for this data set."""
        self.select(fields["dataset"])

    def _place(self, name: str, otherwise: int) -> int:
        """Where a data set stands in the list; -1 in an empty one."""
        names = [self.list.item(row).data(_NAME) for row in range(self.list.count())]
        return names.index(name) if name in names else min(max(otherwise, 0), len(names) - 1)

    @Slot()
    def _chosen(self) -> None:
        if not self._storing:
            self._end()
            self._show_records()

    def _show_records(self) -> None:
        item = self.list.currentItem()
        rows = {row.name: row for row in self._lab.project.store.datasets()}
        if item is None or item.data(_NAME) not in rows:
            self.stack.setCurrentWidget(self.empty)
            return
        self.view.show_dataset(rows[item.data(_NAME)])
        self.stack.setCurrentWidget(self.view)

    @Slot()
    def _runs_changed(self) -> None:
        if self.isVisible():  # else it looks when it is shown
            self._offer_guide()

    @Slot()
    def _offer_guide(self) -> None:
        at_rest = self.stack.currentWidget() in (self.empty, self.view)
        self.guide.setVisible(at_rest and not self._lab.project.store.runs())

    # Import

    @Slot()
    def choose_files(self) -> None:
        """Ask for files, then show what they hold."""
        self._choose(QFileDialog.FileMode.ExistingFiles, "Import data")

    @Slot()
    def choose_folder(self) -> None:
        """Ask for a folder, then show what its files hold."""
        self._choose(QFileDialog.FileMode.Directory, "Import a folder of data")

    def _choose(self, mode: QFileDialog.FileMode, title: str) -> None:
        dialog = QFileDialog(self, title)
        dialog.setFileMode(mode)
        if mode == QFileDialog.FileMode.ExistingFiles:
            dialog.setNameFilters([_FILES, "All files (*)"])
        dialog.filesSelected.connect(self._files_chosen)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    @Slot(list)
    def _files_chosen(self, names: list[str]) -> None:
        self.look_at([Path(name) for name in names])

    def look_at(self, paths: list[Path]) -> None:
        """Show what the files hold, before anything is stored."""
        if self._is_storing():
            return
        if not paths:
            self._lab.message.emit("There is no file in what was dropped.")
            return
        self._dropped = paths
        task = self._begin(look_at(self._process, paths, self.panel.heldout()))
        task.done.connect(self._looked)
        self.panel.show_looking()
        self.stack.setCurrentWidget(self.panel)

    @Slot(object)
    def _looked(self, files: list[Looked]) -> None:
        self._task = None
        self.panel.show_files(files)

    @Slot(object)
    def _look_again(self, files: list[Looked]) -> None:
        task = self._begin(look_again(self._process, files, self.panel.heldout()))
        task.done.connect(self._looked_again)

    @Slot(object)
    def _looked_again(self, files: list[Looked]) -> None:
        self._task = None
        self.panel.show_again(files)

    @Slot()
    def _store(self) -> None:
        task = self._begin(
            store_files(self._process, wishes_for(self._dropped, self.panel.looked), self.panel.heldout()),
            "Importing files: those that are not in whole are left out.",
        )
        self._storing = True
        task.progressed.connect(self.panel.show_progress)
        task.done.connect(self._stored)
        self.panel.show_progress(0, 0)

    @Slot(object)
    def _stored(self, results: "list[ImportResult]") -> None:
        self._task, self._storing = None, False
        stored = [result.name for result in results if result.format]
        self._imported = stored[-1] if stored else ""
        self.stack.setCurrentWidget(self.view)
        self._lab.datasets_changed.emit()
        self._lab.message.emit(told(results))

    # Export

    @Slot(object)
    def _ask_export(self, row: "DatasetRow") -> None:
        if self._is_storing():
            return
        self.exporter.show_dataset(row)
        self.stack.setCurrentWidget(self.exporter)

    @Slot(object)
    def _export(self, wanted: Wanted) -> None:
        if self._is_storing():
            return
        task = self._begin(export_file(self._process, wanted), f"Exporting {wanted.dataset}: nothing of it is kept.")
        self._storing = True
        task.progressed.connect(self.exporter.show_progress)
        task.done.connect(self._exported)

    @Slot(object)
    def _exported(self, words: str) -> None:
        self._task, self._storing = None, False
        self._show_records()
        self._lab.message.emit(words)

    # Both

    @Slot(str)
    def _failed(self, reason: str) -> None:
        self._task, self._storing = None, False
        self._show_records()
        self._lab.message.emit(reason)

    @Slot()
    def _cancel(self) -> None:
        if self._storing and self._task is not None:
            self._task.cancel()  # it answers with the reason
        else:
            self._end()
            self._show_records()

    @Slot()
    def _rest(self) -> None:
        self._process.rest()

    def _is_storing(self) -> bool:
        """Whether files are being written or read, which nothing else may end; it is said then."""
        if self._storing:
            self._lab.message.emit("Another import or export is under way. Wait for it, or cancel it first.")
        return self._storing

    def _begin(self, work: Work, title: str = "") -> Background:
        self._end()
        self._task = self._lab.in_background(work, title)
        self._task.failed.connect(self._failed)
        return self._task

    def _end(self) -> None:
        """What is under way is not wanted any more."""
        if self._task is not None:
            self._task.done.disconnect()
            self._task.failed.disconnect()
            self._task.cancel()
        self._task, self._storing = None, False

    # Drops

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files are welcome."""
        if has_files(event.mimeData()):
            self.target.setProperty("surface", "drop")
            self._polish_target()
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Anywhere on the pane."""
        if has_files(event.mimeData()):
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """No highlight any more."""
        self.target.setProperty("surface", "")
        self._polish_target()

    def dropEvent(self, event: QDropEvent) -> None:
        """Look at the files."""
        self.target.setProperty("surface", "")
        self._polish_target()
        event.acceptProposedAction()
        self.look_at(dropped_paths(event.mimeData()))

    def _polish_target(self) -> None:
        self.target.style().unpolish(self.target)
        self.target.style().polish(self.target)

    def _lay_out(self) -> None:
        self.target = QFrame(self)
        side = QWidget()
        left = QVBoxLayout(side)
        left.setContentsMargins(0, 0, 0, 0)
        left.setSpacing(8)
        left.addWidget(self.list, 1)
        left.addWidget(PlainLabel("Drop files anywhere on this pane", role="caption"))
        split = QSplitter(Qt.Orientation.Horizontal, self.target)
        split.setChildrenCollapsible(False)
        split.setHandleWidth(16)
        split.addWidget(side)
        split.addWidget(self.stack)
        split.setStretchFactor(1, 1)
        split.setSizes([264, 800])
        head = QHBoxLayout()
        head.addWidget(PlainLabel("Data", role="title"))
        head.addStretch(1)
        head.addWidget(self.folder_button)
        head.addWidget(self.import_button)
        inside = QVBoxLayout(self.target)
        inside.setContentsMargins(16, 12, 16, 16)
        inside.setSpacing(12)
        inside.addLayout(head)
        inside.addWidget(self.guide)
        inside.addWidget(split, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.target)
