"""Which run has just ended, said once, and what follows from it: a message of the system, and a machine that may sleep."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QSystemTrayIcon, QWidget

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.run_state import ENDED
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import visible
from rlhf_lab.runs.awake import Awake

_VERBS = {"done": "has finished", "failed": "failed", "interrupted": "was interrupted"}
_WORKING = ("starting", "running")


class RunEnds(QObject):
    """Tells of a run that this window saw alive; one that a person stopped is no news."""

    ended = Signal(str)

    def __init__(self, lab: Lab, parent: QObject | None = None):
        super().__init__(parent)
        self._lab = lab
        self._seen: set[str] = set()
        lab.run_changed.connect(self._look)

    @Slot(str)
    def _look(self, run: str) -> None:
        if run in self._lab.live():
            self._seen.add(run)
        elif run in self._seen and self._lab.state(run).outcome in ENDED:
            self._seen.remove(run)
            if self._lab.state(run).outcome in _VERBS:
                self.ended.emit(run)


class TrayNews(QObject):
    """A message of the system for who looks elsewhere; there is an icon in the tray only while one may be clicked."""

    def __init__(
        self,
        lab: Lab,
        window: QWidget,
        settings: Settings,
        show_run: Callable[[str], object],
        make_tray: Callable[[QObject], QSystemTrayIcon] = QSystemTrayIcon,
    ):
        super().__init__(window)
        self._lab, self._window, self._settings = lab, window, settings
        self._show_run, self._make_tray = show_run, make_tray
        self._tray: QSystemTrayIcon | None = None
        self._run = ""
        self.ends = RunEnds(lab, self)
        self.ends.ended.connect(self.tell)
        lab.closing.connect(self._leave)

    @Slot(str)
    def tell(self, run: str) -> None:
        """Show a message, where it is wanted, possible and of use."""
        if not self._settings.notify or self._window.isActiveWindow() or not QSystemTrayIcon.isSystemTrayAvailable():
            return
        if self._tray is None:
            self._tray = self._make_tray(self)
            self._tray.setIcon(theme().icon("app", theme().colours.accent))
            self._tray.setToolTip("RLHF Lab")
            self._tray.messageClicked.connect(self._come)
            self._tray.activated.connect(self._come)
        self._run, state = run, self._lab.state(run)
        self._tray.show()
        title, icon = f"{state.title} {_VERBS[state.outcome]}", QSystemTrayIcon.MessageIcon
        self._tray.showMessage(
            title, _unmarked(state.message), icon.Information if state.outcome == "done" else icon.Warning
        )

    @Slot()
    def _come(self) -> None:
        self._leave()
        self._window.come_to_front()
        self._show_run(self._run)

    @Slot()
    def _leave(self) -> None:
        if self._tray is not None:
            self._tray.hide()


class KeptAwake(QObject):
    """Holds the machine awake while a run works, unless the settings say otherwise; a paused one does not count."""

    def __init__(self, lab: Lab, settings: Settings, awake: Awake | None = None):
        super().__init__(lab)
        self._lab, self._settings, self._awake = lab, settings, awake or Awake()
        self._left = False
        lab.run_changed.connect(self._look)
        settings.changed.connect(self._look)
        lab.closing.connect(self._leave)

    @Slot()
    def _look(self) -> None:
        works = any(self._lab.state(run).outcome in _WORKING for run in self._lab.live())
        if works and self._settings.awake and not self._left:
            self._awake.hold()
        else:
            self._awake.let_go()

    @Slot()
    def _leave(self) -> None:
        """The last events of runs that go on without the window are still to come, and hold nothing any more."""
        self._left = True
        self._awake.let_go()


def _unmarked(text: str) -> str:
    """For the system, which may read markup or not: signs that look like those of markup stand in for them."""
    return visible(text).replace("<", "‹").replace(">", "›")
