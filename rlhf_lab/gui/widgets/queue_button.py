"""In the strip: how many runs wait, and a menu that cancels them, or stops the recipe that they belong to."""

from functools import partial

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from rlhf_lab.core.naming import run_title
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.recipes import RecipeWalk
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip, visible

MOST_LISTED = 20


class QueueButton(QToolButton):
    """Hidden while nothing waits and no recipe is under way."""

    def __init__(self, lab: Lab, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab = lab
        self.setProperty("look", "small")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill)
        self.setMenu(self._menu)
        lab.recipes.changed.connect(self.refresh)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Count anew."""
        queued, walks = self._lab.queued(), self._lab.recipes.walks()
        to_come = sum(len(walk.chain.left) for walk in walks)
        parts = [f"{len(queued)} queued"] if queued else []
        parts += [f"{to_come} to come"] if to_come else []
        self.setText(", ".join(parts) or ("Recipe" if walks else ""))
        self.setVisible(bool(self.text()))
        tips = ["Waiting for their turn: " + ", ".join(map(run_title, queued))] if queued else []
        tips += [_in_words(walk) for walk in walks]
        self.setToolTip(plain_tip("\n".join([*tips, "Click to cancel."]) if tips else ""))
        self.setAccessibleName(f"Queue: {self.text()}")

    @Slot()
    def _fill(self) -> None:
        self._menu.clear()
        for walk in self._lab.recipes.walks():
            self._menu.addAction(_action_text(f"{_in_words(walk)}: show…"), partial(self._show, walk))
            self._menu.addAction(_action_text(f"Stop “{walk.name}”"), walk.stop)
            self._menu.addSeparator()
        queued = self._lab.queued()
        for run in queued[:MOST_LISTED]:
            self._menu.addAction(_action_text(f"Cancel {run_title(run)}"), partial(self._lab.stop, run))
        if len(queued) > 1:
            self._menu.addSeparator()
            self._menu.addAction(f"Cancel all {len(queued)} that wait", self._cancel_all)

    @Slot()
    def _cancel_all(self) -> None:
        for walk in self._lab.recipes.walks():
            walk.chain.halt()  # else it would begin others in their place
        for run in reversed(self._lab.queued()):
            self._lab.stop(run)

    def _show(self, walk: RecipeWalk) -> None:
        from rlhf_lab.gui.widgets.recipe_button import show_walk  # the first window needs none of it

        show_walk(self._lab, self.window(), walk)


def _in_words(walk: RecipeWalk) -> str:
    steps = walk.chain.steps
    done = sum(walk.chain.state(step) == "done" for step in steps)
    return f"{walk.name}: {done} of {len(steps)} done"


def _action_text(text: str) -> str:
    return visible(one_line(text, 80)).replace("&", "&&")
