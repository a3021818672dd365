"""The end of a run is told once, where it is of use; meanwhile the machine is kept awake."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QPushButton, QSystemTrayIcon
from pytestqt.qtbot import QtBot

from rlhf_lab.core.events import Finished, Paused, Started
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.run_ends import KeptAwake, TrayNews
from rlhf_lab.gui.settings import Settings, SettingsDialog
from rlhf_lab.runs import labels
from rlhf_lab.runs.awake import Awake
from tests.gui.conftest import FakeRuns


class FakeTray(QObject):
    """What of a tray icon is used."""

    messageClicked = Signal()  # noqa: N815 - Qt's names
    activated = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.said: list[tuple[str, str]] = []
        self.shown = False

    def setIcon(self, icon: object) -> None: ...
    def setToolTip(self, text: str) -> None: ...

    def show(self) -> None:
        self.shown = True

    def hide(self) -> None:
        self.shown = False

    def showMessage(self, title: str, text: str, icon: object) -> None:
        self.said.append((title, text))


class FakeAwake(Awake):
    def __init__(self) -> None:
        super().__init__()
        self.on = False

    def hold(self) -> None:
        self.on = True

    def let_go(self) -> None:
        self.on = False


@pytest.fixture
def trays(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> list[FakeTray]:
    """The window's own news, with a tray that is there, and a window that is not in front."""
    made: list[FakeTray] = []

    def make(parent: QObject) -> FakeTray:
        made.append(FakeTray(parent))
        return made[-1]

    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", staticmethod(lambda: True))
    monkeypatch.setattr(window.tray, "_make_tray", make)
    monkeypatch.setattr(window, "isActiveWindow", lambda: False)
    return made


def ended(qtbot: QtBot, window: MainWindow, fakes: FakeRuns, run: str, outcome: str) -> None:
    fakes.runs[run].feed(Started(device="cpu", total_steps=10), Finished(outcome=outcome, message="All of it."))
    qtbot.waitUntil(lambda: run not in window._lab.live())


@pytest.mark.parametrize(("outcome", "title"), [("done", "SFT 1 has finished"), ("failed", "SFT 1 failed")])
def test_the_system_tells_of_an_end(
    qtbot: QtBot,
    window: MainWindow,
    fakes: FakeRuns,
    begun_run: Callable[..., str],
    trays: list[FakeTray],
    outcome: str,
    title: str,
) -> None:
    ended(qtbot, window, fakes, begun_run(), outcome)
    qtbot.waitUntil(lambda: trays != [] and trays[0].said == [(title, "All of it.")])
    window._lab.run_changed.emit("sft-1")
    assert len(trays[0].said) == 1, "told once"


def test_a_click_on_it_shows_the_run(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str], trays: list[FakeTray]
) -> None:
    came = []
    window.come_to_front = lambda: came.append(True)  # offscreen, nothing can be raised
    ended(qtbot, window, fakes, begun_run(), "done")
    qtbot.waitUntil(lambda: trays != [] and trays[0].shown)
    trays[0].messageClicked.emit()
    assert came == [True]
    assert window.stack.currentWidget() is window.pane("sft")
    assert not trays[0].shown


def test_no_message_of_the_system_where_it_is_not_wanted(
    qtbot: QtBot,
    window: MainWindow,
    fakes: FakeRuns,
    begun_run: Callable[..., str],
    trays: list[FakeTray],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.put("notify", False)
    ended(qtbot, window, fakes, begun_run(), "done")
    settings.put("notify", True)
    ended(qtbot, window, fakes, begun_run(), "stopped")  # by a person
    monkeypatch.setattr(window, "isActiveWindow", lambda: True)
    ended(qtbot, window, fakes, begun_run(), "done")
    assert trays == []


def test_the_window_tells_of_an_end_and_leads_to_it(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    ended(qtbot, window, fakes, begun_run(), "done")
    qtbot.waitUntil(lambda: window.messages.messages() != [])
    (message,) = window.messages.messages()
    assert message.text == "SFT 1 has finished. All of it."
    next(button for button in message.findChildren(QPushButton) if button.text() == "Show").click()
    assert window.pane("sft").run == "sft-1"


def test_who_looks_at_the_run_is_told_by_the_strip_alone(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    run = begun_run()
    window.show_run(run)
    with qtbot.waitSignal(window.tray.ends.ended):
        ended(qtbot, window, fakes, run, "done")
    assert window.messages.messages() == []


def test_the_machine_is_awake_while_a_run_works(
    qtbot: QtBot, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str], settings: Settings
) -> None:
    awake = FakeAwake()
    KeptAwake(lab, settings, awake)
    assert not awake.on
    run = begun_run()
    assert awake.on
    settings.put("awake", False)
    assert not awake.on
    settings.put("awake", True)
    assert awake.on
    fakes.runs[run].feed(Started(device="cpu", total_steps=10), Paused(paused=True))
    qtbot.waitUntil(lambda: not awake.on)
    fakes.runs[run].feed(Paused(paused=False))
    qtbot.waitUntil(lambda: awake.on)
    fakes.runs[run].feed(Finished(outcome="done"))
    qtbot.waitUntil(lambda: not awake.on)


def test_a_window_that_closes_lets_the_machine_sleep(
    qtbot: QtBot, lab: Lab, begun_run: Callable[..., str], settings: Settings
) -> None:
    awake = FakeAwake()
    KeptAwake(lab, settings, awake)
    begun_run()
    assert awake.on
    lab.let_go()
    assert not awake.on
    lab.run_changed.emit("sft-1")
    settings.changed.emit()
    assert not awake.on


def test_both_are_settings_that_are_kept(qtbot: QtBot, window: MainWindow, settings: Settings) -> None:
    assert settings.awake
    assert settings.notify
    window.show_settings()
    dialog = window.findChild(SettingsDialog)
    dialog.awake.click()
    dialog.notify.click()
    assert not settings.awake
    assert not settings.notify


def test_without_a_tray_nothing_is_made(window: MainWindow, lab: Lab, settings: Settings) -> None:
    made: list[object] = []
    news = TrayNews(lab, window, settings, window.show_run, made.append)
    news.tell("nobody")
    assert made == []


def test_a_run_that_was_deleted_since_is_shown_no_more(
    qtbot: QtBot, window: MainWindow, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    run = begun_run()
    window.show_pane("runs")
    ended(qtbot, window, fakes, run, "done")
    (show,) = [button for button in window.messages.findChildren(QPushButton) if button.text() == "Show"]
    labels.trash(lab.project.store, lab.project.run(run))
    labels.remove(lab.project.store, lab.project.run(run))
    lab.runs_changed.emit()
    qtbot.mouseClick(show, Qt.MouseButton.LeftButton)
    assert window.messages.messages()[-1].text == "SFT 1 is in the trash, or not in the project any more."
    assert window.stack.currentWidget() is window.pane("runs")


def test_a_message_cannot_be_read_as_markup(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str], trays: list[FakeTray]
) -> None:
    run = begun_run()
    fakes.runs[run].feed(Started(device="cpu", total_steps=10), Finished(outcome="failed", message="<b>2 < 3</b>\x1b"))
    qtbot.waitUntil(lambda: trays != [] and trays[0].said == [("SFT 1 failed", "‹b›2 ‹ 3‹/b›␛")])
