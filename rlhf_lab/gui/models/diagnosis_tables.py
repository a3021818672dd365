"""The tables of a reward model's diagnosis as Qt models: rows of accuracy, and the pairs it gets most wrong."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from rlhf_lab.core.diagnosis import WorstPair
from rlhf_lab.gui.models.diagnosis import AccuracyRow
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip

Index = QModelIndex | QPersistentModelIndex
_NOBODY = QModelIndex()
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class AccuracyTable(QAbstractTableModel):
    """The interval's column has no text for the eye: it is drawn."""

    NAME, PAIRS, ACCURACY, INTERVAL, MARGIN = range(5)
    TITLES = ("", "Pairs", "Accuracy", "Interval", "Margin")

    def __init__(self, parent: QObject, first_title: str):
        super().__init__(parent)
        self._titles = (first_title, *self.TITLES[1:])
        self._rows: list[AccuracyRow] = []

    def show_rows(self, rows: Sequence[AccuracyRow]) -> None:
        """Show other ones."""
        self.beginResetModel()
        self._rows = list(rows)
        self.endResetModel()

    def row(self, at: int) -> AccuracyRow:
        """What a line shows."""
        return self._rows[at]

    def rowCount(self, parent: Index = _NOBODY) -> int:
        """See `QAbstractItemModel.rowCount`."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = _NOBODY) -> int:
        """See `QAbstractItemModel.columnCount`."""
        return 0 if parent.isValid() else len(self._titles)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """See `QAbstractItemModel.headerData`."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._titles[section]
        if role == Qt.ItemDataRole.TextAlignmentRole and section not in (self.NAME, self.INTERVAL):
            return _RIGHT
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """See `QAbstractItemModel.data`."""
        row, column = self._rows[index.row()], index.column()
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(row, column)
            case Qt.ItemDataRole.AccessibleTextRole:
                return row.interval if column == self.INTERVAL else self._text(row, column)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(row.words)
            case Qt.ItemDataRole.TextAlignmentRole if column not in (self.NAME, self.INTERVAL):
                return _RIGHT
        return None

    def _text(self, row: AccuracyRow, column: int) -> str:
        found = row.found
        texts = (one_line(row.name, 60), f"{found.pairs:,}", f"{found.accuracy:.1%}", "", row.margin)
        return texts[column]


class WorstTable(QAbstractTableModel):
    """One pair a row, the most wrong first; "Label" is there where the data say which labels are noise."""

    _TITLES = ("Margin", "Prompt", "Labelled better", "Labelled worse", "Label")
    _TIPS = (
        "Score of the answer that was labelled better minus that of the other: below 0 the reward model says the opposite",
        "",
        "",
        "",
        "Whether the label is known to be noise: the bundled world flips some on purpose",
    )

    def __init__(self, parent: QObject):
        super().__init__(parent)
        self._pairs: tuple[WorstPair, ...] = ()

    @property
    def pairs(self) -> tuple[WorstPair, ...]:
        """All that is shown."""
        return self._pairs

    def show_pairs(self, pairs: Sequence[WorstPair]) -> None:
        """Show other ones."""
        self.beginResetModel()
        self._pairs = tuple(pairs)
        self.endResetModel()

    def rowCount(self, parent: Index = _NOBODY) -> int:
        """See `QAbstractItemModel.rowCount`."""
        return 0 if parent.isValid() else len(self._pairs)

    def columnCount(self, parent: Index = _NOBODY) -> int:
        """See `QAbstractItemModel.columnCount`."""
        known = any(pair.flipped is not None for pair in self._pairs)
        return 0 if parent.isValid() else len(self._TITLES) - (not known)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """See `QAbstractItemModel.headerData`."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and section:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        texts = {Qt.ItemDataRole.DisplayRole: self._TITLES, Qt.ItemDataRole.ToolTipRole: self._TIPS}
        return texts[role][section] if role in texts else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """See `QAbstractItemModel.data`."""
        pair, column = self._pairs[index.row()], index.column()
        texts = (number(pair.margin), pair.prompt, pair.chosen, pair.rejected, _label(pair))
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return one_line(texts[column])
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(texts[column][:1000])
            case Qt.ItemDataRole.TextAlignmentRole if not column:
                return _RIGHT
        return None


def _label(pair: WorstPair) -> str:
    return "" if pair.flipped is None else "noise" if pair.flipped else "true"
