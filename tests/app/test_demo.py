"""The guided experiment in the terminal, with real children on the bundled model, but few steps and questions."""

import itertools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rlhf_lab import headless_recipes
from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Finished
from rlhf_lab.core.recipe import Recipe
from rlhf_lab.core.records import load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.runs import experiment, host
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project
from rlhf_lab.terminal import Terminal

SHAPE = {
    "sft": {"run", "loss_first", "loss_last"},
    "reward": {"run", "heldout_accuracy", "heldout_accuracy_clean", "heldout_n"},
    "ppo": {
        "run",
        "score_before",
        "score_after",
        "score_sd_before",
        "gold_before",
        "gold_after",
        "gold_gain_interval",
        "kl_after",
        "harmless_refused",
        "ratio_first_update",
        "kl_first_update",
    },
    "quiz": {"base", "sft", "ppo"},
}


@pytest.fixture
def few_questions(tmp_path: Path) -> Path:
    """A project that has a short quiz already; the other data sets are the bundled ones."""
    with (
        Project.open(tmp_path / "project") as project,
        resource("datasets/lab-world-quiz.jsonl").open("rb") as lines,
        project.store.new_dataset(experiment.QUIZ, "lab", "prompt") as writer,
    ):
        writer.add([load_record(line) for line in itertools.islice(lines, 3)])
    return tmp_path / "project"


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = experiment.guided

    def short(seed: int) -> Recipe:
        steps = {"sft.max_steps": 2, "reward.max_steps": 2, "updates": 1}
        small = {"batch_size": 8, "micro_batch_size": 8, "eval_size": 40, "max_new_tokens": 12}
        return whole(seed).changed(steps | small)

    monkeypatch.setattr(experiment, "guided", short)


@pytest.mark.usefixtures("few_steps", "warm_children")
def test_the_demo_trains_three_runs_and_ends_in_a_report(
    few_questions: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(machine=True)
    ask, runs_when_asked = experiment.Quiz.ask, {}
    with Project.open(few_questions) as project:

        def noted(quiz: experiment.Quiz, name: str, run: str | None) -> None:
            runs_when_asked[name] = (run, len(project.store.runs()))
            ask(quiz, name, run)

        monkeypatch.setattr(experiment.Quiz, "ask", noted)
        monkeypatch.setattr(host, "has_free_core", lambda: True)
        figures = headless_recipes.guided_experiment(project, 3, terminal)
        outcomes = {row.run: row.outcome for row in project.store.runs()}
        configs = [project.run(run).config for run in ("sft-1", "reward-1", "ppo-1")]
    terminal.result(figures)
    before_ppo, after = 2, 3
    assert runs_when_asked == {"base": (None, before_ppo), "sft": ("sft-1", before_ppo), "ppo": ("ppo-1", after)}

    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert {part: set(found[part]) for part in SHAPE} == SHAPE
    assert set(found) == {*SHAPE, "health", "report", "seconds"}
    assert [found[stage]["run"] for stage in ("sft", "reward", "ppo")] == ["sft-1", "reward-1", "ppo-1"]
    assert outcomes == {"sft-1": "done", "reward-1": "done", "ppo-1": "done"}
    assert [config.seed for config in configs] == [3, 3, 3]
    assert (configs[2].start_from, configs[2].reward_model) == ("sft-1", "reward-1")
    assert all(math.isfinite(value) for part in SHAPE for value in _numbers(found[part]))
    assert abs(found["ppo"]["ratio_first_update"] - 1) <= 1e-4
    assert abs(found["ppo"]["kl_first_update"]) <= 1e-3
    assert Path(found["report"]).stat().st_size > 10_000
    assert "3 of 3: PPO" in printed.err
    assert "ppo-1: learning" in printed.err


def _numbers(part: Mapping[str, object]) -> list[float]:
    flat = itertools.chain.from_iterable(v if isinstance(v, list) else [v] for v in part.values())
    return [value for value in flat if not isinstance(value, str)]


@pytest.mark.parametrize(
    ("stop", "said"),
    [(False, "reward could not begin. No space is left."), (True, "it was stopped before reward; what was done")],
)
def test_an_experiment_that_ends_between_two_runs_says_why(
    few_questions: Path, monkeypatch: pytest.MonkeyPatch, stop: bool, said: str
) -> None:
    make = Project.create_run

    def create(project: Project, config: RunConfig, *rest: Any) -> RunFolder:
        if config.stage == "reward":
            raise LabError("No space is left.")
        return make(project, config, *rest)

    def train(project: Project, folder: RunFolder, terminal: Terminal, **_: object) -> Finished:
        terminal.interrupted = stop
        return Finished(outcome="done")

    monkeypatch.setattr(Project, "create_run", create)
    monkeypatch.setattr(headless_recipes, "train", train)
    with Project.open(few_questions) as project, pytest.raises(LabError, match=re.escape(f"ended early: {said}")):
        headless_recipes.guided_experiment(project, 0, Terminal())
