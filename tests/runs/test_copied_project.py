"""A project whose folder was copied or moved: its runs, their model inside it, and who trains them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf_lab.core.config import PpoConfig, RewardConfig, SftConfig
from rlhf_lab.core.events import Progress, Resumed
from rlhf_lab.core.resources import resource
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.going_on import go_on_with
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun

from .conftest import follow_on, start
from .test_going_on import end


@pytest.fixture
def inside(project: Project, model: str) -> str:
    """The model, inside the project."""
    return str(shutil.copytree(model, project.models_folder / "mine"))


def moved(project: Project) -> Path:
    """The project somewhere else, and nothing where it was."""
    project.close()
    return project.folder.rename(project.folder.with_name("elsewhere"))


def test_a_model_inside_the_project_moves_with_it(project: Project, inside: str) -> None:
    reward = end(project, project.create_run(RewardConfig(dataset="pairs", model=inside, max_steps=2)), "done", 2)
    ppo = project.create_run(PpoConfig(dataset="talks", model=inside, reward_model=reward, updates=3))
    end(project, ppo, "stopped", 1)
    assert ppo.config.model == ppo.manifest.reward_model == inside
    assert json.loads((ppo.path / "config.json").read_text())["model"] == "./models/mine"
    assert json.loads((ppo.path / "manifest.json").read_text())["reward_model"] == "./models/mine"

    folder = moved(project)
    with Project.open(folder) as there:
        now = str(folder / "models" / "mine")
        assert there.run(ppo.run).config.model == there.run(ppo.run).manifest.reward_model == now
        assert there.model_spec(ppo.run).model == now
        assert go_on_with(there, ppo.run, {"updates": 4}).config.updates == 4
        again = PpoConfig(dataset="talks", model=now, reward_model=reward, start_from=ppo.run)
        assert there.check(again) == [], "the same base, by its new name"
        assert there.reindex() == 2
        assert [row.outcome for row in there.store.runs()] == ["done", "stopped"]


def test_any_other_model_keeps_its_name(project: Project, model: str) -> None:
    for name in (model, "bundled"):
        folder = project.create_run(SftConfig(dataset="talks", model=name))
        assert json.loads((folder.path / "config.json").read_text())["model"] == folder.config.model == name


def test_the_copy_of_a_run_that_lives_is_nobodys(
    project: Project, new_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    """Its process trains the original: the copy was interrupted, and goes on by itself."""
    folder = new_run("until stopped", max_steps=9)
    source, recorder = start(folder), Recorder(project.store)
    follow_on(source, recorder, until=lambda events: any(isinstance(event, Progress) for event in events))
    shutil.copytree(project.folder, tmp_path / "copy")
    with Project.open(tmp_path / "copy") as copy:
        found = copy.recover()
        assert [run.run for run in found.interrupted] == [folder.run]
        assert found.live == []
        assert copy.run_row(folder.run).outcome == "interrupted"
        resumed = start(go_on_with(copy, folder.run), resume=True)
        _, finished = follow_on(resumed, Recorder(copy.store))
        assert finished is not None
        assert finished.outcome == "done"
        assert copy.run_row(folder.run).step == 9
    assert [run.run for run in project.recover().live] == [folder.run]
    _, stopped = follow_on(source, recorder, stop=lambda events: True)
    assert stopped is not None
    assert stopped.outcome == "stopped"


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_a_real_run_on_a_model_inside_goes_on_where_the_project_is_now(tmp_path: Path) -> None:
    settings = {
        "batch_size": 2,
        "max_prompt_tokens": 32,
        "max_new_tokens": 4,
        "eval_size": 2,
        "eval_every": 0,
        "lora_r": 2,
    }
    with Project.open(tmp_path / "project") as project:
        inside = shutil.copytree(resource("model"), project.models_folder / "mine")
        config = SftConfig(dataset="lab world demonstrations", model=str(inside), max_steps=2, threads=1, **settings)
        folder = project.create_run(config)
        source = ProcessRun(folder)
        source.start()
        _, finished = follow_on(source, Recorder(project.store))
        assert finished is not None
        assert finished.outcome == "done", folder.child_log_path.read_text()
    there = moved(project)
    with Project.open(there) as project:
        folder = go_on_with(project, folder.run, {"max_steps": 3})
        source = ProcessRun(folder)
        source.start(resume=True)
        events, finished = follow_on(source, Recorder(project.store))
        assert finished is not None
        assert finished.outcome == "done", folder.child_log_path.read_text()
        assert [event.step for event in events if isinstance(event, Resumed)] == [2], (
            "it goes on, and does not begin anew"
        )
        assert project.store.curves(folder.run)["train/loss"][0] == [1, 2, 3]
