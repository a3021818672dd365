"""A save of a run by the name that people give it."""

from collections.abc import Callable

import pytest

from rlhf_lab.core.config import RewardConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.behaviour_models import models_of
from rlhf_lab.runs.checkpoints import at_step, saved_steps, split_name
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project


def save(folder: RunFolder, *steps: int) -> None:
    for step in steps:
        place = folder.checkpoints / f"step-{step}"
        place.mkdir(parents=True)
        (place / "manifest.json").write_text("{}")


def test_the_saves_that_are_there(new_run: Callable[..., RunFolder]) -> None:
    folder = new_run("done")
    assert saved_steps(folder) == []
    with pytest.raises(LabError, match=r"SFT 1 has no save of step 4\. It has none yet"):
        at_step(folder, 4)
    save(folder, 4, 12)
    (folder.checkpoints / ".step-20.new").mkdir()
    (folder.checkpoints / "step-16").mkdir()
    assert saved_steps(folder) == [12, 4]
    assert at_step(folder, 4) == folder.checkpoints / "step-4"
    with pytest.raises(LabError, match=r"SFT 1 has no save of step 8\. There are: sft-1@12 and sft-1@4"):
        at_step(folder, 8)


@pytest.mark.parametrize(
    ("name", "found"),
    [("ppo-3@40", ("ppo-3", 40)), ("ppo-3", ("ppo-3", None)), ("ppo-3@", ("ppo-3@", None)), ("a@1@2", ("a@1@2", None))],
)
def test_what_a_name_means(name: str, found: tuple[str, int | None]) -> None:
    assert split_name(name) == found


def test_a_report_can_be_of_a_save(project: Project, new_run: Callable[..., RunFolder], model: str) -> None:
    folder = new_run("running")
    save(folder, 4)
    with pytest.raises(LabError, match="or name a save of it: sft-1@4"):
        models_of(project, ["sft-1"])
    base, saved = models_of(project, ["base", "sft-1@4"])
    assert saved.name == "sft-1@4"
    assert saved.spec == ModelSpec(model=model, adapters=(folder.checkpoints / "step-4",))
    assert base.spec == ModelSpec(model=model)
    reward = project.create_run(RewardConfig(dataset="pairs", model=model))
    save(reward, 4)
    with pytest.raises(LabError, match="Reward 1 is no model to ask"):
        models_of(project, ["reward-1@4"])
