"""Which column of a file plays which role, and which rating ranks its answers: as detected, to be corrected."""

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from rlhf_lab.data.mapping import ROLES, Mapping
from rlhf_lab.gui.file_import import Looked
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip

LABELS = {
    "prompt": "Prompt",
    "system": "System message",
    "chosen": "Better answer",
    "rejected": "Worse answer",
    "response_a": "First answer",
    "response_b": "Second answer",
    "preference": "Which is better",
    "completion": "Answer",
    "label": "Liked or not",
    "annotator": "Annotator",
    "source": "Source",
    "language": "Language",
}
_VERDICTS = (("as it says", ""), ("first is better", "a"), ("second is better", "b"), ("a tie", "tie"))
_PER_ROW = 4
_NOTHING = "–"


class MappingForm(QWidget):
    """``changed`` comes with every choice of the person, not when a file is shown."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._detected: dict[str, str] = {}
        self._rating = ""
        self.roles: dict[str, QComboBox] = {}
        self.verdicts: dict[str, QComboBox] = {}
        self.rating = self._box("Rating that ranks the answers")
        self.rating.setToolTip("Each answer has several ratings. The one chosen here says which answer is better.")
        self.reset = QPushButton("As detected")
        self.reset.setProperty("look", "link")
        self.reset.setToolTip("Forget what was chosen here")
        self.reset.clicked.connect(self._reset)
        self._lay_out()

    def show_columns(self, file: Looked) -> None:
        """Offer a file's columns, with the roles that they play now."""
        found = file.preview
        self._detected, self._rating = dict(file.own_roles), file.own_rating
        roles = dict(file.roles)
        for role, box in self.roles.items():
            with QSignalBlocker(box):
                box.clear()
                box.addItem(_NOTHING, "")
                for column in dict.fromkeys((*file.columns, *roles.values())):
                    box.addItem(one_line(column, 60), column)
                    box.setItemData(box.count() - 1, plain_tip(column), Qt.ItemDataRole.ToolTipRole)
                box.setCurrentIndex(max(0, box.findData(roles.get(role, ""))))
        ratings = found.rating_choices if found is not None else ()
        with QSignalBlocker(self.rating):
            self.rating.clear()
            for name in ratings:
                self.rating.addItem(one_line(name, 60), name)
            self.rating.setCurrentIndex(max(0, self.rating.findData(found.rating if found is not None else "")))
        for widget in (self.rating, self._rating_label):
            widget.setVisible(len(ratings) > 1)
        self._show_verdicts(file)
        self.reset.setVisible(file.mapping is not None and bool(self._detected or self._rating))

    def mapping(self) -> Mapping | None:
        """What the person said; None where all is as it was detected."""
        columns = {role: box.currentData() for role, box in self.roles.items() if box.currentData()}
        rating = self.rating.currentData() or None
        said = Mapping(
            columns={} if columns == self._detected else columns,
            verdicts={value: box.currentData() for value, box in self.verdicts.items() if box.currentData()},
            rating=None if rating == (self._rating or None) else rating,
        )
        return said if said != Mapping() else None

    def _show_verdicts(self, file: Looked) -> None:
        for box in self.verdicts.values():
            box.deleteLater()
        while (item := self._values.takeAt(0)) is not None:
            item.widget().deleteLater()
        self.verdicts = {}
        said = file.mapping.verdicts if file.mapping is not None else {}
        if file.verdicts:
            self._values.addWidget(PlainLabel("In “Which is better”", role="caption"))
        for value in file.verdicts:
            box = self.verdicts[value] = self._box(f"What {value} means")
            with QSignalBlocker(box):
                for words, verdict in _VERDICTS:
                    box.addItem(words, verdict)
                box.setCurrentIndex(max(0, box.findData(said.get(value, ""))))
            self._values.addWidget(PlainLabel(f"{one_line(value, 16)}:"))
            self._values.addWidget(box, 1)

    @Slot()
    def _choose(self) -> None:
        self.reset.show()
        self.changed.emit()

    @Slot()
    def _reset(self) -> None:
        for role, box in self.roles.items():
            with QSignalBlocker(box):
                box.setCurrentIndex(max(0, box.findData(self._detected.get(role, ""))))
        for box in self.verdicts.values():
            with QSignalBlocker(box):
                box.setCurrentIndex(0)
        with QSignalBlocker(self.rating):
            self.rating.setCurrentIndex(max(0, self.rating.findData(self._rating)))
        self.reset.hide()
        self.changed.emit()

    def _box(self, title: str) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(title)
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        box.setMinimumWidth(96)
        box.currentIndexChanged.connect(self._choose)
        return box

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        for place, (role, what) in enumerate(ROLES.items()):
            title = LABELS.get(role, role)
            box = self.roles[role] = self._box(f"Column of: {title}")
            box.setToolTip(plain_tip(what))
            label = PlainLabel(title, role="caption")
            label.setBuddy(box)
            row, column = divmod(place, _PER_ROW)
            grid.addWidget(label, 2 * row, column)
            grid.addWidget(box, 2 * row + 1, column)
        for column in range(_PER_ROW):
            grid.setColumnStretch(column, 1)
        self._rating_label = PlainLabel("Answers are ranked by", role="caption")
        self._rating_label.setBuddy(self.rating)
        last = QGridLayout()
        last.setContentsMargins(0, 4, 0, 0)
        last.setHorizontalSpacing(8)
        last.setColumnStretch(1, 1)
        last.setColumnStretch(2, 2)
        last.addWidget(self._rating_label, 0, 0)
        last.addWidget(self.rating, 0, 1)
        last.addWidget(self.reset, 0, 3)
        column_layout = QVBoxLayout(self)
        column_layout.setContentsMargins(0, 0, 0, 0)
        column_layout.setSpacing(0)
        column_layout.addLayout(grid)
        self._values = QHBoxLayout()
        self._values.setContentsMargins(0, 4, 0, 0)
        self._values.setSpacing(8)
        column_layout.addLayout(self._values)
        column_layout.addLayout(last)
