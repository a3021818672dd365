"""F1 and the rest of the help: which page, where it is shown, and what its links do."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QApplication, QWidget

from rlhf_lab.gui.actions import written
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.action_table import Offer

if TYPE_CHECKING:
    from rlhf_lab.gui.main_window import MainWindow
    from rlhf_lab.gui.models.help_pages import Page
    from rlhf_lab.gui.widgets.help_window import HelpWindow


class HelpDesk(QObject):
    """One help window for the whole window, made when it is first asked for."""

    def __init__(self, window: "MainWindow", lab: Lab):
        super().__init__(window)
        self._window, self._lab = window, lab
        self._shown: HelpWindow | None = None
        lab.actions.on("help.here", self.show_here)
        lab.actions.on("help.contents", partial(self.show_ref, "help:contents"))
        lab.actions.on("help.keys", partial(self.show_ref, "help:keys"))
        lab.actions.on("help.claims", partial(self.show_ref, "help:page.claims"))
        window.rail.help_asked.connect(partial(self.show_ref, "help:contents"))
        lab.actions.offer(self._offers)

    @property
    def view(self) -> "HelpWindow":
        """Where pages are shown."""
        if self._shown is None:
            from rlhf_lab.gui.widgets.help_window import HelpWindow

            self._shown = HelpWindow(self._window)
            self._shown.action_asked.connect(self._do)
            over = self._window.geometry()
            self._shown.move(over.right() - self._shown.width() - 24, over.top() + 72)
        return self._shown

    @Slot()
    def show_here(self) -> None:
        """Help for what has the keyboard."""
        from rlhf_lab.gui.models.help_pages import composed

        self._show(composed(refs_at(QApplication.focusWidget() or self._window), written))

    @Slot(str)
    def show_ref(self, ref: str) -> None:
        """A page by its name."""
        from rlhf_lab.gui.models.help_pages import page

        self._show(page(ref, written))

    def _show(self, wanted: "Page") -> None:
        self.view.show_page(wanted)
        self.view.show()
        self.view.activateWindow()

    @Slot(str)
    def _do(self, name: str) -> None:
        self._window.activateWindow()
        self._lab.actions.trigger(name)

    def _offers(self) -> Iterator[Offer]:
        from rlhf_lab.gui.models.help_pages import places

        for ref, title, words in places():
            yield Offer(ref, f"Help: {title}", "Help", partial(self.show_ref, ref), words=words)


def refs_at(widget: QWidget | None) -> list[str]:
    """The pages about a widget and what it stands in, the nearest first."""
    found: dict[str, None] = {}
    while widget is not None:
        for ref in str(widget.property("help") or "").split():
            found.setdefault(ref)
        widget = widget.parentWidget()
    return list(found)
