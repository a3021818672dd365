"""What is told of a project whose folder goes away, and of runs that wait or found something damaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from rlhf_lab.core.events import Finished, Metrics, Paused, Progress, Started, Warned
from rlhf_lab.core.out_of_memory import LESS_MEMORY, advice
from rlhf_lab.gui.ground import Ground
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.widgets.message_bar import MessageBar
from tests.gui.conftest import FakeRuns

BeginRun = Callable[..., str]


def texts(window: MainWindow) -> list[str]:
    return [message.text for message in window.messages.messages()]


def test_a_folder_that_goes_and_comes_back_is_told(qtbot: QtBot, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "lab.sqlite").write_bytes(b"")
    bar = MessageBar()
    qtbot.addWidget(bar)
    ground = Ground(folder / "lab.sqlite", bar)
    ground.look()
    assert not [m for m in bar.messages() if "is gone" in m.text]
    folder.rename(tmp_path / "away")
    ground.look()
    ground.look()
    [message] = [m for m in bar.messages() if "is gone" in m.text]
    assert str(folder) in message.text
    (tmp_path / "away").rename(folder)
    ground.look()
    assert [m.text for m in bar.messages() if "project folder" in m.text] == [f"The project folder {folder} is back."]
    (folder / "lab.sqlite").rename(folder / "old")
    (folder / "lab.sqlite").write_bytes(b"")
    ground.look()
    assert any("is another file than the one that was opened" in m.text for m in bar.messages())
    ground.close()


def test_a_run_that_waits_says_for_what_until_it_goes_on(
    qtbot: QtBot, window: MainWindow, lab: Lab, fakes: FakeRuns, begun_run: BeginRun
) -> None:
    run = begun_run()
    fakes.runs[run].feed(Started(device="cpu", total_steps=9), Progress(step=1, done=1, total=9))
    fakes.runs[run].feed(Paused(paused=True, reason="No space: 34 MB are needed."))
    qtbot.waitUntil(lambda: texts(window) == ["SFT 1 waits. No space: 34 MB are needed."])
    assert window.strip.doing.text() == "Waiting. No space: 34 MB are needed."
    assert not window.strip.pause.isEnabled()
    fakes.runs[run].feed(Paused(paused=False), Metrics(step=2, values={"train/loss": 1.0}))
    qtbot.waitUntil(lambda: texts(window) == ["SFT 1 goes on."])
    assert window.strip.pause.isEnabled()


def test_a_damaged_checkpoint_is_told_wherever_the_person_is(
    qtbot: QtBot, window: MainWindow, lab: Lab, fakes: FakeRuns, begun_run: BeginRun
) -> None:
    run = begun_run()
    window.show_pane("data")
    fakes.runs[run].feed(
        Warned(code="checkpoint_damaged", text="A checkpoint is damaged."), Warned(code="cut", text="x")
    )
    qtbot.waitUntil(lambda: texts(window) == ["SFT 1: A checkpoint is damaged."])


@pytest.mark.parametrize(
    ("advised", "offered"),
    [
        (advice(2, 3 << 30), {"micro_batch_size": 2}),
        (advice(1, 3 << 30, checkpointing=True), {"micro_batch_size": 1, "gradient_checkpointing": "on"}),
        (LESS_MEMORY, {"micro_batch_size": 4}),
        (advice(None, 3 << 30), {}),
    ],
)
def test_a_run_out_of_memory_offers_to_go_on_with_a_smaller_micro_batch(
    qtbot: QtBot,
    window: MainWindow,
    lab: Lab,
    fakes: FakeRuns,
    begun_run: BeginRun,
    advised: str,
    offered: dict[str, Any],
) -> None:
    run = begun_run(micro_batch_size=8)
    fakes.runs[run].feed(Finished(outcome="failed", message=f"Not enough memory. {advised}"))
    qtbot.waitUntil(lambda: bool(texts(window)) and run not in lab.live())
    [message] = window.messages.messages()
    buttons = [b for b in message.findChildren(QPushButton) if b.text().startswith("Go on with micro-batch")]
    if not offered:
        assert not buttons
        return
    [button] = buttons
    also = " and checkpointing" if len(offered) > 1 else ""
    assert button.text() == f"Go on with micro-batch {offered['micro_batch_size']}{also}"
    button.click()
    qtbot.waitUntil(lambda: fakes.begun[-1] == (run, "resume"))
    assert lab.project.run(run).config.model_dump().items() >= offered.items()
