"""Few examples seen very often: what is said of it, when, and where."""

from pathlib import Path

import pytest

from rlhf_lab.core.config import DpoConfig, PpoConfig, RewardConfig, RunConfig, SftConfig
from rlhf_lab.core.recipe import expand
from rlhf_lab.core.records import Completion, Message, Prompt, Ranking
from rlhf_lab.runs.by_heart import TIMES, by_heart, foretold
from rlhf_lab.runs.experiment import guided
from rlhf_lab.runs.project import Project


@pytest.mark.parametrize(
    ("config", "examples", "words"),
    [
        (
            RewardConfig(max_steps=640, batch_size=8),
            3,
            "3 pairs, seen about 1,707 times each: the model will learn them by heart. 50 or more are wanted, or fewer steps: 2 "
            "for 3 passes.",
        ),
        (
            DpoConfig(max_steps=21, batch_size=1),
            1,
            "1 pair, seen about 21 times: the model will learn it by heart. 50 or more are wanted, or fewer steps: 3 "
            "for 3 passes.",
        ),
        (
            SftConfig(max_steps=1000, batch_size=32),
            600,
            "600 demonstrations, seen about 53 times each: the model will learn them by heart. Take more, or fewer steps: 57 "
            "for 3 passes.",
        ),
        (RewardConfig(max_steps=TIMES, batch_size=8), 8, ""),
        (PpoConfig(updates=1000), 3, ""),
        (RewardConfig(), 0, ""),
    ],
)
def test_words_where_each_is_seen_too_often(config: RunConfig, examples: int, words: str) -> None:
    assert by_heart(config, examples) == words


def test_a_form_is_told_from_the_records_that_are_trained_on(project: Project) -> None:
    train = next(row.train for row in project.store.datasets() if row.name == "pairs")
    asked = RewardConfig(dataset="pairs", max_steps=640)
    assert foretold(asked, project.store) == by_heart(asked, train) != ""
    assert foretold(asked.model_copy(update={"max_steps": 1}), project.store) == ""
    assert foretold(asked.model_copy(update={"dataset": "none"}), project.store) == ""
    answers = tuple(Completion(text=text) for text in "abc")
    with project.store.new_dataset("ranked", "lab", "ranking") as writer:
        prompt = Prompt(messages=(Message(role="user", content="Q"),))
        writer.add([Ranking(prompt=prompt, completions=answers, ranks=(1, 2, 3))])
    assert foretold(asked.model_copy(update={"dataset": "ranked"}), project.store) == ""


def test_the_guided_experiment_is_not_warned_of(bundled_data: Path) -> None:
    with Project.open(bundled_data) as project:
        assert [foretold(step.planned, project.store) for step in expand(guided())] == ["", "", ""]
