from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.events import Finished, Metrics, Progress, Started
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.runs_table import COLUMNS
from rlhf_lab.gui.panes.runs import RunsPane


def opened(qtbot: QtBot, lab: Lab) -> RunsPane:
    pane = RunsPane(lab)
    qtbot.addWidget(pane, before_close_func=lambda widget: lab.let_go())
    with qtbot.waitExposed(pane):
        pane.show()
    return pane


def cell(pane: RunsPane, row: int, column: str) -> str:
    return pane.model.index(row, COLUMNS.index(column)).data()


def test_without_runs_it_says_where_to_begin(qtbot, lab) -> None:
    pane = opened(qtbot, lab)

    assert pane.empty.isVisible()
    assert "SFT pane" in pane.empty.text()


def test_runs_are_listed_with_their_figures_the_newest_first(qtbot, lab, fakes, begun_run) -> None:
    pane = opened(qtbot, lab)
    first = begun_run()
    fakes.runs[first].feed(
        Started(device="cpu", total_steps=2),
        Metrics(step=2, values={"eval/loss": 0.5}),
        Progress(step=2, done=2, total=2),
        Finished(step=2, outcome="failed", message="<i>The loss</i> was NaN."),
    )
    qtbot.waitUntil(lambda: lab.state(first).outcome == "failed" and not lab.live())
    second = begun_run()
    fakes.runs[second].feed(Started(device="cpu", total_steps=5))
    qtbot.waitUntil(lambda: lab.state(second).outcome == "running")

    assert pane.model.rowCount() == 2
    assert (cell(pane, 0, "Run"), cell(pane, 0, "Status")) == ("SFT 2", "▶ running")
    assert (cell(pane, 1, "Run"), cell(pane, 1, "Status")) == ("SFT 1", "✕ failed")
    assert cell(pane, 1, "Key figures") == "loss 0.50"
    assert cell(pane, 1, "Steps") == "2 of 2"
    assert cell(pane, 1, "Message") == "<i>The loss</i> was NaN."
    lab.stop(second)
    qtbot.waitUntil(lambda: not lab.live())


def test_the_size_of_a_run_is_told_when_it_begins_and_again_when_it_has_ended(qtbot, lab, fakes, begun_run) -> None:
    pane = opened(qtbot, lab)
    run = begun_run()
    fakes.runs[run].feed(Started(device="cpu", total_steps=2))
    qtbot.waitUntil(lambda: cell(pane, 0, "Size").endswith((" B", " kB")))
    (lab.project.run(run).path / "adapter").mkdir()
    (lab.project.run(run).path / "adapter" / "adapter_model.safetensors").write_bytes(b"x" * 3_000_000)
    fakes.runs[run].feed(Finished(outcome="done"))
    qtbot.waitUntil(lambda: cell(pane, 0, "Size") == "3.0 MB")
    qtbot.waitUntil(lambda: pane.filter.found.text() == "1 · 3.0 MB")


def test_a_run_is_opened_by_enter_and_resumed_by_its_button(qtbot, lab, fakes, begun_run) -> None:
    run = begun_run()
    fakes.runs[run].feed(Started(device="cpu", total_steps=2), Finished(outcome="stopped"))
    qtbot.waitUntil(lambda: not lab.live())
    pane = opened(qtbot, lab)
    assert pane.run() == run

    with qtbot.waitSignal(lab.run_asked, check_params_cb=lambda asked: asked == run):
        qtbot.keyClick(pane.table, Qt.Key.Key_Return)

    qtbot.mouseClick(pane.resume, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: fakes.begun[-1] == (run, "resume"))
    qtbot.waitUntil(pane.stop.isEnabled)
    assert not pane.resume.isEnabled()

    qtbot.mouseClick(pane.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: lab.state(run).outcome == "stopped" and not lab.live())


def test_what_waits_has_its_turn_earlier_or_later_or_not_at_all(qtbot, lab, fakes, model) -> None:
    pane = opened(qtbot, lab)
    runs = []
    for steps in (1, 2, 3, 4):
        runs.append(lab.start(SftConfig(dataset="talks", model=model, max_steps=steps)))
        qtbot.waitUntil(lambda: runs[-1] in [*lab.live(), *lab.in_line()])
    assert lab.in_line() == ["sft-2", "sft-3", "sft-4"]
    pane.select("sft-1")
    assert not pane.queue.isVisible()

    pane.select("sft-4")
    assert pane.queue.isVisible()
    assert not pane.queue.later.isEnabled()
    qtbot.mouseClick(pane.queue.earlier, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(pane.queue.earlier, Qt.MouseButton.LeftButton)
    assert lab.in_line() == ["sft-4", "sft-2", "sft-3"]
    assert [cell(pane, row, "Status") for row in range(3)] == ["… queued (1)", "… queued (3)", "… queued (2)"]
    assert not pane.queue.earlier.isEnabled()
    pane.select("sft-2")
    qtbot.mouseClick(pane.queue.later, Qt.MouseButton.LeftButton)
    assert lab.in_line() == ["sft-4", "sft-3", "sft-2"]
    assert pane.stop.text() == "Cancel"
    qtbot.mouseClick(pane.stop, Qt.MouseButton.LeftButton)
    assert lab.in_line() == ["sft-4", "sft-3"]

    fakes.runs["sft-1"].feed(Started(device="cpu", total_steps=1), Finished(outcome="done"))
    qtbot.waitUntil(lambda: "sft-4" in fakes.runs)
    lab.stop("sft-3")
    lab.stop("sft-4")
    qtbot.waitUntil(lambda: not lab.live())
    assert list(fakes.runs) == ["sft-1", "sft-4"]
