"""The doctor, and what it says of a machine."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf_lab import doctor, system_libraries
from rlhf_lab.system_libraries import OFFSCREEN, install_commands
from tests.app.conftest import Lab, last_object


def test_a_machine_with_qt_can_run_the_tests_and_open_a_window_offscreen(lab: Lab) -> None:
    ended = lab("doctor", "--json", env={"QT_QPA_PLATFORM": "offscreen"})
    found = last_object(ended)
    assert (ended.returncode, found["ok"], found["tests"], found["missing"]) == (0, True, True, [])
    assert {"torch", "PySide6-Essentials", "peft"} <= set(found["versions"])
    assert found["devices"][0]["device"] == "cpu"
    assert "The window can open here" in ended.stderr


def test_dnf_gets_its_own_names(programs: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs("dnf", "")))
    egl = next(library for library in OFFSCREEN if library.soname == "libEGL.so.1")
    assert install_commands([egl], prefix=["sudo"]) == [["sudo", "dnf", "install", "-y", "libglvnd-egl"]]
    monkeypatch.setenv("PATH", "")
    assert install_commands([egl]) == []
    assert install_commands([]) == []


def test_a_command_that_fails_is_shown_with_its_last_words(
    programs: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("sudo", 'shift; exec "$@"')
    path = programs("apt-get", "echo 'E: no network'; exit 100")
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    said: list[str] = []
    lacking = doctor.Checkup(findings=(), missing=OFFSCREEN[:1], window=False, tests=False)
    assert doctor.fix(lacking, said.append) is False
    assert said[0].endswith("apt-get update")
    assert said[1:] == ["E: no network", "That ended with status 100."]


def test_root_is_told_without_sudo(monkeypatch: pytest.MonkeyPatch, programs: Callable[[str, str], Path]) -> None:
    monkeypatch.setenv("PATH", str(programs("apt-get", "")))
    said = doctor._todo([OFFSCREEN[1]])
    assert ("sudo" in said) is not system_libraries.is_root()
