"""The real child with too little memory: it says what would fit, and goes on with that."""

import sys

import pytest

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.events import AnyEvent, Finished, Metrics
from rlhf_lab.core.out_of_memory import advised_in
from rlhf_lab.core.records import Completion, Demonstration, Message, Prompt
from rlhf_lab.runs import host
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.going_on import go_on_with
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun

from .conftest import follow_on

ROOM = 680 * 2**20
"""With the bundled model 32 rows of 151 tokens take about 540 MB, 60 of them, which is what 64 are cut to, about 900 MB."""
CHILD = (*host.PYTHON, "tests.runs.limited_child", str(ROOM))


def trained(project: Project, folder: RunFolder, *, resume: bool = False) -> tuple[list[AnyEvent], Finished]:
    source = ProcessRun(folder, entry=CHILD)
    source.start(resume)
    events, finished = follow_on(source, Recorder(project.store))
    assert finished is not None
    return events, finished


@pytest.mark.usefixtures("warm_children")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no limit is kept")
def test_a_run_out_of_memory_goes_on_with_the_micro_batch_that_it_names(project: Project) -> None:
    asked = Prompt(messages=(Message(role="user", content="Is tea hot?"),))
    answer = Completion(text="tea " * 140)
    with project.store.new_dataset("long", "lab", "demonstration") as writer:
        writer.add(Demonstration(prompt=asked, completion=answer, split="train") for _ in range(64))
    sizes = {"batch_size": 64, "micro_batch_size": 64, "max_new_tokens": 160}
    folder = project.create_run(SftConfig(dataset="long", max_steps=1, threads=1, lora_r=2, **sizes))
    _, failed = trained(project, folder)
    assert failed.outcome == "failed", failed.message
    assert failed.message.startswith("Not enough memory."), failed.message
    changes = advised_in(failed.message)
    assert changes == {"micro_batch_size": 32}
    go_on_with(project, folder.run, changes)
    events, done = trained(project, folder, resume=True)
    assert done.outcome == "done", done.message
    assert [event.step for event in events if isinstance(event, Metrics) and "train/loss" in event.values] == [1]
