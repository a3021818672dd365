"""The real child with the real engine on the bundled model: train, stop, resume, and ask the result."""

from itertools import islice, takewhile
from pathlib import Path

import pytest

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.events import AnyEvent, Checkpointed, Metrics, Phase, Resumed, Started, Warned
from rlhf_lab.runs.by_heart import by_heart
from rlhf_lab.runs.child import stage_of
from rlhf_lab.runs.experiment import guided, guided_config
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun

from .conftest import follow_on


@pytest.fixture
def bundled(bundled_data: Path) -> Project:
    return Project.open(bundled_data)


def test_sft_stops_and_resumes(bundled: Project, request: pytest.FixtureRequest) -> None:
    config = SftConfig(
        dataset="lab world demonstrations",
        max_steps=12,
        batch_size=4,
        micro_batch_size=0,
        eval_size=4,
        lora_r=2,
        max_prompt_tokens=48,
        max_new_tokens=8,
        threads=1,
    )
    with bundled as project:
        folder = project.create_run(config)
        assert folder.manifest.gold

        def first_step_done(events: list[AnyEvent]) -> bool:
            return any(isinstance(e, Metrics) and e.step == 1 for e in events)

        recorder = Recorder(project.store)
        source = ProcessRun(folder)
        source.start()
        events, stopped = follow_on(source, recorder, stop=first_step_done)
        assert stopped is not None
        assert stopped.outcome == "stopped", folder.child_log_path.read_text()
        assert any(isinstance(e, Started) for e in events)
        assert any(isinstance(e, Phase) and e.name == "micro-batch of 4, as memory allows" for e in events)
        assert any(isinstance(e, Checkpointed) for e in events)
        assert folder.has_result()

        request.getfixturevalue("warm_children")  # how one starts has been seen
        source = ProcessRun(folder)
        source.start(resume=True)
        events, finished = follow_on(source, recorder)
        assert finished is not None
        assert finished.outcome == "done", folder.child_log_path.read_text()
        assert any(isinstance(e, Resumed) and e.step == stopped.step for e in events)
        assert project.store.curves(folder.run)["train/loss"][0] == list(range(1, 13))
        assert folder.path.joinpath("adapter").stat().st_mode & 0o777 == 0o700


def test_a_run_that_would_learn_its_data_by_heart_says_so_when_it_begins(bundled: Project) -> None:
    with bundled as project:
        with project.store.new_dataset("two", "lab", "demonstration") as writer:
            writer.add(islice(project.store.records("lab world demonstrations", "train"), 2))
        folder = project.create_run(SftConfig(dataset="two", max_steps=21, batch_size=2, threads=1))
        events = stage_of(folder, NoControl(), False)
        begun = list(takewhile(lambda event: not isinstance(event, Started), events))
        events.close()
        assert [event.text for event in begun if isinstance(event, Warned)] == [by_heart(folder.config, 2)]


def test_the_guided_experiment_chains_its_runs() -> None:
    runs = {"sft": "sft-4", "reward": "reward-2"}
    configs = {name: guided_config(name, 3, runs) for name in guided().stages}
    assert list(configs) == ["sft", "reward", "ppo"]
    assert {config.seed for config in configs.values()} == {3}
    assert configs["sft"].start_from is None
    assert configs["reward"].start_from == configs["ppo"].start_from == "sft-4"
    assert configs["ppo"].reward_model == "reward-2"
