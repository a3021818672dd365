"""What holds for every pane: it fits a small screen, and every control has a name and can be reached."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QTabBar,
    QTabWidget,
    QWidget,
)

from rlhf_lab.core.config import RewardConfig
from rlhf_lab.gui.plots.base import LabPlot
from tests.gui.stories import reward_story

PANES = ("data", "rank", "sft", "reward", "policy", "compare", "runs")
CONTROLS = (QAbstractButton, QComboBox, QLineEdit, QPlainTextEdit, QSlider, LabPlot)


def shown_parts(pane: QWidget) -> list[QWidget]:
    return [w for w in pane.findChildren(QWidget) if w.isVisible()]


def every_tab(pane: QWidget):
    """Show each tab in turn; the pane as it is without tabs."""
    boards = [b for b in pane.findChildren(QTabWidget) if b.count()]
    for board in boards:
        for index in range(board.count()):
            board.setCurrentIndex(index)
            yield
    if not boards:
        yield


@pytest.mark.parametrize("name", PANES)
def test_it_fits_1280_by_800_with_a_run_that_lives(qtbot, window, lab, fakes, begun_run, name) -> None:
    run = begun_run()
    window.show_pane(name)
    if name == "sft":
        window.show_run(run)
    for _ in every_tab(window.pane(name)):
        assert_fits(window, window.pane(name))
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())


@pytest.mark.parametrize("name", PANES)
def test_controls_have_names_and_take_the_focus(qtbot, window, lab, begun_run, name) -> None:
    run = begun_run()
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())
    window.show_pane(name)
    pane = window.pane(name)
    for _ in every_tab(pane):
        for control in (w for w in shown_parts(pane) if isinstance(w, CONTROLS)):
            if control.parent() and isinstance(control.parent(), QComboBox | QTabWidget):
                continue  # the list's own line, the tab bar's own scroll buttons
            words = control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
            assert words, f"a {type(control).__name__} on {name} has no name"
            legend_of_one = control.property("look") == "legend" and not control.isCheckable()
            reachable = control.focusPolicy() & Qt.FocusPolicy.TabFocus or legend_of_one
            assert reachable, f"{words} on {name} cannot be reached by Tab"


@pytest.mark.parametrize("name", PANES)
def test_no_label_reads_markup(window, name) -> None:
    window.show_pane(name)

    for label in window.pane(name).findChildren(QLabel):
        assert label.textFormat() == Qt.TextFormat.PlainText, label.text()


def test_a_reward_model_with_a_diagnosis_fits_and_its_controls_have_names(qtbot, window, project, model) -> None:
    folder = project.create_run(RewardConfig(dataset="pairs", model=model))
    told = [e.model_copy(update={"seq": n, "attempt": 1}) for n, e in enumerate(reward_story(), 1)]
    project.store.record_events(folder.run, [(event, event.seq) for event in told])
    window.show_run(folder.run)
    pane = window.pane("reward")
    qtbot.waitUntil(lambda: pane.history is not None)
    for section in pane.launcher.form.sections.values():
        section.open()
    for _ in every_tab(pane):
        check(window, pane)


def test_import_and_export_fit_and_their_controls_have_names(qtbot, window, tmp_path) -> None:
    window.show_pane("data")
    pane = window.pane("data")
    file = tmp_path / "odd.csv"
    file.write_text("frage,gut,schlecht\n" + "Q?,ja,nein\n" * 3)
    pane.look_at([file, file])
    qtbot.waitUntil(lambda: pane.panel.go.isVisible())
    pane.panel.columns.open()
    check(window, pane.panel)
    pane.panel.cancel.click()
    pane.view.export.click()
    check(window, pane.exporter)


def assert_fits(window, pane: QWidget) -> None:
    """The pane needs no more than what the window has left for it."""
    assert (window.width(), window.height()) == (1280, 800)
    room, needed = window.stack.size(), pane.minimumSizeHint()
    assert needed.width() <= room.width()
    assert needed.height() <= room.height()


def check(window, panel: QWidget) -> None:
    assert_fits(window, window.stack.currentWidget())
    for control in (w for w in shown_parts(panel) if isinstance(w, CONTROLS)):
        if isinstance(control.parent(), QComboBox | QAbstractSpinBox | QTabBar):
            continue
        if control.property("look") == "legend" and not control.isCheckable():
            continue
        words = control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
        assert words, f"a {type(control).__name__} has no name"
        assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, f"{words} cannot be reached by Tab"
    for label in panel.findChildren(QLabel):
        assert label.textFormat() == Qt.TextFormat.PlainText, label.text()
