"""The way to a recipe: of the selected run, of one that is under way, or an example to begin with."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QPushButton, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.recipe_toml import EXAMPLE, render_recipe
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.recipes import RecipeWalk
from rlhf_lab.gui.widgets.plain_text import plain_tip
from rlhf_lab.gui.widgets.recipe_dialog import RecipeDialog
from rlhf_lab.store import RunRow


class RecipeButton(QPushButton):
    """Opens the recipe that would make the selected run again."""

    def __init__(self, lab: Lab):
        super().__init__("Recipe…")
        self._lab = lab
        self._run: str | None = None
        self.setProperty("help", "help:control.recipe")
        self.clicked.connect(self._show)
        self.show_rows([])

    def show_rows(self, rows: Sequence[RunRow]) -> None:
        """The selected runs; of one alone the recipe is written."""
        self._run = rows[0].run if len(rows) == 1 and rows[0].trashed is None else None
        of_run = "The stages that led to this run as a recipe: change, save or run it"
        self.setToolTip(
            plain_tip(of_run if self._run else "Run several stages one after the other, from a file or an example")
        )

    @Slot()
    def _show(self) -> None:
        open_recipe(self._lab, self.window(), self._run)


def open_recipe(lab: Lab, parent: QWidget, run: str | None = None) -> RecipeDialog | None:
    """A window with the recipe of the run, or with an example."""
    from rlhf_lab.runs.recipe_of import recipe_of

    try:
        text = EXAMPLE if run is None else render_recipe(recipe_of(lab.project, run))
    except LabError as error:
        lab.message.emit(f"No recipe can be written of this run. {error}")
        return None
    return _opened(RecipeDialog(lab, text, parent))


def show_walk(lab: Lab, parent: QWidget, walk: RecipeWalk) -> RecipeDialog:
    """A window with a recipe that is under way."""
    dialog = RecipeDialog(lab, render_recipe(walk.chain.recipe), parent)
    dialog.follow(walk)
    return _opened(dialog)


def _opened(dialog: RecipeDialog) -> RecipeDialog:
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.show()
    return dialog
