"""Approval of reward functions: by content, by user, for exactly the text that was read."""

import os
import shutil
from pathlib import Path

import pytest

from rlhf_lab.core.config import PpoConfig, RewardConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.runs.approval import MOST_BYTES, approvals_file, approve, approved, is_approved, read_function
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.source import ProcessRun
from tests.fakes import leave_adapter

from .conftest import follow_on

TEXT = "def reward(prompts, answers, tags):\n    return [1.0 for _ in answers]\n"


@pytest.fixture
def function(tmp_path: Path) -> Path:
    file = tmp_path / "reward.py"
    file.write_text(TEXT)
    return file


def test_nothing_is_approved_before_a_person_says_so(function: Path) -> None:
    assert not approved(function)
    assert not approvals_file().exists()
    seen = read_function(function)
    assert (seen.path, seen.text) == (function, TEXT)
    approve(seen)
    assert approved(function)


@pytest.mark.parametrize("name", ["~nobody-of-this-name/reward.py", "reward\0.py"])
def test_what_no_file_can_be_called_is_told_in_words(project: Project, name: str) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        read_function(name)
    with pytest.raises(LabError, match="cannot be read"):
        project.reserve_run(PpoConfig(reward_function=name))


def test_approval_follows_the_content_wherever_it_lies(function: Path, tmp_path: Path) -> None:
    approve(read_function(function))
    copy = shutil.copy(function, tmp_path / "copy.py")
    assert approved(copy)
    function.write_text(TEXT + "\n")
    assert not approved(function)
    assert approved(copy)


def test_what_is_approved_is_what_was_read_not_what_lies_there_now(function: Path) -> None:
    seen = read_function(function)
    function.write_text(TEXT.replace("1.0", "2.0"))
    approve(seen)
    assert is_approved(seen)
    assert not approved(function)


def test_another_home_brings_no_approval(function: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    approve(read_function(function))
    monkeypatch.setenv("RLHF_LAB_HOME", str(tmp_path / "another"))
    assert not approved(function)


def test_the_list_is_private_holds_each_file_once_and_survives_a_cut_line(function: Path, tmp_path: Path) -> None:
    approve(read_function(function))
    approve(read_function(function))
    place = approvals_file()
    assert place.stat().st_mode & 0o777 == 0o600
    assert len(place.read_text().splitlines()) == 1
    place.write_text('null\n{"sha256": "abc\n' + place.read_text())
    assert approved(function)


def test_files_that_nobody_could_have_read_are_refused(tmp_path: Path) -> None:
    long, binary, pipe = tmp_path / "long.py", tmp_path / "binary.py", tmp_path / "pipe.py"
    long.write_bytes(b"#" * (MOST_BYTES + 1))
    binary.write_bytes(b"\xff\xfe\x00")
    os.mkfifo(pipe)
    cases = {
        long: "longer than",
        binary: "UTF-8",
        pipe: "no file",
        tmp_path: "no file",
        tmp_path / "none": "No such file",
    }
    for path, words in cases.items():
        with pytest.raises(LabError, match=words):
            read_function(path)


def score_by(function: Path, **settings: object) -> PpoConfig:
    return PpoConfig(dataset="talks", reward_function=str(function), **settings)


def test_a_run_waits_for_the_approval_and_keeps_a_copy_of_what_was_approved(
    project: Project, model: str, function: Path
) -> None:
    function.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    config = score_by(function, model=model)
    [reason] = project.check(config)
    assert reason.startswith("reward_function: ")
    assert f"{function} is not approved yet" in reason
    assert f"rlhf-lab approve {function}" in reason
    approve(read_function(function))
    folder = project.create_run(config)
    assert folder.reward_function.read_bytes() == function.read_bytes()
    assert folder.reward_function.stat().st_mode & 0o777 == 0o600
    function.write_text("changed")
    assert approved(folder.reward_function)
    assert project.check(config)


def test_a_relative_path_is_kept_absolute(
    project: Project, model: str, function: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(read_function(function))
    monkeypatch.chdir(function.parent)
    folder = project.create_run(score_by(Path(function.name), model=model))
    assert folder.config.reward_function == str(function)


@pytest.mark.usefixtures("warm_children")
def test_a_copied_project_brings_no_approval(
    project: Project, model: str, function: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(read_function(function))
    folder = project.create_run(score_by(function, model=model))
    monkeypatch.setenv("RLHF_LAB_HOME", str(tmp_path / "another user"))
    source = ProcessRun(folder)
    source.start()
    _, finished = follow_on(source)
    assert finished is not None
    assert finished.outcome == "failed"
    assert "not approved by you" in finished.message
    assert f"rlhf-lab approve {folder.reward_function}" in finished.message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"regex": "(", "regex_weight": 1}, "regex: '(' is no regular expression: missing )"),
        ({"length_weight": 1, "uncertainty_coef": 1}, "uncertainty_coef: there is no reward model"),
        ({"reward_function": "/none.py"}, "reward_function: The reward function /none.py cannot be read: No such file"),
    ],
)
def test_rewards_that_cannot_work_are_said_before_the_run(
    project: Project, model: str, settings: dict[str, object], words: str
) -> None:
    assert words in " ".join(project.check(PpoConfig(dataset="talks", model=model, **settings)))
    assert project.check(PpoConfig(dataset="talks", model=model, length_weight=1)) == []


def test_caution_needs_a_reward_model_with_several_heads(project: Project, model: str) -> None:
    runs = {}
    for heads in (1, 3):
        folder = project.create_run(RewardConfig(dataset="pairs", model=model, heads=heads))
        leave_adapter(folder)
        config = PpoConfig(dataset="talks", model=model, reward_model=folder.run, uncertainty_coef=1)
        runs[heads] = " ".join(project.check(config))
    assert "has one head, which cannot disagree" in runs[1]
    assert runs[3] == ""
