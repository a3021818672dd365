"""Models with a tick each: as high as they need, up to a few lines."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QListWidget, QListWidgetItem

from rlhf_lab.gui.models.contenders import Contender
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip

_MODEL = Qt.ItemDataRole.UserRole
_FEWEST_LINES, _MOST_LINES = 2, 7


class ModelList(QListWidget):
    """`itemChanged` says that other models are ticked."""

    def __init__(self, name: str):
        super().__init__()
        self.setAccessibleName(name)

    def offer(self, models: Sequence[Contender], first: Sequence[Contender]) -> None:
        """Offer models; ``first`` are ticked unless the person ticked others before."""
        ticked = self.ticked() or list(first)
        self.blockSignals(True)
        self.clear()
        for model in models:
            item = QListWidgetItem(one_line(model.title, 60))
            item.setData(_MODEL, model)
            item.setToolTip(plain_tip(model.tip))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if model in ticked else Qt.CheckState.Unchecked)
            self.addItem(item)
        self.blockSignals(False)
        lines = min(max(len(models), _FEWEST_LINES), _MOST_LINES)
        self.setFixedHeight(lines * self.sizeHintForRow(0) + 8 if models else 60)

    def tick(self, models: Sequence[Contender]) -> None:
        """Tick these and no others."""
        for item in self._items():
            wanted = item.data(_MODEL) in models
            item.setCheckState(Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked)

    def ticked(self) -> list[Contender]:
        """The ticked models, from the top."""
        return [item.data(_MODEL) for item in self._items() if item.checkState() == Qt.CheckState.Checked]

    def _items(self) -> list[QListWidgetItem]:
        return [self.item(row) for row in range(self.count())]
