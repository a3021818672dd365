"""The models of the project in one table: what they are, their room on the disk, who uses them, whether they load."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.naming import run_title
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.enter_key import EnterKey
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip
from rlhf_lab.gui.widgets.row_table import word_table
from rlhf_lab.gui.widgets.task_bar import TaskBar
from rlhf_lab.runs.model_shelf import Shelved, in_words

COLUMNS = ("Model", "Kind", "Architecture", "Parameters", "Numbers", "On disk", "Used by", "Check")
_WIDEST = {
    "Kind": "hub download",
    "Architecture": "LoRA, rank 1024",
    "Parameters": "Parameters",
    "Numbers": "Numbers",
    "On disk": "1,000.0 MB",
    "Used by": "Reward 10 and 10 more",
}
_FIGURES, _RIGHT = ("Parameters", "On disk"), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
ABOUT = (
    "What runs can start from and Compare can ask. Only safetensors of model types that the lab knows are loaded. Nothing "
    "is fetched from the network unless you ask for it here."
)
CHECKING = "being checked…"


class ModelsDialog(QDialog):
    """It only asks: who opens it does the work, and calls `show_models` again."""

    folder_chosen = Signal(object)
    file_chosen = Signal(object)
    look_asked = Signal(str)
    download_asked = Signal()
    cancel_asked = Signal()
    removal_asked = Signal(object)
    """A `Shelved`: what would be lost is to be said with `ask_removal`."""
    removal_confirmed = Signal(object, bool)
    """A `Shelved`, and whether its files go for good rather than into the trash."""
    use_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._models: Sequence[Shelved] = []
        self._checked: Mapping[str, str] = {}
        self._leaving: Shelved | None = None
        self._busy = False
        self.setWindowTitle("Models")
        self.resize(1120, 600)
        self.table = word_table(COLUMNS, _WIDEST, "Models")
        for name in _FIGURES:
            self.table.horizontalHeaderItem(COLUMNS.index(name)).setTextAlignment(_RIGHT)
        self.says = PlainLabel(ABOUT, role="muted", wrap=True)
        self.detail = PlainLabel(role="caption", wrap=True)
        self.problem = PlainLabel(role="bad", wrap=True)
        self.add = QPushButton("Add folder…")
        self.load = QPushButton("Import GGUF…")
        self.fetch = QPushButton("Download…")
        self.remove = QPushButton("Remove…")
        self.use = QPushButton("Use")
        self.use.setProperty("look", "primary")
        self.leave = QPushButton("Close")
        for button, icon in ((self.add, "folder"), (self.load, "import"), (self.fetch, "add"), (self.remove, "trash")):
            theme().keep_icon(button, icon)
        self.add.setToolTip("A folder with config.json and safetensors stays where it is and joins the list")
        self.load.setToolTip("Dequantises a .gguf file into the project, once, in fp32")
        self.fetch.setToolTip("Fetch a model from the Hugging Face hub: safetensors, config and tokenizer alone")
        self.hub = QLineEdit()
        self.hub.setAccessibleName("Model on the hub")
        self.hub.setPlaceholderText("someone/some-model, or the address of its page")
        self.look = QPushButton("Look it up")
        self.look.setToolTip("Asks the hub what it is and how large; nothing is kept yet")
        self.offered = PlainLabel(role="muted", wrap=True)
        self.download = QPushButton("Download")
        self.download.setProperty("look", "primary")
        self.fetching = _card(self.hub, self.look)
        self.question = PlainLabel(wrap=True)
        self.trash, self.for_good, self.no = (
            QPushButton("Move to trash"),
            QPushButton("Delete for good"),
            QPushButton("Keep"),
        )
        self.asking = _card(self.question, self.no, self.for_good, self.trash)
        self.task = TaskBar("Progress", _progress_words)
        self.doing = PlainLabel(role="strong")
        self.cancel = QPushButton("Cancel")
        self.working = _card(self.task, self.cancel, before=self.doing)
        self._lay_out()
        self._connect()
        self.show_idle()
        self.offer_use("")
        self.show_models([], {})

    def show_models(self, models: Sequence[Shelved], checked: Mapping[str, str]) -> None:
        """Show these; ``checked``: the problem, or "", of each that was looked through already."""
        before = self.chosen()
        self._models, self._checked = models, checked
        self.table.setRowCount(len(models))
        for row, model in enumerate(models):
            waits = model.kind != "run" and not model.quick_problem and model.name not in checked
            cells = in_words(model, checked.get(model.name), run_called=run_title)
            cells[-1] = CHECKING if waits else cells[-1]
            for column, text in enumerate(cells):
                item = QTableWidgetItem(one_line(text, 200))
                item.setToolTip(plain_tip(text if column else str(model.folder)))
                if COLUMNS[column] in _FIGURES:
                    item.setTextAlignment(_RIGHT)
                self.table.setItem(row, column, item)
        names = [model.name for model in models]
        if models:
            self.table.selectRow(names.index(before.name) if before is not None and before.name in names else 0)
        self._show_chosen()

    def chosen(self) -> Shelved | None:
        """The model whose row is chosen."""
        row = self.table.currentRow()
        return self._models[row] if 0 <= row < len(self._models) else None

    def offer_use(self, stage: str) -> None:
        """For whom a model is being chosen ("SFT"); "" for nobody."""
        self.use.setVisible(bool(stage))
        self.use.setText(f"Use for {stage}")

    def show_busy(self, doing: str) -> None:
        """Something is being done, one thing at a time."""
        self._busy = True
        self.doing.setText(doing)
        self.task.begin()
        self.working.show()
        self.fetching.hide()
        self.asking.hide()
        self.show_problem("")
        self._show_chosen()

    def show_idle(self) -> None:
        """Nothing is being done."""
        self._busy = False
        for card in (self.working, self.fetching, self.asking):
            card.hide()
        self._show_chosen()

    def show_problem(self, words: str) -> None:
        """What went wrong; "" takes it away."""
        self.problem.setText(words)
        self.problem.setVisible(bool(words))

    def show_offer(self, words: str) -> None:
        """What a download would fetch; "" where nothing was looked up yet."""
        self.fetching.show()
        self.offered.setText(words)
        self.offered.setVisible(bool(words))
        self.download.setVisible(bool(words))
        (self.download if words else self.hub).setFocus()

    def ask_removal(self, model: Shelved, question: str) -> None:
        """Have the person confirm."""
        self._leaving = model
        self.question.setText(question)
        listed = model.kind == "folder"
        self.trash.setText("Take off the list" if listed else "Move to trash")
        self.for_good.setVisible(not listed)
        self.asking.show()
        self.no.setFocus()

    @Slot()
    def _show_chosen(self) -> None:
        model = self.chosen()
        if model is None or self._leaving is None or model.name != self._leaving.name:
            self.asking.hide()
        self.detail.setText(self._words_on(model) if model is not None else "")
        for button in (self.add, self.load, self.fetch):
            button.setEnabled(not self._busy)
        self.remove.setEnabled(model is not None and not self._busy)
        loads = model is not None and model.kind != "run" and not model.quick_problem
        self.use.setEnabled(loads)
        self.use.setToolTip(
            "" if loads else plain_tip("A run starts from a base that can be used; a run is chosen under “Start from”.")
        )

    def _words_on(self, model: Shelved) -> str:
        """What its row has no room for."""
        problem = self._checked.get(model.name, model.quick_problem)
        return "\n".join(filter(None, (problem, f"It lies in {model.place}")))

    @Slot()
    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Model folder", str(typed_path("~")))
        if folder:
            self.folder_chosen.emit(Path(folder))

    @Slot()
    def _choose_file(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Model file", str(typed_path("~")), "GGUF models (*.gguf)")
        if file:
            self.file_chosen.emit(Path(file))

    @Slot()
    def _begin_fetch(self) -> None:
        self.asking.hide()
        self.show_problem("")
        self.show_offer("")

    @Slot()
    def _forget_offer(self) -> None:
        self.offered.hide()
        self.download.hide()

    @Slot()
    def _look(self) -> None:
        if self.hub.text().strip():
            self.look_asked.emit(self.hub.text())

    @Slot()
    def _ask_removal(self) -> None:
        self.removal_asked.emit(self.chosen())

    @Slot()
    def _to_trash(self) -> None:
        self.asking.hide()
        self.removal_confirmed.emit(self._leaving, False)

    @Slot()
    def _delete(self) -> None:
        self.asking.hide()
        self.removal_confirmed.emit(self._leaving, True)

    @Slot()
    def _use(self) -> None:
        model = self.chosen()
        if model is not None:
            self.use_chosen.emit(model.name)
            self.accept()

    def _connect(self) -> None:
        self.table.itemSelectionChanged.connect(self._show_chosen)
        self.add.clicked.connect(self._choose_folder)
        self.load.clicked.connect(self._choose_file)
        self.fetch.clicked.connect(self._begin_fetch)
        self.hub.textChanged.connect(self._forget_offer)
        self.hub.returnPressed.connect(self._look)
        self.look.clicked.connect(self._look)
        self.download.clicked.connect(self.download_asked)
        self.cancel.clicked.connect(self.cancel_asked)
        self.remove.clicked.connect(self._ask_removal)
        self.no.clicked.connect(self.asking.hide)
        self.trash.clicked.connect(self._to_trash)
        self.for_good.clicked.connect(self._delete)
        self.use.clicked.connect(self._use)
        self.leave.clicked.connect(self.reject)

    def _lay_out(self) -> None:
        layout = self.fetching.layout()
        assert isinstance(layout, QHBoxLayout)
        layout.addWidget(self.offered, 2)
        layout.addWidget(self.download)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 16)
        column.setSpacing(12)
        column.addWidget(PlainLabel("Models", role="title"))
        for widget in (self.says, self.problem, self.fetching, self.working):
            column.addWidget(widget)
        column.addWidget(self.table, 1)
        column.addWidget(self.asking)
        column.addWidget(self.detail)
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.add, self.load, self.fetch):
            row.addWidget(button)
        row.addStretch(1)
        for button in (self.remove, self.use, self.leave):
            row.addWidget(button)
        column.addLayout(row)
        EnterKey(self)


def _card(wide: QWidget, *buttons: QPushButton, before: QWidget | None = None) -> QFrame:
    """``wide`` takes the room that is left beside the others."""
    frame = QFrame()
    frame.setProperty("surface", "card")
    row = QHBoxLayout(frame)
    row.setContentsMargins(16, 12, 16, 12)
    row.setSpacing(8)
    if before is not None:
        row.addWidget(before)
    row.addWidget(wide, 1)
    for button in buttons:
        row.addWidget(button)
    return frame


def _progress_words(done: int, total: int) -> str:
    """Bytes of a download; the few steps of an import say themselves what they are."""
    return f"{done / 2**20:,.0f} of {total / 2**20:,.0f} MB" if total > 2**20 else ""
