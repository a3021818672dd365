"""A recipe in the window: its text, the runs that come out of it, and, once it runs, how far each has come."""

from pathlib import Path

from PySide6.QtCore import QModelIndex, Qt, QTimer, Slot
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.config_toml import read_toml
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import so_many
from rlhf_lab.core.recipe import Recipe, expand
from rlhf_lab.core.recipe_toml import parse_recipe
from rlhf_lab.core.small_files import read_text
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.recipe_table import RecipeTable
from rlhf_lab.gui.recipes import RecipeWalk
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.enter_key import EnterKey
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip
from rlhf_lab.gui.widgets.row_table import row_table

_AFTER_MS = 250
_FILES = "Recipes (*.toml)"
LEAD = (
    "Stages that run one after the other; each may start from those above it. Write it here, or open a file. “rlhf-lab run "
    "FILE.toml” runs the same in a terminal."
)


class RecipeDialog(QDialog):
    """Stays open beside the window while its recipe runs; closing it stops nothing.

    Text that is nowhere else goes at the second try to close it.
    """

    def __init__(self, lab: Lab, text: str, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab = lab
        self._walk: RecipeWalk | None = None
        self._kept = self._warned = text
        self.recipe: Recipe | None = None
        """What the text says; None while it cannot run."""
        self.setWindowTitle("Recipe")
        lab.actions.help_within(self, "control.recipe")
        self.resize(1000, 640)
        self.text = QPlainTextEdit(text)
        self.text.setAccessibleName("The recipe's text")
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setTabChangesFocus(True)
        self.model = RecipeTable()
        self.table = row_table(self.model, "Runs of the recipe")
        self.told, self.problem = PlainLabel(role="muted", wrap=True), PlainLabel(role="warn", wrap=True)
        self.again = QCheckBox("Take what is done already with the same settings as it is")
        self.again.setToolTip(
            plain_tip(
                "Where neither the data set has changed since, nor the model, the reward function or the runs that it "
                "stands on. What ended early goes on from its last save."
            )
        )
        self.open_file, self.save_file = QPushButton("Open…"), QPushButton("Save as…")
        self.run, self.stop, close = QPushButton("Run"), QPushButton("Stop and save"), QPushButton("Close")
        self.run.setProperty("look", "primary")
        theme().keep_icon(self.run, "play")
        theme().keep_icon(self.stop, "stop")
        self._timer = QTimer(self, singleShot=True, interval=_AFTER_MS)
        self._timer.timeout.connect(self.check)
        self._lay_out(close)
        self.text.textChanged.connect(self._edited)
        self.open_file.clicked.connect(self._open)
        self.save_file.clicked.connect(self._save)
        self.run.clicked.connect(self._run)
        self.stop.clicked.connect(self._stop)
        close.clicked.connect(self.close)
        self.table.activated.connect(self._show_run)
        lab.closing.connect(self._leave)
        self.text.setFocus()
        self.check()

    def reject(self) -> None:
        """See `QDialog.reject`: so do Escape and the window's own cross."""
        if (text := self.text.toPlainText()) not in (self._kept, self._warned):
            self._warned = text
            self.told.setText("What you wrote is not saved. Close once more, and it is gone.")
            return
        super().reject()

    @Slot()
    def _leave(self) -> None:
        super().reject()

    @Slot()
    def check(self) -> None:
        """Read the text: the runs that come out of it, or what is wrong."""
        self._timer.stop()
        self.recipe, problem = None, ""
        try:
            self.recipe = parse_recipe(read_toml(self.text.toPlainText(), "The recipe"), "The recipe")
        except LabError as error:
            problem = str(error)
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self._show()

    @Slot()
    def _edited(self) -> None:
        """What has run is over once it is written anew: the table shows what would run."""
        if self._walk is not None and self._walk.is_over:
            self._walk = None
        self._timer.start()

    def follow(self, walk: RecipeWalk) -> None:
        """Show how far a recipe has come that is under way."""
        self._walk = walk
        walk.changed.connect(self._show)
        walk.over.connect(self._over)
        self._show()

    @Slot()
    def _show(self) -> None:
        going = self._walk is not None and not self._walk.is_over
        chain = self._walk.chain if self._walk is not None else None
        steps = chain.steps if chain is not None else expand(self.recipe) if self.recipe is not None else []
        self.model.show_steps(steps, chain)
        self.table.resizeColumnsToContents()
        self.text.setReadOnly(going)
        for widget in (self.open_file, self.again):
            widget.setEnabled(not going)
        self.run.setVisible(not going)
        self.run.setEnabled(self.recipe is not None)
        self.stop.setVisible(going)
        if chain is None:
            self.told.setText(f"{so_many(len(steps), 'run')}, in this order." if steps else "")
            return
        done = sum(chain.state(step) == "done" for step in steps)
        end = "" if going else " Done." if chain.done else " It ended before all were done."
        anew = next(iter(chain.anew.values()), "") if going else ""
        self.told.setText(f"{done} of {len(steps)} runs are done.{end} {anew}".rstrip())

    @Slot()
    def _over(self) -> None:
        self.again.setChecked(self._walk is not None and not self._walk.chain.done)
        self._show()

    @Slot()
    def _run(self) -> None:
        self.check()
        if self.recipe is None:
            return
        try:
            walk = self._lab.recipes.begin(self.recipe, resume=self.again.isChecked())
        except LabError as error:
            self.problem.setText(str(error))
            self.problem.show()
            return
        self._kept = self.text.toPlainText()  # its runs tell it
        self.follow(walk)
        walk.go_on()

    @Slot()
    def _stop(self) -> None:
        if self._walk is not None and not self._walk.is_over:
            self._walk.stop()

    @Slot(QModelIndex)
    def _show_run(self, index: QModelIndex) -> None:
        if (run := self.model.run_at(index.row())) is not None:
            self._lab.run_asked.emit(run)

    @Slot()
    def _open(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open a recipe", str(typed_path("~")), _FILES)
        if not name:
            return
        try:
            self.text.setPlainText(read_text(Path(name)))
        except (OSError, ValueError) as error:
            self.problem.setText(f"{name} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.")
            self.problem.show()
            return
        self._kept = self.text.toPlainText()
        self.check()

    @Slot()
    def _save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the recipe", str(typed_path("~") / "recipe.toml"), _FILES)
        if not name:
            return
        try:
            Path(name).write_text(self.text.toPlainText(), encoding="utf-8")
        except OSError as error:
            self.problem.setText(f"{name} could not be written: {error.strerror}. Choose another place.")
            self.problem.show()
            return
        self._kept = self.text.toPlainText()
        self.told.setText(f"Saved as {name}.")

    def _lay_out(self, close: QPushButton) -> None:
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(PlainLabel("Recipe", role="title"), 1)
        for button in (self.open_file, self.save_file):
            head.addWidget(button)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(self.text)
        split.addWidget(self.table)
        split.setSizes([470, 500])
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.again, 1)
        for button in (close, self.stop, self.run):
            foot.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(10)
        column.addLayout(head)
        column.addWidget(PlainLabel(LEAD, wrap=True))
        column.addWidget(split, 1)
        column.addWidget(self.told)
        column.addWidget(self.problem)
        column.addLayout(foot)
        EnterKey(self)
