"""More steps for a run that is done, from the Runs pane and the pane of its stage."""

import pytest
from PySide6.QtCore import Qt

from rlhf_lab.core.events import Finished, Progress, Started
from rlhf_lab.gui.panes.runs import RunsPane
from rlhf_lab.gui.widgets.go_on import FurtherDialog
from tests.fakes import leave_adapter

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def done_run(qtbot, lab, fakes, begun_run):
    run = begun_run(max_steps=3)
    fakes.runs[run].feed(
        Started(device="cpu", total_steps=3), Progress(step=3, done=3, total=3), Finished(step=3, outcome="done")
    )
    qtbot.waitUntil(lambda: not lab.live())
    return run


@pytest.fixture
def pane(qtbot, window):
    window.show_pane("runs")
    return window.pane("runs")


def asked(window) -> FurtherDialog:
    return window.findChild(FurtherDialog)


def test_a_done_run_is_given_a_greater_total(qtbot, window, lab, fakes, done_run, pane: RunsPane) -> None:
    assert pane.resume.text().strip() == "More steps…"
    qtbot.mouseClick(pane.resume, LEFT)
    dialog = asked(window)
    assert (dialog.total.minimum(), dialog.total.value()) == (4, 6)
    dialog.total.selectAll()
    qtbot.keyClicks(dialog.total, "12")
    qtbot.mouseClick(dialog.go_on, LEFT)
    qtbot.waitUntil(lambda: fakes.begun[-1] == (done_run, "resume"))
    assert lab.project.run(done_run).config.max_steps == 12
    assert (lab.state(done_run).step, lab.state(done_run).total) == (3, 12)
    assert not pane.resume.isEnabled()
    lab.stop(done_run)
    qtbot.waitUntil(lambda: not lab.live())
    assert pane.resume.text().strip() == "Resume"


def test_leaving_the_dialog_changes_nothing(qtbot, window, lab, fakes, done_run, pane: RunsPane) -> None:
    qtbot.mouseClick(pane.resume, LEFT)
    qtbot.keyClick(asked(window), Qt.Key.Key_Escape)
    assert lab.project.run(done_run).config.max_steps == 3
    assert fakes.begun == [(done_run, "start")]


def test_the_header_of_its_stage_offers_it_too(qtbot, window, lab, fakes, done_run) -> None:
    window.show_run(done_run)
    header = window.pane("sft").header
    qtbot.waitUntil(header.resume.isVisible)
    assert header.resume.text().strip() == "More steps…"
    qtbot.mouseClick(header.resume, LEFT)
    qtbot.keyClick(asked(window), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: fakes.begun[-1] == (done_run, "resume"))
    qtbot.waitUntil(lambda: not header.resume.isVisible())
    lab.stop(done_run)
    qtbot.waitUntil(lambda: not lab.live())


def test_a_run_that_others_stand_on_says_why_it_stays(
    qtbot, window, lab, fakes, done_run, pane: RunsPane, model
) -> None:
    from rlhf_lab.core.config import RewardConfig

    folder = lab.project.run(done_run)
    leave_adapter(folder)
    reward = lab.project.create_run(RewardConfig(dataset="pairs", model=model, start_from=done_run))
    reward.claim_attempt()
    qtbot.mouseClick(pane.resume, LEFT)
    qtbot.keyClick(asked(window), Qt.Key.Key_Return)
    reason = "Reward 1 stands on the result of SFT 1"
    qtbot.waitUntil(lambda: any(reason in one.text for one in window.messages.messages()))
    assert fakes.begun == [(done_run, "start")]
