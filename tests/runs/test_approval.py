"""Approval of reward functions: by content, by user, for exactly the text that was read."""

import os
import shutil
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.runs.approval import MOST_BYTES, approvals_file, approve, approved, is_approved, read_function

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
