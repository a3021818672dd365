"""The top line of the Rank pane: which data set, which queue, by whose scores; and the way to the other pages."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QComboBox, QHBoxLayout, QPushButton, QToolButton, QWidget

from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.models.rank_words import FRESH, PICKED, QUEUES, Picked
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.name_box import NameBox
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip

Named = tuple[str, str]
"""What the code calls it, and its words."""

_LONGEST_NAME = 60
"""Letters of a data set that are seen where there is room."""


class RankHead(QWidget):
    """Says what the person chose; the pane decides what follows from it."""

    dataset_chosen = Signal(str)
    queue_chosen = Signal(str)
    model_chosen = Signal(str)
    page_chosen = Signal(str)
    """ "rank" or "agreement"."""
    guidelines_toggled = Signal(bool)
    score_asked = Signal()
    """Have the chosen model score what it has not seen."""
    person_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.dataset = _combo("Data set", 20)
        self.dataset.setMaximumWidth(self.fontMetrics().averageCharWidth() * _LONGEST_NAME)
        self.dataset.currentIndexChanged.connect(self._tell_name)
        self.queue = _combo("Queue", 18)
        for queue in QUEUES:
            self.queue.addItem(queue.title, queue.name)
            self.queue.setItemData(self.queue.count() - 1, plain_tip(queue.tip), Qt.ItemDataRole.ToolTipRole)
        self.queue.insertSeparator(self.queue.count())
        self.queue.addItem(f"{FRESH.title}…", FRESH.name)
        self.queue.setItemData(self.queue.count() - 1, plain_tip(FRESH.tip), Qt.ItemDataRole.ToolTipRole)
        self.model = _combo("Reward model that orders the queue", 9)
        self.score = QPushButton()
        self.score.setToolTip("Records that this reward model has not read yet are not in the queue")
        self.score.hide()
        self.score.clicked.connect(self.score_asked)
        self.rank, self.agreement = QPushButton("Rank"), QPushButton("Agreement")
        self.rank.setToolTip("Judge one record after the other")
        self.agreement.setToolTip("How far people agree, and whether the labels are good enough to train on")
        self._pages = QButtonGroup(self)
        for name, button in (("rank", self.rank), ("agreement", self.agreement)):
            button.setCheckable(True)
            button.setAccessibleName(button.text())
            button.clicked.connect(lambda _=False, n=name: self.page_chosen.emit(n))
            self._pages.addButton(button)
        self.rank.setChecked(True)
        self.guidelines = QToolButton()
        self.guidelines.setCheckable(True)
        self.guidelines.setAccessibleName("Guidelines")
        # Not the button's own shortcut, which acts 100 ms later, after showing itself pressed.
        bind("rank.guidelines", self, self.guidelines.click)
        explain(self.guidelines, "control.guidelines", "rank.guidelines")
        explain(self.queue, "control.queue")
        theme().keep_icon(self.guidelines, "guidelines")
        self.guidelines.toggled.connect(self.guidelines_toggled)
        self.person = QPushButton()
        self.person.setToolTip("Somebody else ranks")
        theme().keep_icon(self.person, "person")
        self.person.clicked.connect(self.person_asked)
        self.dataset.activated.connect(lambda at: self.dataset_chosen.emit(self.dataset.itemData(at)))
        self.queue.activated.connect(lambda at: self.queue_chosen.emit(self.queue.itemData(at)))
        self.model.activated.connect(lambda at: self.model_chosen.emit(self.model.itemData(at)))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for combo in (self.dataset, self.queue, self.model):
            row.addWidget(combo, 3 if combo is self.dataset else 0)  # up to its greatest width
        row.addWidget(self.score)
        row.addStretch(1)
        pages = QHBoxLayout()
        pages.setSpacing(4)
        pages.addWidget(self.rank)
        pages.addWidget(self.agreement)
        row.addLayout(pages)
        row.addWidget(self.guidelines)
        row.addWidget(self.person)

    @property
    def dataset_name(self) -> str:
        """The data set that is shown as chosen."""
        return str(self.dataset.currentData() or "")

    @property
    def first_dataset(self) -> str:
        """What to open where nothing was chosen."""
        return str(self.dataset.itemData(0) or "")

    @property
    def model_run(self) -> str:
        """The reward run that orders the queue; "" where there is none."""
        return str(self.model.currentData() or "")

    def offer_datasets(self, names: Sequence[str], chosen: str) -> None:
        """Offer data sets."""
        _fill(self.dataset, [(name, name) for name in names], chosen)
        self.dataset.setEnabled(bool(names))
        if not names:
            self.dataset.addItem("No data set to rank", "")

    def offer_picked(self, picked: Picked) -> None:
        """Offer the records that were sent here, as the last queue."""
        if self.queue.findData(PICKED.name) < 0:
            self.queue.addItem("", PICKED.name)
        at = self.queue.findData(PICKED.name)
        self.queue.setItemText(at, one_line(picked.title, 60))
        self.queue.setItemData(at, plain_tip(f"{picked.title}, of {picked.dataset}"), Qt.ItemDataRole.ToolTipRole)

    def offer_models(self, named: Sequence[Named], *, seen: bool) -> None:
        """Offer reward models; they are seen where the queue is ordered by one."""
        _fill(self.model, named, self.model_run)
        self.model.setVisible(seen and bool(named))
        if not seen:
            self.show_unscored(0)

    def show_chosen(self, dataset: str, queue: str) -> None:
        """Show which data set and which queue are open."""
        self.dataset.setCurrentIndex(max(0, self.dataset.findData(dataset)))
        self.queue.setCurrentIndex(max(0, self.queue.findData(queue)))

    @Slot()
    def _tell_name(self) -> None:
        """The box cuts what is longer than it."""
        self.dataset.setToolTip(plain_tip(self.dataset_name))

    def show_unscored(self, records: int) -> None:
        """So many records have no scores of the model yet."""
        self.score.setText(f"Score {records:,} more")
        self.score.setVisible(records > 0)

    def show_page(self, name: str) -> None:
        """Show which page is open."""
        (self.agreement if name == "agreement" else self.rank).setChecked(True)

    def show_person(self, name: str) -> None:
        """Show who ranks."""
        self.person.setText(f" {one_line(name, 24)}".replace("&", "&&"))
        self.person.setAccessibleName(f"{name} ranks")


def _combo(name: str, letters: int) -> QComboBox:
    made = NameBox()
    made.setAccessibleName(name)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(letters)
    return made


def _fill(combo: QComboBox, named: Sequence[Named], chosen: str) -> None:
    combo.clear()
    for name, words in named:
        combo.addItem(one_line(words, 60), name)
        combo.setItemData(combo.count() - 1, plain_tip(words), Qt.ItemDataRole.ToolTipRole)
    combo.setCurrentIndex(max(0, combo.findData(chosen)))
