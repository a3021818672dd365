"""The machine is kept awake by a program of the system, for exactly as long as it is wanted."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from rlhf_lab.runs import awake as module
from rlhf_lab.runs.awake import Awake, command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows is asked, not run")

INHIBIT = """#!/bin/sh
echo "$@" >> "$0.asked"
while [ "${1#-}" != "$1" ]; do shift; done
"$@"
echo ended >> "$0.asked"
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake of what the platform brings along: notes how it was called, and runs what it was given."""
    made = tmp_path / ("systemd-inhibit" if sys.platform == "linux" else "caffeinate")
    made.write_text(INHIBIT)
    made.chmod(0o755)
    monkeypatch.setattr(module, "PATIENCE", 60.0)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return made


def said(program: Path) -> list[str]:
    file = Path(f"{program}.asked")
    return file.read_text().splitlines() if file.exists() else []


def test_it_is_held_until_it_is_let_go(program: Path) -> None:
    awake = Awake()
    assert not awake.held
    awake.hold()
    awake.hold()
    assert awake.held
    awake.let_go()
    assert not awake.held
    assert len(said(program)) == 2, "asked once, ended once"
    assert said(program)[-1] == "ended"
    awake.let_go()


def test_it_ends_with_the_process_that_asked(program: Path) -> None:
    awake = Awake()
    awake.hold()
    assert awake._child is not None
    child = psutil.Process(awake._child.pid)
    assert awake._child.stdin is not None
    awake._child.stdin.close()  # what the system does with the pipe of a process that died
    assert child.wait(60) == 0
    awake.let_go()
    assert said(program)[-1] == "ended"


def test_without_the_program_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    looked: list[str] = []
    monkeypatch.setattr(module.shutil, "which", looked.append)
    awake = Awake()
    awake.hold()
    awake.hold()
    assert not awake.held
    assert len(looked) == 1, "it is asked for at every event of a run"
    awake.let_go()
    assert command("plan9") == ()


def test_a_program_that_refuses_is_no_fault(program: Path) -> None:
    program.write_text("#!/bin/sh\nexit 1\n")
    awake = Awake()
    awake.hold()
    assert awake._child is not None
    assert awake._child.wait(60) == 1
    assert not awake.held
    awake.let_go()


def test_one_that_cannot_be_started_is_no_fault(program: Path) -> None:
    program.write_text("no program")
    awake = Awake()
    awake.hold()
    assert not awake.held
    awake.let_go()
