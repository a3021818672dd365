"""What a training pane reads of a run while the run goes on: nothing that was said meanwhile is left out."""

from threading import Event

import pytest

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Metrics, Started
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.panes import training
from rlhf_lab.gui.panes.sft import SftPane
from rlhf_lab.gui.panes.training import TrainingPane
from rlhf_lab.store import Store


@pytest.fixture
def pane(qtbot, lab, begun_run) -> TrainingPane:
    begun_run()
    made = SftPane(lab)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(lambda: made.history is not None)
    return made


def step(number: int) -> Metrics:
    return Metrics(step=number, values={"train/loss": 3.0 / number})


def test_a_run_that_is_left_and_chosen_again_while_it_is_read_keeps_all_steps(
    qtbot, lab, fakes, model, pane, monkeypatch
) -> None:
    run = pane.run
    other = lab.start(SftConfig(dataset="talks", model=model))
    fakes.runs[run].feed(Started(device="cpu", total_steps=9), step(1))
    qtbot.waitUntil(lambda: "train/loss" in lab.project.store.curves(run))
    read, wait = training.load_history, [Event(), Event(), Event()]
    begun: list[str] = []

    def slowly(store: Store, name: str) -> RunHistory:
        found, number = read(store, name), len(begun)
        begun.append(name)
        assert wait[number].wait(20)
        return found

    monkeypatch.setattr(training, "load_history", slowly)
    pane.show_run(run)
    qtbot.waitUntil(lambda: begun == [run])
    fakes.runs[run].feed(step(2))
    qtbot.waitUntil(lambda: len(lab.project.store.curves(run)["train/loss"][0]) == 2)
    pane.show_run(other)
    qtbot.waitUntil(lambda: begun == [run, other])
    pane.show_run(run)
    qtbot.waitUntil(lambda: begun == [run, other, run])
    with qtbot.waitSignal(lab.message, timeout=300, raising=False):
        wait[0].set()
        wait[1].set()
    assert pane.history is None, "what was read before is not the newest"
    wait[2].set()
    qtbot.waitUntil(lambda: pane.history is not None)
    assert pane.history.curves["train/loss"].steps.tolist() == [1, 2]


def test_a_run_that_cannot_be_read_says_so_and_shows_what_comes(qtbot, lab, fakes, pane, monkeypatch) -> None:
    def broken(store: Store, name: str) -> RunHistory:
        raise LabError("The database is damaged.")

    monkeypatch.setattr(training, "load_history", broken)
    with qtbot.waitSignal(lab.message) as told:
        pane.show_run(pane.run)
    assert told.args == ["The database is damaged."]
    fakes.runs[pane.run].feed(Started(device="cpu", total_steps=9), step(1), step(2))
    qtbot.waitUntil(lambda: len(pane.history.curves.get("train/loss", ())) == 2)
    assert pane._early == []
