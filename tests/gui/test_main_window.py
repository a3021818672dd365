"""The window: panes by key, the strip, messages, closing, errors, one window a project."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject, QProcess, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.events import Finished, Metrics, Paused, Phase, Progress, Started
from rlhf_lab.core.judgement import Judgement
from rlhf_lab.gui.closing import CloseDialog
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.models.places import PLACES
from rlhf_lab.gui.settings import Settings, SettingsDialog
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.gui.theme import DARK, theme
from rlhf_lab.gui.widgets.rail import Rail
from rlhf_lab.runs.project import Project
from rlhf_lab.store import Store
from tests.gui.conftest import FakeRuns

CTRL = Qt.KeyboardModifier.ControlModifier


def press(button: QWidget, qtbot: QtBot) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_every_pane_has_its_key(qtbot: QtBot, window: MainWindow) -> None:
    for number, place in reversed(list(enumerate(PLACES, 1))):
        qtbot.keyClick(window, getattr(Qt.Key, f"Key_{number}"), CTRL)
        assert window.stack.currentWidget() is window.pane(place)
        assert window.rail._buttons[place].isChecked()


def test_a_pane_that_is_not_shown_looks_into_the_project_when_it_is(
    window: MainWindow, lab: Lab, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (*PLACES, "data"):
        window.show_pane(place)
    reads: list[object] = []
    runs = Store.runs
    monkeypatch.setattr(Store, "runs", lambda store, **which: reads.append(which) or runs(store, **which))
    run = lab.project.create_run(SftConfig(dataset="talks", model=model)).run
    lab.runs_changed.emit()
    assert len(reads) <= 2, "of the table of runs and of the guide"
    window.show_pane("sft")
    assert window.pane("sft").header.picker.findData(run) >= 0


def test_the_sheet_is_looked_through_once_for_what_is_in_a_pane(window: MainWindow, qapp: QApplication) -> None:
    class Looks(QObject):
        seen = 0

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            self.seen += event.type() == QEvent.Type.StyleChange
            return False

    looks = Looks()
    qapp.installEventFilter(looks)
    made = window.pane("runs").findChildren(QWidget)
    qapp.removeEventFilter(looks)
    assert len(made) > 100
    assert looks.seen <= 1.1 * len(made), "with a sheet on the application it is five times that"


def test_arrows_walk_the_rail(qtbot: QtBot, window: MainWindow) -> None:
    first = window.rail._buttons["data"]
    first.setFocus()
    qtbot.keyClick(first, Qt.Key.Key_Down)
    assert window.rail._buttons["rank"].isChecked()


def test_the_keyboard_is_where_the_shown_pane_is(window: MainWindow) -> None:
    assert window.focusWidget() is window.rail._buttons["data"]
    window.show_pane("sft")
    assert window.focusWidget() is window.rail._buttons["sft"]
    field = window.pane("sft").findChild(QComboBox)
    field.setFocus()
    window.show_pane("sft")
    assert window.focusWidget() is field


def test_a_pane_that_takes_the_keyboard_keeps_it(qtbot: QtBot, window: MainWindow, project: Project) -> None:
    (asked,) = project.store.page("pairs", limit=1)
    project.store.judge("pairs", asked.id, Judgement(who="Ada", when=0.0, verdict="ranked", ranks=(1, 2)))
    window.rail._buttons["data"].setFocus()
    window.show_pane("rank")
    qtbot.waitUntil(lambda: window.focusWidget().accessibleName() == "Ada")


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space])
def test_enter_presses_a_button_as_space_does(qtbot: QtBot, window: MainWindow, key: Qt.Key) -> None:
    pressed: list[str] = []
    window.messages.show_message("Told.", "note", ("Go on", lambda: pressed.append("once")))
    (message,) = window.messages.messages()
    button = message.findChild(QPushButton)
    button.setFocus()
    qtbot.keyClick(button, key)
    assert pressed == ["once"]


@pytest.mark.parametrize("name", list(PLACES))
def test_every_control_has_a_name(window: MainWindow, name: str) -> None:
    window.show_pane(name)
    kinds = (QAbstractButton, QLineEdit, QComboBox, QAbstractSpinBox, QAbstractItemView, QPlainTextEdit)
    controls = [found for kind in kinds for found in window.findChildren(kind) if found.isVisible()]
    nameless = [
        control
        for control in controls
        if control.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not isinstance(control.parent(), QComboBox | QAbstractSpinBox)
        and not (control.accessibleName() or text_of(control))
    ]
    assert len(controls) >= len(PLACES)
    assert nameless == []


def text_of(control: QWidget) -> str:
    return control.text().strip() if isinstance(control, QAbstractButton) else ""


def test_the_strip_follows_a_run(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str], lab: Lab, model: str
) -> None:
    strip = window.strip
    assert strip.doing.text() == "Nothing is training."
    run = begun_run()
    lab.start(SftConfig(dataset="talks", model=model))
    fake = fakes.runs[run]
    fake.feed(Started(device="cpu", total_steps=10), Phase(name="loading the model"))
    qtbot.waitUntil(lambda: strip.doing.text() == "Loading the model…")
    fake.feed(Metrics(step=5, values={"train/loss": 1.25}), Progress(step=4, done=4, total=10))
    fake.feed(Progress(step=5, done=5, total=10))
    qtbot.waitUntil(lambda: strip.share.text() == "50%")
    assert strip.title.text() == "SFT 1"
    assert strip.numbers[0].text() == "Loss 1.25"
    assert "left" in strip.left.text()
    assert strip.queue.text() == "1 queued"
    press(strip.pause, qtbot)
    fake.feed(Paused(paused=True))
    qtbot.waitUntil(lambda: strip.doing.text() == "Paused")
    assert strip.pause.accessibleName() == "Go on"
    press(strip.pause, qtbot)
    assert [command.kind for command in fake.sent] == ["pause", "go_on"]


def test_stopping_is_shown_at_once_and_the_end_offers_to_resume(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    run = begun_run()
    fakes.runs[run].obedient = False
    press(window.strip.stop, qtbot)
    assert window.strip.doing.text().startswith("Stopping…")
    assert not window.strip.stop.isEnabled()
    fakes.runs[run].feed(Finished(outcome="stopped", message="Stopped after step 3 of 9; that step is saved."))
    qtbot.waitUntil(lambda: window.strip.resume.isVisible())
    assert window.strip.doing.text() == "Stopped after step 3 of 9; that step is saved."
    press(window.strip.resume, qtbot)
    qtbot.waitUntil(lambda: fakes.begun[-1] == (run, "resume"))


def test_a_dead_run_is_told_in_words_with_a_way_on(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    run = begun_run()
    fakes.runs[run].die()
    qtbot.waitUntil(lambda: window.messages.messages() != [])
    message = window.messages.messages()[0]
    assert message.text == "SFT 1 failed. The fake died."
    resume = next(b for b in message.findChildren(QPushButton) if b.text() == "Resume")
    press(resume, qtbot)
    qtbot.waitUntil(lambda: fakes.begun[-1] == (run, "resume"))
    assert window.messages.messages() == []


def test_messages_do_not_pile_up(window: MainWindow) -> None:
    for text in ("one", "two", "two", "three", "four"):
        window.show_note(text)
    assert [message.text for message in window.messages.messages()] == ["two", "three", "four"]


def test_closing_asks_and_escape_stays(qtbot: QtBot, window: MainWindow, begun_run: Callable[..., str]) -> None:
    begun_run()
    window.close()
    dialog = window.findChild(CloseDialog)
    assert "SFT 1 still trains" in [label.text() for label in dialog.findChildren(type(window.strip.doing))]
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert window.isVisible()


def test_closing_can_keep_training(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    run = begun_run()
    window.close()
    with qtbot.waitSignal(window.closed):
        press(window.findChild(CloseDialog).keep, qtbot)
    assert fakes.runs[run].alive()
    assert fakes.runs[run].sent == []


def test_closing_can_stop_and_save(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str], lab: Lab, model: str
) -> None:
    run = begun_run()
    waiting = lab.start(SftConfig(dataset="talks", model=model))
    window.close()
    with qtbot.waitSignal(window.closed):
        press(window.findChild(CloseDialog).stop, qtbot)
    assert lab.state(run).outcome == "stopped"
    assert [begun for begun, _ in fakes.begun] == [run], "nothing new starts while the window closes"
    assert lab.project.run_row(waiting).outcome == "queued"


def test_the_colours_can_be_chosen(qtbot: QtBot, window: MainWindow, settings: Settings, tmp_path: Path) -> None:
    qtbot.keyClick(window, Qt.Key.Key_Comma, CTRL)
    dialog = window.findChild(SettingsDialog)
    dialog.theme.setFocus()
    qtbot.keyClick(dialog.theme, Qt.Key.Key_End)
    assert theme().colours is DARK
    assert Settings(tmp_path / "settings.ini").theme == "dark"
    theme().choose("system")


def test_threads_of_the_settings_reach_the_run(qtbot: QtBot, lab: Lab, begun_run: Callable[..., str]) -> None:
    lab.default_threads = 3
    assert lab.project.run(begun_run()).config.threads == 3


SECOND = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from rlhf_lab.gui import single
single._WAIT_MS = int(sys.argv[2])
app = QCoreApplication([])
second = single.SingleWindow(Path(sys.argv[1]))
assert not second.claim()
sys.exit(0 if second.raise_first() else 7)
"""


