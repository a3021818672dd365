"""The records of a data set: search and filters, the table, one of them to read or edit, and undo for all changes."""

from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord
from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.records_table import Pages, RecordsTable
from rlhf_lab.gui.record_changes import RecordChanges
from rlhf_lab.gui.record_finding import finding, sources
from rlhf_lab.gui.search_making import SearchMaking
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.filter_bar import FilterBar
from rlhf_lab.gui.widgets.reading_view import ReadingView
from rlhf_lab.gui.widgets.record_list import RecordView

if TYPE_CHECKING:
    from rlhf_lab.gui.widgets.record_editor import RecordEditor
    from rlhf_lab.store import DatasetRow, Row

MOST_REMOVED = 10_000
"""Records that are deleted with one key; for more, the data set is filtered and exported, or deleted."""

_KEPT = "Your change of the record was kept. Ctrl+Z takes it back."
_PATIENCE_MS, _LAST_MS = 5000, 50
"""How long a window that closes waits for another process's lock: when it asks, and at the very end."""
_TABLE_WHILE_EDITING = 140
"""Height in pixels; the texts need the room."""


class RecordsView(QWidget):
    """Shows the data set that the pane has chosen. What a person changes is stored at once and can be undone."""

    changed = Signal()
    """Records were edited, deleted or brought back."""

    def __init__(self, lab: Lab, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab = lab
        self._row: DatasetRow | None = None
        self._finding: Background | None = None
        self._found: array[int] | None = None
        """Ids of what is shown under filters; None while all is shown."""
        self._changes = RecordChanges(lab, self)
        self._changes.written.connect(self._written)
        self._changes.failed.connect(self._not_written)
        lab.keeping.connect(self._keep_all)
        lab.closing.connect(self._close)
        self.bar = FilterBar()
        self.bar.changed.connect(self._find)
        self.bar.opened.connect(self._look_for_sources)
        self._making = SearchMaking(lab, self)
        self._making.told.connect(self.bar.say_indexing)
        self.model = RecordsTable(self)
        self.table = RecordView(self.model, "Records")
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.selectionModel().currentRowChanged.connect(self._read)
        self.table.doubleClicked.connect(self._edit)
        self.reading = ReadingView()
        self._editor: RecordEditor | None = None
        self._edited: int | None = None
        self._telling = self._stale = False
        self.place = QStackedWidget()
        self.place.addWidget(self.reading)
        self.edit = self._tool("rename", "Edit this record (F2)")
        self.edit.clicked.connect(self._edit)
        self.remove = self._tool("trash", "Delete the chosen records (Del); it can be undone")
        self.remove.clicked.connect(self._remove)
        self.undo = self._tool("undo", "Undo the last change to this data set (Ctrl+Z)")
        self.undo.clicked.connect(self._undo)
        self.redo = self._tool("redo", "Redo it (Ctrl+Shift+Z)")
        self.redo.clicked.connect(self._redo)
        in_table, in_view = Qt.ShortcutContext.WidgetShortcut, Qt.ShortcutContext.WidgetWithChildrenShortcut
        bind("records.edit", self.table, self._edit, in_table)
        bind("records.remove", self.table, self._remove, in_table)
        bind("records.find", self, self.bar.search.setFocus)
        bind("records.undo", self, self._undo, in_view)
        bind("records.redo", self, self._redo, in_view)
        self._lay_out()

    @property
    def editor(self) -> "RecordEditor":
        """What takes the reading view's place while a record is edited; made when it is first needed."""
        if self._editor is None:
            from rlhf_lab.gui.widgets.record_editor import RecordEditor

            self._editor = RecordEditor()
            self._editor.saved.connect(self._save)
            self._editor.left.connect(self._stop_editing)
            self.place.addWidget(self._editor)
        return self._editor

    @property
    def editing(self) -> bool:
        """Whether a record is open to be changed."""
        return self.place.currentWidget() is not self.reading

    @property
    def busy(self) -> bool:
        """Whether changes are still to be stored; `changed` tells when they are."""
        return self._changes.busy

    def keep(self) -> None:
        """Leave the editor as Save does; raises `LabError` where what was typed can be no record, and it stays there."""
        if (record := self._typed()) is not None:
            self._save(record)
            self._lab.message.emit(_KEPT)
        elif not self.busy:
            self._stop_editing()

    def show_dataset(self, row: "DatasetRow") -> None:
        """Show a data set from its first record on; the one that is shown already keeps its place."""
        before, self._row = self._row, row
        if before is not None and (before.name, before.created) == (row.name, row.created):
            if before != row and not self._telling:
                self._reload()
            return
        if before is not None:
            self._keep(before.name)
        self._stop_finding()
        self.bar.show_dataset(row.kind)
        self._show_all()
        self._making.make(row)

    # Records

    def _show_all(self) -> None:
        row, store = self._row, self._lab.project.store
        assert row is not None
        self._offer_steps()
        self._found = None
        self.bar.say("")
        self.model.show_pages(row.kind, row.records, self._guarded(lambda at, most: store.page_at(row.name, at, most)))
        self.table.choose(0)
        if not row.records:
            self._read(QModelIndex())

    @Slot()
    def _find(self) -> None:
        self._stop_finding()
        if self._row is None:
            return
        filters = self.bar.filters()
        if not filters.is_set:
            self._show_all()
            return
        name, store, found = self._row.name, self._lab.project.store, array("q")
        self._found = found
        read = self._guarded(lambda at, most: store.rows(name, found[at : at + most]))
        self.model.show_pages(self._row.kind, 0, read)
        self._read(QModelIndex())
        self.bar.say("Searching…")
        self._finding = self._lab.in_background(finding(name, filters))
        self._finding.part.connect(self._add_found)
        self._finding.done.connect(self._all_found)
        self._finding.failed.connect(self._lab.message)

    @Slot(object)
    def _add_found(self, ids: "array[int]") -> None:
        if self.sender() is not self._finding or self._found is None:
            return
        first = not self._found
        self._found.extend(ids)
        self.model.grow(len(self._found))
        if first:
            self.table.choose(0)
        self.bar.say(f"{len(self._found):,} matches so far…")

    @Slot(object)
    def _all_found(self, _: object) -> None:
        if self.sender() is self._finding and self._found is not None:
            self.bar.say("1 match" if len(self._found) == 1 else f"{len(self._found):,} matches")

    @Slot()
    def _look_for_sources(self) -> None:
        if self._row is not None:
            self._lab.in_background(sources(self._row.name)).done.connect(self._offer_sources)

    @Slot(object)
    def _offer_sources(self, found: tuple[str, list[str]]) -> None:
        name, sources = found
        if self._row is not None and name == self._row.name:
            self.bar.offer_sources(sources)

    def _stop_finding(self) -> None:
        self.bar.wait_no_longer()
        if self._finding is not None:
            self._finding.cancel()
        self._finding = None

    def _guarded(self, read: Pages) -> Pages:
        """Pages are read while the table is painted: what goes wrong is told in the window."""

        def guarded(position: int, limit: int) -> "Sequence[Row]":
            try:
                return read(position, limit)
            except LabError as error:
                self._lab.message.emit(str(error))
                return []

        return guarded

    @Slot(QModelIndex)
    def _read(self, index: QModelIndex) -> None:
        if self._row is not None:
            self._keep(self._row.name)
        record = self.model.record(index.row()) if index.isValid() else None
        self.reading.show_record(record)
        self.edit.setEnabled(record is not None)
        self.remove.setEnabled(record is not None)

    # Changes

    @Slot()
    def _edit(self) -> None:
        index = self.table.currentIndex()
        record = self.model.record(index.row()) if index.isValid() else None
        if record is None or self.editing:
            return
        try:
            self.editor.show_record(record)
        except LabError as error:
            self._lab.message.emit(str(error))
            return
        self._edited = self.model.key(index.row())
        self.editor.setEnabled(True)
        self.place.setCurrentWidget(self.editor)
        self._sizes = self._split.sizes()
        self._split.setSizes([_TABLE_WHILE_EDITING, sum(self._sizes) - _TABLE_WHILE_EDITING])

    @Slot()
    def _stop_editing(self) -> None:
        if self.editing:
            self.place.setCurrentWidget(self.reading)
            self._split.setSizes(self._sizes)
            self.table.setFocus()
            if self._stale:
                QTimer.singleShot(0, self, self._reload)

    @Slot(object)
    def _save(self, record: AnyRecord) -> None:
        """Until it is stored, what was typed stays where it is."""
        assert self._row is not None
        assert self._edited is not None
        self.editor.setEnabled(False)
        self._changes.edit(self._row.name, self._edited, record)

    def _typed(self) -> AnyRecord | None:
        """The record as it was changed; None where nothing was, or where it is being stored already."""
        return self.editor.changed() if self.editing and self.editor.isEnabled() else None

    def _keep(self, name: str) -> None:
        """Somebody who goes elsewhere without saving does not lose what was typed: it can be undone."""
        if not self.editing:
            return
        try:
            record = self._typed()
            if record is not None and self._edited is not None:
                self._changes.edit(name, self._edited, record)
                self._lab.message.emit(_KEPT)
        except LabError as error:
            self._lab.message.emit(f"Your change of the record was not kept. {error}")
        self._stop_editing()

    @Slot(object)
    def _keep_all(self, unkept: list[str]) -> None:
        """The window is about to close: there is some patience with a lock, and what cannot be stored is said."""
        try:
            if (record := self._typed()) is not None:
                self._save(record)
        except LabError as error:
            unkept.append(f"What you typed into a record: {error}")
        if not self.busy:
            return
        if reason := self._changes.finish(_PATIENCE_MS):
            unkept.append(f"Changes of records: {reason}")
        else:
            self._written()

    @Slot()
    def _close(self) -> None:
        """The window closes: what could not be stored when it was asked for has a last chance."""
        self._stop_finding()
        with suppress(LabError):  # it was said
            if (record := self._typed()) is not None:
                self._save(record)
        self._changes.finish(_LAST_MS, last=True)

    @Slot()
    def _remove(self) -> None:
        assert self._row is not None
        # Ranges: asking for the rows of a selected million would make an object of each.
        ranges = sorted((part.top(), part.bottom()) for part in self.table.selectionModel().selection())
        if sum(last - first + 1 for first, last in ranges) > MOST_REMOVED:
            self._lab.message.emit(f"Up to {MOST_REMOVED:,} records can be deleted at once. Choose fewer.")
            return
        if self._found is not None:
            found = self._found
            self._changes.remove_found(self._row.name, [key for a, b in ranges for key in found[a : b + 1]])
        else:
            keys = [(self.model.key(a), self.model.key(b), b - a + 1) for a, b in ranges]
            self._changes.remove(self._row.name, [(a, b, n) for a, b, n in keys if a is not None and b is not None])
        if ranges:
            self.table.choose(ranges[0][0])  # what moves up is read next

    @Slot()
    def _undo(self) -> None:
        if self._row is not None:
            self._keep(self._row.name)
            self._changes.undo(self._row.name)

    @Slot()
    def _redo(self) -> None:
        if self._row is not None:
            self._changes.redo(self._row.name)

    @Slot()
    def _written(self) -> None:
        if self._editor is not None and not self._editor.isEnabled():  # what it holds is stored
            self._stop_editing()
        self._telling = True
        self._lab.datasets_changed.emit()
        self._telling = False
        self._reload()
        self.changed.emit()

    @Slot(str)
    def _not_written(self, reason: str) -> None:
        if self._editor is not None:
            self._editor.setEnabled(True)
        self._lab.message.emit(reason)

    def _offer_steps(self) -> None:
        assert self._row is not None
        for button, steps in zip(
            (self.undo, self.redo), self._lab.project.store.edit_steps(self._row.name), strict=True
        ):
            button.setEnabled(steps > 0)

    @Slot()
    def _reload(self) -> None:
        """Records have changed: look again, at the same place; nobody is interrupted who edits one."""
        self._stale = self.editing
        if self._stale:
            return
        at, height = max(self.table.currentIndex().row(), 0), self.table.verticalScrollBar().value()
        if self.bar.filters().is_set:
            self._find()
            return
        self._show_all()
        self.table.verticalScrollBar().setValue(height)
        self.table.choose(min(at, self.model.rowCount() - 1))

    def _tool(self, icon: str, title: str) -> QToolButton:
        button = QToolButton()
        button.setProperty("look", "quiet")
        button.setToolTip(title)
        button.setAccessibleName(title)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        theme().keep_icon(button, icon)
        return button

    def _lay_out(self) -> None:
        for button in (self.edit, self.remove, self.undo, self.redo):
            self.bar.tools.addWidget(button)
        self._split = split = QSplitter(Qt.Orientation.Vertical, self)
        split.setChildrenCollapsible(False)
        split.setHandleWidth(8)
        split.addWidget(self.table)
        split.addWidget(self.place)
        split.setSizes([240, 260])
        self._sizes = split.sizes()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.bar)
        column.addWidget(split, 1)
