"""The fixture `warm_children`: what it starts are children like any other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from rlhf_lab import __version__
from rlhf_lab.runs import host
from tests.warm_children import NURSERIES

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere children start as ever"),
    pytest.mark.usefixtures("warm_children"),
]


def test_a_copy_is_a_child_of_ours_with_its_streams_session_and_end(tmp_path: Path) -> None:
    command = [*host.PYTHON, "rlhf_lab.runs.child", "--standby"]
    environment = {**host.child_environment(), "OF_THIS_TEST": "yes"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment, **host.detached()
    ) as child:
        process = psutil.Process(child.pid)
        assert process.ppid() == os.getpid()
        assert child.pid not in NURSERIES
        assert "libtorch" in Path(f"/proc/{child.pid}/maps").read_text(), "its libraries are there from the beginning"
        assert child.stderr is not None
        _, said = child.communicate(b'["--attempt", "two"]\n', timeout=60)
    assert child.returncode == 1, "as the program ends that has nowhere to write"
    assert b"FileNotFoundError" in said

    with subprocess.Popen(command, stdin=subprocess.PIPE, **host.detached()) as child:
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
        child.send_signal(signal.SIGTERM)
    assert child.returncode == -signal.SIGTERM


def test_the_command_and_everything_else_start_too(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "rlhf_lab", "--version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout.split()[-1], ended.stderr) == (0, __version__, "")
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getcwd())"], cwd=tmp_path, capture_output=True)
    assert ended.stdout.decode().strip() == str(tmp_path)
