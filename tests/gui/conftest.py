"""A small project, a lab whose runs are fakes, and a window on it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.records import Completion, Demonstration, Message, Pair, Prompt
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.panes.compare import ComparePane
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.theme import theme
from rlhf_lab.runs.ask import Reply
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.source import RunSource
from tests.fakes import FakeRun
from tests.gui.asked import FakeInference

W = TypeVar("W", bound=QWidget)


class FakeRuns:
    """Begins fakes instead of children, by run id; notes how each was begun."""

    def __init__(self) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.begun: list[tuple[str, str]] = []

    def begin(self, folder: RunFolder, how: str) -> RunSource:
        self.begun.append((folder.run, how))
        attempt = self.runs[folder.run].attempt + 1 if folder.run in self.runs else 1
        self.runs[folder.run] = FakeRun(folder.run, attempt)
        return self.runs[folder.run]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.open(tmp_path / "project", busy_ms=50) as opened:
        with opened.store.new_dataset("talks", "lab", "demonstration") as writer:
            writer.add(
                Demonstration(prompt=prompt(n), completion=Completion(text=f"Yes, {n} is one."), split=split(n))
                for n in range(40)
            )
        with opened.store.new_dataset("pairs", "lab", "pair") as writer:
            writer.add(
                Pair(
                    prompt=prompt(n),
                    chosen=Completion(text=f"Yes, {n} is one."),
                    rejected=Completion(text=f"No, {n} is none."),
                    split=split(n),
                )
                for n in range(40)
            )
        yield opened


@pytest.fixture
def qtbot(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> QtBot:
    """A pane that a test shows on its own is a window, and wears what the lab's windows wear."""
    add = qtbot.addWidget

    def add_dressed(widget: QWidget, **how: Any) -> None:
        if widget.isWindow() and not widget.styleSheet():
            theme().dress(widget)
        add(widget, **how)

    monkeypatch.setattr(qtbot, "addWidget", add_dressed)
    return qtbot


@pytest.fixture
def fakes() -> FakeRuns:
    return FakeRuns()


@pytest.fixture
def lab(
    qtbot: QtBot, project: Project, fakes: FakeRuns, warm_children: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lab]:
    made = Lab(project, fakes.begin)
    # At its close each would have the collector walk through all that the tests have imported again.
    monkeypatch.setattr(made.collector, "settle", lambda: None)
    yield made
    made.let_go()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "settings.ini")


@pytest.fixture
def window(qtbot: QtBot, lab: Lab, settings: Settings) -> MainWindow:
    made = MainWindow(lab, settings)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.show()
    qtbot.waitUntil(made.isVisible)
    return made


@pytest.fixture
def shown(qtbot: QtBot, lab: Lab) -> Callable[[W, int, int], W]:
    """Show a pane or a part of one; the lab is let go before it closes."""

    def show(made: W, width: int, height: int) -> W:
        qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
        made.resize(width, height)
        with qtbot.waitExposed(made):
            made.show()
        return made

    return show


@pytest.fixture
def inference() -> list[FakeInference]:
    """The child of a Compare pane, once something was asked."""
    return []


@pytest.fixture
def open_compare(
    lab: Lab, shown: Callable[..., ComparePane], inference: list[FakeInference]
) -> Callable[[], ComparePane]:
    """Show a Compare pane whose child notes what it is asked."""

    def make(folder: Path, say: Callable[[Reply], object]) -> FakeInference:
        inference.append(FakeInference(folder, say))
        return inference[0]

    return lambda: shown(ComparePane(lab, make), 1120, 740)


@pytest.fixture
def begun_run(qtbot: QtBot, lab: Lab, fakes: FakeRuns, model: str) -> Callable[..., str]:
    """Start a run and wait until its fake is there."""

    def start(**fields: object) -> str:
        run = lab.start(SftConfig(dataset="talks", model=model, **fields))
        qtbot.waitUntil(lambda: run in fakes.runs)
        return run

    return start


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder that looks like a model from outside; nothing here loads it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return str(folder)


def prompt(n: int) -> Prompt:
    return Prompt(messages=(Message(role="user", content=f"Is {n} a number?"),))


def split(n: int) -> str:
    return "heldout" if n % 10 == 0 else "train"
