"""In which settings the selected runs differ, as a table: a row a setting, a column a run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt

from rlhf_lab.core.config import STAGES
from rlhf_lab.core.naming import STAGE_NAMES, run_title
from rlhf_lab.core.recipe import REFERENCES
from rlhf_lab.gui.models.form import title_of
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip
from rlhf_lab.store import Store

DEFAULT = "Default"
ABSENT = "–"
"""Of a stage that has no such setting."""
MOST = 20
"""Runs that are compared."""


@dataclass(frozen=True)
class Difference:
    """One setting: its name in a config, what people call it, and its value in each column."""

    field: str
    title: str
    values: tuple[str, ...]


def differences(store: Store, runs: Sequence[str]) -> tuple[list[str], list[Difference]]:
    """Heads of the columns, and settings whose values are not all alike; one run is held against the defaults."""
    chosen = list(runs[:MOST])
    configs = [_whole(json.loads(store.run_config(run))) for run in chosen]
    heads = [run_title(run) for run in chosen]
    if len(configs) == 1:
        configs.append(_defaults(configs[0]))
        heads.append(DEFAULT)
    fields = dict.fromkeys(name for config in configs for name in config)
    rows = [
        Difference(name, _title(name, configs), tuple(_text(name, c.get(name, ABSENT)) for c in configs))
        for name in sorted(fields, key=lambda name: name != "stage")
        if name != "note"
    ]
    return heads, [row for row in rows if len(set(row.values)) > 1]


class DifferencesTable(QAbstractTableModel):
    """Read-only; the first column names the setting."""

    def __init__(self) -> None:
        super().__init__()
        self._heads: list[str] = []
        self._rows: list[Difference] = []

    def show_differences(self, heads: Sequence[str], rows: Sequence[Difference]) -> None:
        """Show others."""
        self.beginResetModel()
        self._heads, self._rows = ["Setting", *heads], list(rows)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """See `QAbstractItemModel`."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """See `QAbstractItemModel`."""
        return 0 if parent.isValid() else len(self._heads)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """See `QAbstractItemModel`."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._heads[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """See `QAbstractItemModel`."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        text = row.title if index.column() == 0 else row.values[index.column() - 1]
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(text, 80)
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(row.field if index.column() == 0 else text)
        return None


def _whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config of an earlier version has today's defaults where it said nothing."""
    return _defaults(config) | dict(config)


def _defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    stage = STAGES.get(str(config.get("stage")))
    fields = stage.model_fields if stage is not None else {}
    return {
        name: "" if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in fields.items()
    }


def _title(name: str, configs: Sequence[Mapping[str, Any]]) -> str:
    if name == "stage":
        return "Stage"
    return title_of(name, [str(config.get("stage")) for config in configs])


def _text(name: str, value: Any) -> str:
    if name == "stage":
        return STAGE_NAMES.get(value, str(value))
    if name in REFERENCES and value:
        return run_title(str(value))
    match value:
        case None | "":
            return "none"
        case bool():
            return "on" if value else "off"
        case float():
            return number(value)
        case _:
            return str(value)
