"""A small project, and following with a deadline."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.config import RunConfig, SftConfig
from rlhf_lab.core.events import AnyEvent, Finished
from rlhf_lab.core.records import Completion, Demonstration, Message, Pair, Prompt
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.follow import Limits, follow
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun, RunSource

FAKE_CHILD = (sys.executable, str(Path(__file__).with_name("fake_child.py")))
QUICK = Limits(look=0.02)
DEADLINE_S = 60.0


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.open(tmp_path / "project") as opened:
        with opened.store.new_dataset("talks", "lab", "demonstration") as writer:
            writer.add(
                Demonstration(prompt=_prompt(n), completion=Completion(text="Yes."), split=_split(n)) for n in range(8)
            )
        with opened.store.new_dataset("pairs", "lab", "pair") as writer:
            writer.add(
                Pair(
                    prompt=_prompt(n), chosen=Completion(text="Yes."), rejected=Completion(text="No!"), split=_split(n)
                )
                for n in range(8)
            )
        yield opened


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder that looks like a model from outside; nothing here loads it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return str(folder)


@pytest.fixture
def new_run(project: Project, model: str) -> Callable[..., RunFolder]:
    """Make a run whose child (`fake_child.py`) behaves as the note says."""

    def make(behaviour: str, **settings: object) -> RunFolder:
        config: RunConfig = SftConfig(dataset="talks", model=model, note=behaviour, **settings)
        return project.create_run(config)

    return make


def start(folder: RunFolder, *, resume: bool = False) -> ProcessRun:
    source = ProcessRun(folder, entry=FAKE_CHILD)
    source.start(resume)
    return source


def follow_on(
    source: RunSource,
    recorder: Recorder | None = None,
    *,
    until: Callable[[list[AnyEvent]], bool] = lambda events: False,
    stop: Callable[[list[AnyEvent]], bool] = lambda events: False,
    limits: Limits = QUICK,
) -> tuple[list[AnyEvent], Finished | None]:
    """Follow until the end or until a condition on the events; fails after a deadline."""
    events: list[AnyEvent] = []
    deadline = time.monotonic() + DEADLINE_S

    def leave() -> bool:
        assert time.monotonic() < deadline, f"nothing more after: {events[-5:]}"
        return until(events)

    finished = follow(
        source, recorder, events.extend, should_leave=leave, should_stop=lambda: stop(events), limits=limits
    )
    return events, finished


def _prompt(n: int) -> Prompt:
    return Prompt(messages=(Message(role="user", content=f"Is {n} a number?"),))


def _split(n: int) -> str:
    return "heldout" if n % 4 == 0 else "train"
