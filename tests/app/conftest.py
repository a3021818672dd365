"""The program as a person starts it: in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from tests.app.opened import Opened

Lab = Callable[..., subprocess.CompletedProcess[str]]

CHECKOUT = Path(__file__).parents[2]

# Elsewhere Qt brings its libraries along, and no package manager is asked.
collect_ignore = [] if sys.platform.startswith("linux") else ["test_doctor_linux.py"]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Run ``rlhf-lab`` with these arguments, somewhere else than in the checkout."""

    def run(
        *arguments: object, env: Mapping[str, str | None] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(CHECKOUT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
        wanted = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **(env or {})}
        return subprocess.run(
            [sys.executable, "-m", "rlhf_lab", *map(str, arguments)],
            cwd=tmp_path,
            env={name: value for name, value in wanted.items() if value is not None},
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def open_lab(tmp_path: Path, qtbot: QtBot) -> Iterator[Callable[[], Opened]]:
    opened: list[Opened] = []

    def start() -> Opened:
        opened.append(Opened(tmp_path, qtbot))
        return opened[-1]

    yield start
    for lab in opened:
        lab.lab.let_go()


@pytest.fixture
def programs(tmp_path: Path) -> Callable[[str, str], Path]:
    """A folder of programs to put on PATH; each notes how it was called."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def add(name: str, script: str) -> Path:
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/calls"\n{script}\n')
        program.chmod(0o755)
        return folder

    return add


def last_object(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The last line of standard output, which is one JSON object."""
    found = json.loads(ended.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def interrupted_when_training(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Send SIGINT, as Ctrl+C does, when the first progress of training is shown."""
    command = [sys.executable, "-m", "rlhf_lab", *arguments]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    ) as lab:
        assert lab.stderr is not None
        said = []
        for line in lab.stderr:
            said.append(line)
            if "training" in line:
                lab.send_signal(signal.SIGINT)
                break
        out, rest = lab.communicate(timeout=120)
    return subprocess.CompletedProcess(command, lab.returncode, out, "".join(said) + rest)
