"""Going on with a run: what can be changed, what is refused, and what another run stands on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf_lab.core.config import STAGES, BestOfNConfig, PpoConfig, RewardConfig, SftConfig, total_field, total_steps
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Finished, Progress, Resumed, Started
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.going_on import can_change, go_on_with, standing_on
from rlhf_lab.runs.log import EventLog
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from tests.fakes import leave_adapter

from .conftest import follow_on, start

NewRun = Callable[..., RunFolder]

pytestmark = pytest.mark.usefixtures("warm_children")


def end(project: Project, folder: RunFolder, outcome: str, steps: int) -> str:
    """As a child would that got so far: a log and an adapter."""
    total = total_steps(folder.config)
    with EventLog(folder.events_path, folder.claim_attempt()) as log:
        log.append(Started(device="fake", total_steps=total))
        log.append(Progress(step=steps, done=steps, total=total))
        log.append(Finished(step=steps, outcome=outcome))
    leave_adapter(folder)
    Recorder(project.store).catch_up(folder)
    return folder.run


def test_every_stage_but_best_of_n_can_be_made_longer() -> None:
    assert {stage: total_field(stage) for stage in STAGES} == {
        "sft": "max_steps",
        "reward": "max_steps",
        "ppo": "updates",
        "rloo": "updates",
        "dpo": "max_steps",
        "best_of_n": None,
    }
    assert can_change(PpoConfig()) == (
        "kl_coef",
        "learning_rate",
        "updates",
        "micro_batch_size",
        "gradient_checkpointing",
        "model",
    )
    assert can_change(BestOfNConfig()) == ("micro_batch_size", "model")


def test_a_finished_run_goes_on_to_a_new_total(project: Project, new_run: NewRun) -> None:
    """With the real child around fake work: the run's total, its bar and its end are the new ones."""
    folder = new_run("", max_steps=4)
    recorder = Recorder(project.store)
    follow_on(start(folder), recorder)
    row = project.run_row(folder.run)
    assert (row.outcome, row.step, row.total) == ("done", 4, 4)

    assert go_on_with(project, folder.run, {"max_steps": 6}).run == folder.run
    assert folder.config.max_steps == 6
    assert '"max_steps":6' in project.store.run_config(folder.run)
    events, finished = follow_on(start(folder, resume=True), recorder)
    assert finished is not None
    assert finished.outcome == "done"
    assert any(isinstance(event, Resumed) for event in events)
    row = project.run_row(folder.run)
    assert (row.outcome, row.step, row.total) == ("done", 6, 6)
    assert project.store.curves(folder.run)["train/loss"][0] == [1, 2, 3, 4, 5, 6]


def test_a_done_run_says_how_to_go_further(project: Project, new_run: NewRun) -> None:
    run = end(project, new_run("", max_steps=5), "done", 5)
    with pytest.raises(LabError, match=rf"done: 5 steps.*rlhf-lab resume {run} --set max_steps=10"):
        go_on_with(project, run)
    for total in (5, 3):
        with pytest.raises(LabError, match="is done"):
            go_on_with(project, run, {"max_steps": total})
    assert project.run(run).config.max_steps == 5


def test_a_stopped_run_goes_on_as_it_was_longer_or_shorter_but_not_backwards(project: Project, new_run: NewRun) -> None:
    run = end(project, new_run("", max_steps=9), "stopped", 4)
    for changes, total in (({}, 9), ({"max_steps": 20}, 20), ({"max_steps": 5}, 5)):
        assert total_steps(go_on_with(project, run, changes).config) == total
    with pytest.raises(LabError, match="has done 4 already"):
        go_on_with(project, run, {"max_steps": 4})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"batch_size": 8},
            "--set batch_size: a run that has begun can only change learning_rate, max_steps, micro_batch_size, gradient_checkpointing and model",
        ),
        ({"kl_coef": 0.1}, "--set kl_coef: a run that has begun can only change"),
        ({"max_steps": -1}, "max_steps: Input should be greater than or equal to 1"),
        ({"max_steps": "many"}, "max_steps: Input should be a valid integer"),
        ({"learning_rate": 7}, "learning_rate: Input should be less than or equal to 1"),
        ({"model": "/nowhere/model"}, "model: '/nowhere/model' is not there"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_nothing_changes(
    project: Project, new_run: NewRun, changes: dict[str, object], words: str
) -> None:
    run = end(project, new_run("", max_steps=9), "stopped", 4)
    before = project.run(run).config
    with pytest.raises(LabError, match=words):
        go_on_with(project, run, changes)
    assert project.run(run).config == before


def test_live_settings_are_left_to_the_run_itself(project: Project, new_run: NewRun) -> None:
    run = end(project, new_run("", max_steps=9), "stopped", 4)
    assert go_on_with(project, run, {"learning_rate": 0.5}).config.learning_rate == SftConfig().learning_rate


def test_a_base_that_lies_elsewhere_now_can_be_named(
    project: Project, new_run: NewRun, model: str, tmp_path: Path
) -> None:
    run = end(project, new_run("", max_steps=9), "stopped", 4)
    moved = Path(model).rename(tmp_path / "moved")
    assert go_on_with(project, run, {"model": str(moved)}).config.model == str(moved)


def test_nothing_goes_on_while_another_run_stands_on_it(project: Project, new_run: NewRun, model: str) -> None:
    sft = end(project, new_run("", max_steps=4), "done", 4)
    reward = project.create_run(RewardConfig(dataset="pairs", model=model, start_from=sft, max_steps=3))
    assert standing_on(project, sft) == [reward.run], "it waits, and would begin from something else"
    with pytest.raises(LabError, match="Reward 1 stands on the result of SFT 1"):
        go_on_with(project, sft, {"max_steps": 8})
    cancelled = project.create_run(RewardConfig(dataset="pairs", model=model, start_from=sft, max_steps=3))
    project.cancel(cancelled.run)
    assert standing_on(project, sft) == [reward.run]
    end(project, reward, "stopped", 1)
    ppo = project.create_run(
        PpoConfig(dataset="talks", model=model, start_from=sft, reward_model=reward.run, updates=3)
    )
    end(project, ppo, "done", 3)
    assert standing_on(project, sft) == [reward.run, ppo.run]
    assert standing_on(project, reward.run) == [ppo.run]
    with pytest.raises(LabError, match=r"Reward 1 and PPO 1 stand on the result of SFT 1.*would change"):
        go_on_with(project, sft, {"max_steps": 8})
    with pytest.raises(LabError, match="PPO 1 stands on the result of Reward 1"):
        go_on_with(project, reward.run)
    assert go_on_with(project, ppo.run, {"updates": 5}).config.updates == 5


def test_a_run_that_lives_is_left_alone(project: Project, new_run: NewRun) -> None:
    folder = new_run("until stopped", max_steps=9)
    source, recorder = start(folder), Recorder(project.store)
    follow_on(source, recorder, until=lambda events: any(isinstance(event, Progress) for event in events))
    with pytest.raises(LabError, match="already running"):
        go_on_with(project, folder.run, {"max_steps": 20})
    follow_on(source, recorder, stop=lambda events: True)
