"""The runs of a recipe, what each stands on and how far it has come, as a table."""

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt

from rlhf_lab.core.naming import run_title
from rlhf_lab.core.recipe import REFERENCES, Step
from rlhf_lab.gui.models.runs_table import MARKS
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip
from rlhf_lab.runs.chain import Chain

COLUMNS = ("Step", "State", "Run", "Stands on", "Data")
_STATES = {"begun": "running", "waiting": "queued", "skipped": "skipped"}
"""How the marks of the Runs table call what a chain calls otherwise."""


class RecipeTable(QAbstractTableModel):
    """Steps that were not begun have no run; their state is empty until the recipe runs."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: Sequence[Step] = ()
        self._chain: Chain | None = None

    def show_steps(self, steps: Sequence[Step], chain: Chain | None = None) -> None:
        """Show these; ``chain`` says how far they have come."""
        self.beginResetModel()
        self._steps, self._chain = steps, chain
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """See `QAbstractItemModel`."""
        return 0 if parent.isValid() else len(self._steps)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """See `QAbstractItemModel`."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """See `QAbstractItemModel`."""
        wanted = orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole
        return COLUMNS[section] if wanted else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """See `QAbstractItemModel`."""
        if not index.isValid():
            return None
        step = self._steps[index.row()]
        text = self._text(step, COLUMNS[index.column()])
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(text, 100)
        if role == Qt.ItemDataRole.ToolTipRole:
            more = self._chain.messages.get(step.key, "") if self._chain is not None else ""
            return plain_tip("\n".join(part for part in (text, more) if part))
        return None

    def run_at(self, row: int) -> str | None:
        """The run of a step, once it has one."""
        return self._chain.runs.get(self._steps[row].key) if self._chain is not None else None

    def _text(self, step: Step, column: str) -> str:
        if column == "Step":
            return step.key
        if column == "Stands on":
            return ", ".join(_grounds(step.settings))
        if column == "Data":
            return str(step.settings.get("dataset", ""))
        if self._chain is None:
            return ""
        if column == "Run":
            run = self._chain.runs.get(step.key)
            return run_title(run) if run is not None else ""
        state = self._chain.state(step)
        return f"{MARKS.get(_STATES.get(state, state), '–')} {'in progress' if state == 'begun' else state}"


def _grounds(settings: Mapping[str, object]) -> list[str]:
    return list(dict.fromkeys(run_title(str(settings[field])) for field in REFERENCES if settings.get(field)))