def second_start(folder: Path, wait_ms: int = 3000) -> QProcess:
    process = QProcess()
    process.start(sys.executable, ["-c", SECOND, str(folder), str(wait_ms)])
    assert process.waitForStarted()
    return process


def test_a_second_window_raises_the_first(qtbot: QtBot, tmp_path: Path) -> None:
    first, other = SingleWindow(tmp_path), SingleWindow(tmp_path)
    assert first.claim()
    first.listen()
    assert not other.claim()
    with qtbot.waitSignal(first.raise_asked, timeout=30_000):
        second = second_start(tmp_path)
    with qtbot.waitSignal(second.finished, timeout=30_000):
        pass
    assert second.exitCode() == 0
    first.close()
    assert other.claim()
    other.close()


def test_a_first_window_that_hangs_is_not_taken_for_raised(qtbot: QtBot, tmp_path: Path) -> None:
    first = SingleWindow(tmp_path)
    assert first.claim()
    first.listen()
    second = second_start(tmp_path, wait_ms=500)
    assert second.waitForFinished(30_000), "it waits for no answer for ever"  # meanwhile nothing here answers
    assert second.exitCode() == 7
    first.close()


def test_a_project_folder_that_cannot_be_used_is_said(
    qtbot: QtBot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from PySide6.QtCore import QTimer

    from rlhf_lab.gui import app

    (tmp_path / "file").write_text("")
    QTimer.singleShot(0, lambda: QApplication.activeModalWidget().close())
    assert app.main(tmp_path / "file" / "project") == 1
    assert "--project" in capsys.readouterr().err


def test_the_data_pane_leads_to_ranking_and_back(qtbot: QtBot, window: MainWindow, lab: Lab, project: Project) -> None:
    lab.pane_asked.emit("rank", {"dataset": "pairs"})
    pane = window.pane("rank")
    assert window.stack.currentWidget() is pane
    qtbot.keyClicks(pane.start.name, "Ada")
    qtbot.keyClick(pane.start.name, Qt.Key.Key_Return)
    qtbot.waitUntil(pane.bench.isVisible)
    assert pane.desk.dataset == "pairs"

    project.store.delete_dataset("pairs")
    lab.datasets_changed.emit()
    assert pane.empty.title.text() == "Nothing to rank yet"
    press(pane.empty.buttons["data"], qtbot)
    assert window.stack.currentWidget() is window.pane("data")


def test_a_long_name_of_a_project_makes_the_rail_no_wider(qtbot: QtBot, shown: Callable[..., Rail]) -> None:
    rail = shown(Rail(PLACES), 200, 600)
    before = rail.sizeHint().width()
    menu = QMenu(rail)
    rail.show_project(Path("/somewhere/experiments on politeness and length"), menu)
    assert rail.project.text().endswith("…")
    assert rail.sizeHint().width() == before
    rail.show_project(Path("/somewhere/ab"), menu)
    assert rail.project.text().strip() == "ab"
