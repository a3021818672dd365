"""A data set as a table of any length: true row count, pages read by key as they come into view."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from rlhf_lab.core.records import AnyRecord, Several, Unpaired
from rlhf_lab.gui.models.answers import ONE_KIND, answers
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip

if TYPE_CHECKING:
    from rlhf_lab.store import Row

PAGE = 128
"""Rows read at once: a jump shows about a dozen, and each row of a page costs it 30 µs."""
PAGES_KEPT = 32
_CELL = 160
_TIP = 600

_COLUMNS: dict[str, tuple[str, ...]] = {
    "pair": ("#", "Split", "Prompt", "Chosen", "Rejected"),
    "demonstration": ("#", "Split", "Prompt", "Answer"),
    "unpaired": ("#", "Split", "Prompt", "Answer", "Liked"),
    "prompt": ("#", "Split", "Prompt"),
    "candidates": ("#", "Split", "Answers", "Prompt", "First answer", "Last answer"),
    "ranking": ("#", "Split", "Answers", "Prompt", "Best answer", "Worst answer"),
    "rated": ("#", "Split", "Answers", "Prompt", "Best answer", "Worst answer"),
}
_MIXED = ("#", "Kind", "Split", "Prompt", "Answer", "Other answer")
_SHORT = ("#", "Kind", "Split", "Liked", "Answers")
"""Columns that say all they have to say; the others have tooltips."""

Index = QModelIndex | QPersistentModelIndex


_NUMBER = (1 << 40) - 1
"""The bits of a record's id that number it within its data set."""


class Pages(Protocol):
    """Where the records come from: `rlhf_lab.store.Store.page_at` with the name filled in."""

    def __call__(self, position: int, limit: int) -> "Sequence[Row]":
        """Rows from the n-th one on."""


class RecordsTable(QAbstractTableModel):
    """Read-only. `show_pages` for a whole data set, `show_list` for a few records at hand."""

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._columns: tuple[str, ...] = _COLUMNS["prompt"]
        self._count = 0
        self._read: Pages | None = None
        self._pages: OrderedDict[int, Sequence[Row]] = OrderedDict()
        self._list: list[tuple[int, AnyRecord]] = []

    def show_pages(self, kind: str, count: int, read: Pages) -> None:
        """Show a data set of so many records; nothing is read before it is looked at."""
        self.beginResetModel()
        self._columns = _COLUMNS.get(kind, _MIXED)
        self._read, self._count = read, count
        self._pages.clear()
        self._list = []
        self.endResetModel()

    def show_list(self, kind: str, records: Sequence[tuple[int, AnyRecord]]) -> None:
        """Show records with their numbers."""
        self.beginResetModel()
        self._columns = _COLUMNS.get(kind, _MIXED)
        self._read, self._count = None, len(records)
        self._pages.clear()
        self._list = list(records)
        self.endResetModel()

    def grow(self, count: int) -> None:
        """More records have become known behind those that are shown."""
        if count > self._count:
            self._pages.pop(self._count // PAGE, None)  # it may have been read while it was shorter
            self.beginInsertRows(QModelIndex(), self._count, count - 1)
            self._count = count
            self.endInsertRows()

    def record(self, row: int) -> AnyRecord | None:
        """The record of a row; None where the data set has become shorter meanwhile."""
        if self._read is None:
            return self._list[row][1] if row < len(self._list) else None
        found = self._row(row)
        return found.record if found is not None else None

    def key(self, row: int) -> int | None:
        """The id of the record of a row, by which the store knows it."""
        found = self._row(row) if self._read is not None else None
        return found.id if found is not None else None

    def _row(self, row: int) -> "Row | None":
        assert self._read is not None
        number, offset = divmod(row, PAGE)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = self._read(number * PAGE, PAGE)
            if len(self._pages) > PAGES_KEPT:
                self._pages.popitem(last=False)
        self._pages.move_to_end(number)
        return page[offset] if offset < len(page) else None

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """All records, read or not."""
        return 0 if parent.isValid() else self._count

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """By the kind of the records."""
        return 0 if parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles of the columns."""
        if orientation == Qt.Orientation.Horizontal and section < len(self._columns):
            if role == Qt.ItemDataRole.DisplayRole:
                return self._columns[section]
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One visible line of each text; more of it as the tooltip."""
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(self._cell(index), _CELL)
        if role == Qt.ItemDataRole.ToolTipRole and self._columns[index.column()] not in _SHORT:
            text = self._cell(index)
            return plain_tip(text[:_TIP] + ("…" if len(text) > _TIP else ""))
        return None

    def _cell(self, index: Index) -> str:
        row, column = index.row(), self._columns[index.column()]
        if column == "#":
            return self._number(row)
        record = self.record(row)
        if record is None:
            return ""
        match column:
            case "Split":
                return "held out" if record.split == "heldout" else "train"
            case "Kind":
                return ONE_KIND[record.kind]
            case "Prompt":
                return record.prompt.text
            case "Liked":
                return ("yes" if record.label else "no") if isinstance(record, Unpaired) else ""
            case "Answers":
                return str(len(record.completions)) if isinstance(record, Several) else ""
        texts = [answer.text for answer in answers(record)]
        if column in ("Rejected", "Other answer", "Worst answer", "Last answer"):
            return texts[-1] if len(texts) > 1 else ""
        return texts[0] if texts else ""

    def _number(self, row: int) -> str:
        """What the record is called by: its place in the file, which no deletion of others changes."""
        if self._read is None:
            return str(self._list[row][0])
        key = self.key(row)
        return "" if key is None else f"{(key & _NUMBER) + 1:,}"
