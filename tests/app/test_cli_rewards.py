"""The commands about what scores answers."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf_lab.core.config import RewardConfig, SftConfig
from rlhf_lab.core.diagnosis import Accuracy, RewardDiagnosis, WorstPair
from rlhf_lab.core.events import Diagnosis, Finished, Started
from rlhf_lab.runs.approval import approved
from rlhf_lab.runs.diagnosis_words import HEADLINES, in_words
from rlhf_lab.runs.log import EventLog
from rlhf_lab.runs.project import Project
from tests.app.conftest import CHECKOUT, Lab, last_object

FUNCTION = "def reward(prompts, answers, tags):\n    return [0.0 for _ in answers]  # \x1b[2J\n"
FOUND = RewardDiagnosis(
    accuracy=(
        Accuracy(name="train", pairs=256, accuracy=0.8, low=0.75, high=0.85, margin=1.2),
        Accuracy(name="heldout", pairs=400, accuracy=0.72, low=0.68, high=0.76, margin=0.9),
        Accuracy(name="ann", pairs=40, accuracy=0.5, low=0.35, high=0.65, margin=0.1),
    ),
    by_length=(Accuracy(name="longer by up to 4", pairs=100, accuracy=0.9, low=0.85, high=0.95, margin=1.5),),
    ece=0.042,
    length_correlation=-0.31,
    longer_wins=Accuracy(name="longer wins", pairs=400, accuracy=0.55, low=0.5, high=0.6, margin=3.0),
    worst=(WorstPair(record=3, prompt="Why?\n" * 40, chosen="So.", rejected="No.", margin=-2.5, flipped=True),),
    level="check",
    verdict=("It is right on 72%.", "It is shy."),
)

pytestmark = pytest.mark.usefixtures("warm_children")


@pytest.fixture
def function(tmp_path: Path) -> Path:
    file = tmp_path / "mine.py"
    file.write_text(FUNCTION)
    return file


def test_a_reward_function_is_approved_by_its_content(lab: Lab, function: Path) -> None:
    ended = lab("approve", "mine.py", "--yes", "--json")
    assert ended.returncode == 0, ended.stderr
    said = last_object(ended)
    assert (said["file"], said["approved"], len(said["sha256"])) == (str(function), True, 64)
    assert approved(function)
    assert "was approved already" in lab("approve", "mine.py").stdout
    function.write_text(FUNCTION + "\n")
    assert not approved(function)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_without_anybody_to_answer_nothing_is_approved(lab: Lab, function: Path, options: list[str]) -> None:
    ended = lab("approve", "mine.py", *options)
    assert ended.returncode == 1
    assert "approve it with --yes" in ended.stderr
    assert not approved(function)


@pytest.mark.parametrize(("answer", "wanted"), [("y", True), ("n", False), ("", False)])
def test_a_person_reads_it_and_says_yes(function: Path, answer: str, wanted: bool) -> None:
    person, terminal = pty.openpty()
    os.write(person, f"{answer}\n".encode())
    ended = subprocess.run(
        [sys.executable, "-m", "rlhf_lab", "approve", str(function)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=terminal,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(person)
    os.close(terminal)
    assert "return [0.0 for _ in answers]  # \\x1b[2J\n" in ended.stdout
    assert "SHA-256" in ended.stdout
    assert approved(function) is wanted
    assert ended.returncode == (0 if wanted else 1)


@pytest.fixture
def reward_run(bundled_data: Path) -> Callable[..., str]:
    """Runs in the project as children leave them, without training anything."""

    def make(config: RewardConfig | SftConfig, *found: RewardDiagnosis) -> str:
        with Project.open(bundled_data) as project:
            folder = project.create_run(config)
            with EventLog(folder.events_path, folder.claim_attempt()) as log:
                log.append(Started(device="fake", total_steps=1))
                for step, diagnosis in enumerate(found, start=1):
                    log.append(Diagnosis(step=step, found=diagnosis))
                log.append(Finished(step=1, outcome="done"))
            return folder.run

    return make


def test_the_last_diagnosis_is_told(lab: Lab, reward_run: Callable[..., str]) -> None:
    run = reward_run(RewardConfig(dataset="lab world pairs"), FOUND.model_copy(update={"level": "bad"}), FOUND)
    told = lab("diagnose", run, "--project", "project").stdout
    assert told.startswith(f"{HEADLINES['check']}\nIt is right on 72%.\nIt is shy.\n")
    assert told.splitlines() == list(in_words(FOUND))
    said = last_object(lab("diagnose", run, "--project", "project", "--json"))
    assert (said["run"], said["step"]) == (run, 2)
    assert RewardDiagnosis.model_validate(said) == FOUND


def test_what_has_no_diagnosis_is_said(lab: Lab, reward_run: Callable[..., str]) -> None:
    none = reward_run(RewardConfig(dataset="lab world pairs"))
    other = reward_run(SftConfig(dataset="lab world pairs"))
    for run, words in ((none, "holds no diagnosis yet"), (other, "is a run of sft"), ("reward-9", "There is no run")):
        ended = lab("diagnose", run, "--project", "project")
        assert ended.returncode == 1
        assert words in ended.stderr


def test_the_tables_stand_in_columns() -> None:
    lines = list(in_words(FOUND))
    table = lines[lines.index("") + 1 :][:5]
    assert table == [
        "Accuracy     right   95% interval    pairs",
        "trained on   80.0%   75.0% to 85.0%    256",
        "held out     72.0%   68.0% to 76.0%    400",
        "longer wins  55.0%   50.0% to 60.0%    400",
        "ann          50.0%   35.0% to 65.0%     40",
    ]
    assert "Correlation of length and score: -0.31" in lines
    assert any("whose label is known to be noise: Why? Why?" in line for line in lines)
    assert max(map(len, lines)) < 130
