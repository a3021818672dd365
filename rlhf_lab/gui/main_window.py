"""The window: rail, panes made when first shown, messages, run strip."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QMainWindow,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import run_title
from rlhf_lab.gui.actions import keys_of
from rlhf_lab.gui.closing import CloseDialog
from rlhf_lab.gui.diagnostics import Diagnostics
from rlhf_lab.gui.guided import GuideBanner, GuidedWalk
from rlhf_lab.gui.help_desk import HelpDesk
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.places import PLACES, STAGE_PLACES
from rlhf_lab.gui.panes.data import DataPane
from rlhf_lab.gui.projects import Projects
from rlhf_lab.gui.run_ends import TrayNews
from rlhf_lab.gui.run_news import RunNews
from rlhf_lab.gui.settings import Settings, SettingsDialog
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.message_bar import MessageBar
from rlhf_lab.gui.widgets.pane_stack import PaneStack
from rlhf_lab.gui.widgets.rail import Rail
from rlhf_lab.gui.widgets.run_strip import RunStrip
from rlhf_lab.gui.window_actions import WindowActions

if TYPE_CHECKING:
    from rlhf_lab.gui.model_shelf import ModelShelf


class MainWindow(QMainWindow):
    """Owns the panes; the lab outlives it by no more than `Lab.let_go`."""

    closed = Signal()
    backups_asked = Signal()
    stayed = Signal()
    """It was to close, and the person chose otherwise."""

    def __init__(self, lab: Lab, settings: Settings):
        super().__init__()
        self._lab, self._settings = lab, settings
        self._closing = False
        self._keyed: QWidget | None = None
        self.setWindowTitle(f"{lab.project.folder.name} – RLHF Lab")
        self.setWindowIcon(theme().icon("app", theme().colours.accent))
        self.resize(1280, 800)
        # Without one, every label that grows makes the window ask the system for another smallest size.
        self.setMinimumSize(960, 620)
        self.rail = Rail(PLACES)
        self.messages = MessageBar(_idle_words())
        self.stack = PaneStack()
        self.strip = RunStrip(lab)
        self.diagnostics = Diagnostics(lab.project.folder, self)
        self.walk = GuidedWalk(lab, self)
        self.guide = GuideBanner(self.walk)
        self._panes: dict[str, QWidget] = {}
        self._news = RunNews(lab, self.messages, self.show_run, self._in_view, self)
        self.tray = TrayNews(lab, self, settings, self.show_run)
        self.tray.ends.ended.connect(self._news.tell_end)
        self._lay_out()
        self.rail.chosen.connect(self.show_pane)
        self.rail.settings_asked.connect(self.show_settings)
        lab.message.connect(self.show_note)
        self.diagnostics.ended.connect(self._tell_diagnostics)
        lab.closing.connect(self._fall_silent)
        lab.run_changed.connect(self._run_changed)
        lab.run_asked.connect(self.show_run)
        lab.pane_asked.connect(self._fill_pane)
        lab.models_asked.connect(self.show_models)
        self.walk.run_started.connect(self.show_run)
        self.walk.report_written.connect(self._show_compare)
        self.guide.compare_asked.connect(self._show_compare)
        self.actions = lab.actions
        self._shelf: ModelShelf | None = None
        self.projects = Projects(self, settings, lab.project.folder, self)
        WindowActions(self, lab, settings)
        self.help = HelpDesk(self, lab)
        self.show_pane("data")
        self.pane("data").guide_asked.connect(self.start_guide)
        theme().dress(self)

    @Slot(str)
    def show_pane(self, name: str) -> None:
        """Show a pane; it is made on its first time."""
        pane = self.pane(name)
        self.rail.choose(name)
        self.stack.setCurrentWidget(pane)  # after it: a pane may take the keyboard

    def pane(self, name: str) -> QWidget:
        """The pane of that name."""
        if name not in self._panes:
            self._panes[name] = _make_pane(name, self._lab)
            self._panes[name].setProperty("help", f"help:pane.{name}")
            self.stack.addWidget(self._panes[name])
            self._lab.collector.settle()
        return self._panes[name]

    @Slot(str)
    def show_models(self, stage: str = "") -> None:
        """The models of the project; ``stage``: whose form one is being chosen for."""
        if self._shelf is None:
            from rlhf_lab.gui.model_shelf import ModelShelf  # the first window needs none of it

            self._shelf = ModelShelf(self._lab, self)
        self._shelf.show(stage)

    @Slot(str)
    def show_note(self, text: str) -> None:
        """One or two sentences below the pane."""
        self.messages.show_message(text)

    @Slot(str)
    def show_problem(self, text: str) -> None:
        """The same, for what went wrong."""
        self.messages.show_message(text, "problem")

    @Slot(str)
    def show_run(self, run: str) -> None:
        """Show a run in the pane of its stage, unless it was deleted since somebody named it."""
        try:
            self._lab.project.store.run_config(run)
            name = STAGE_PLACES[self._lab.state(run).stage]
        except LabError:
            self.show_note(f"{run_title(run)} is in the trash, or not in the project any more.")
            return
        self.show_pane(name)
        self.pane(name).show_run(run)

    def _in_view(self, run: str) -> bool:
        return bool(getattr(self.stack.currentWidget(), "run", None) == run)

    @Slot()
    def start_guide(self) -> None:
        """Run the guided experiment and walk along."""
        self.walk.begin()

    @Slot()
    def _show_compare(self) -> None:
        self.show_pane("compare")

    @Slot()
    def come_to_front(self) -> None:
        """A second start of the lab asked for this window."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    @Slot(str, dict)
    def _fill_pane(self, name: str, fields: dict[str, object]) -> None:
        self.show_pane(name)
        if fields:
            self.pane(name).fill_in(fields)

    @Slot()
    def _run_changed(self) -> None:
        if self._closing and not self._lab.live():
            QTimer.singleShot(0, self, self.close)

    @Slot()
    def _fall_silent(self) -> None:
        """A list that is destroyed empties itself first, and would tell its pane of each row, on a closed database."""
        for view in self.findChildren(QAbstractItemView):
            view.blockSignals(True)

    @Slot()
    def show_settings(self) -> None:
        """Open the settings beside the window, where help can be had on each."""
        if (shown := self.findChild(SettingsDialog)) is not None:
            shown.activateWindow()
            return
        dialog = SettingsDialog(self._settings, self.diagnostics, self)
        dialog.backups_asked.connect(self.backups_asked)
        self.actions.help_within(dialog)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    @Slot(str)
    def _tell_diagnostics(self, problem: str) -> None:
        if problem:
            self.show_problem(f"The diagnostics were not copied. {problem}")
        else:
            self.show_note("The diagnostics are on the clipboard: paste them into your report.")

    def event(self, event: QEvent) -> bool:
        """Note who has the keyboard before a key is pressed: Qt asks about shortcuts first."""
        if event.type() == QEvent.Type.ShortcutOverride:
            self._keyed = self.focusWidget()
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter presses the button that has the keyboard, as Space does; on some systems Qt knows Space alone.

        Not one that has got it through this very key, as when Enter ends a line that then goes.
        """
        button = self.focusWidget()
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.isAutoRepeat()
        pressed = enter and button is self._keyed
        if pressed and isinstance(button, QPushButton | QToolButton) and button.isEnabled():
            button.click()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask what becomes of a living run and of what would be lost; leave no thread behind."""
        live, works, unkept = self._lab.live(), self._lab.under_way(), self.unkept()
        if live or unkept or (works and not self._closing):
            event.ignore()
            if not self._closing or not live:
                self._ask_before_closing(live, works, unkept)
            return
        self._lab.let_go()
        event.accept()
        self.closed.emit()

    def unkept(self) -> list[str]:
        """What a person has typed is stored, wherever it stands; the words for what cannot be, and would be lost."""
        unkept: list[str] = []
        self._lab.keeping.emit(unkept)
        return unkept

    def _ask_before_closing(self, live: list[str], works: list[str], unkept: list[str]) -> None:
        titles = [self._lab.state(run).title for run in live]
        dialog = CloseDialog(titles, len(self._lab.queued()), works, unkept, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.keep_chosen.connect(self._keep_and_close)
        dialog.stop_chosen.connect(self._stop_and_close)
        dialog.rejected.connect(self.stayed)
        dialog.open()

    @Slot()
    def _keep_and_close(self) -> None:
        self._lab.let_go()
        self.hide()
        self.closed.emit()

    @Slot()
    def _stop_and_close(self) -> None:
        self._closing = True
        self._lab.hold_queue()
        for run in self._lab.live():
            self._lab.stop(run)
        if not self._lab.live():  # it ended while the person thought
            self.close()

    def _lay_out(self) -> None:
        right = QVBoxLayout()
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(0)
        right.addWidget(self.guide)
        right.addWidget(self.stack, 1)
        right.addWidget(self.messages)
        right.addWidget(self.strip)
        whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.rail)
        row.addLayout(right, 1)
        self.setCentralWidget(whole)


def _idle_words() -> str:
    """What stands where messages come, until one does."""
    return f"{keys_of('window.palette')} finds every action by a few letters. {keys_of('help.here')} explains what has the keyboard."


def _make_pane(name: str, lab: Lab) -> QWidget:
    """Each is imported when it is first needed: the plots alone take 0.6 s."""
    if name == "data":
        return DataPane(lab)
    if name == "rank":
        from rlhf_lab.gui.panes.rank import RankPane

        return RankPane(lab)
    if name == "sft":
        from rlhf_lab.gui.panes.sft import SftPane

        return SftPane(lab)
    if name == "reward":
        from rlhf_lab.gui.panes.reward import RewardPane

        return RewardPane(lab)
    if name == "policy":
        from rlhf_lab.gui.panes.policy import PolicyPane

        return PolicyPane(lab)
    if name == "compare":
        from rlhf_lab.gui.panes.compare import ComparePane

        return ComparePane(lab)
    from rlhf_lab.gui.panes.runs import RunsPane

    return RunsPane(lab)
