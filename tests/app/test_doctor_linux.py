"""The doctor on a Linux that lacks something: a loader path with a broken library in front of the real one."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_core import _pydantic_core
from PySide6.QtCore import QLibraryInfo

from rlhf_lab.system_libraries import OFFSCREEN, X11, Library
from tests.app.conftest import Lab, last_object

NO_DISPLAY = {"DISPLAY": None, "WAYLAND_DISPLAY": None, "QT_QPA_PLATFORM": None}


@pytest.fixture
def broken_egl(tmp_path: Path) -> Path:
    """A loader path whose libEGL cannot be loaded."""
    folder = tmp_path / "libraries"
    folder.mkdir()
    (folder / "libEGL.so.1").write_bytes(b"")
    return folder


def test_without_a_display_it_says_so_and_what_works(lab: Lab) -> None:
    ended = lab("doctor", env=NO_DISPLAY)
    assert ended.returncode == 1
    assert "neither DISPLAY nor WAYLAND_DISPLAY is set" in ended.stdout
    assert "rlhf-lab demo --headless, and the tests" in ended.stdout


def test_a_missing_library_is_named_with_its_command_and_mended(
    lab: Lab, broken_egl: Path, programs: Callable[[str, str], Path], tmp_path: Path
) -> None:
    programs("sudo", 'shift; exec "$@"')
    path = programs("apt-get", f'[ "$1" = install ] && rm "{broken_egl}/libEGL.so.1"; exit 0')
    env = {**NO_DISPLAY, "LD_LIBRARY_PATH": str(broken_egl), "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    install = "apt-get install -y --no-install-recommends libegl1"

    (tmp_path / "file").write_text("not a folder")

    plain = lab("doctor", "--json", "--project", tmp_path / "file" / "project", env=env)
    found = last_object(plain)
    assert (plain.returncode, found["ok"], found["tests"]) == (1, False, False)
    assert found["missing"] == ["libEGL.so.1"]
    assert found["install"] == ["apt-get update", install]
    assert install in plain.stderr
    [folder] = [finding for finding in found["findings"] if finding["name"] == "Project folder"]
    assert folder["grade"] == "problem"
    assert "--project DIR" in folder["todo"]
    assert not (tmp_path / "calls").exists()

    mended = lab("doctor", "--fix", env=env)
    assert mended.returncode == 0, mended.stdout
    shown = [line for line in mended.stdout.splitlines() if line.startswith("$ ")]
    assert [line.partition("apt-get")[2] for line in shown] == [" update", install.removeprefix("apt-get")]
    assert "The window cannot open here; everything else works" in mended.stdout
    calls = [c for c in (tmp_path / "calls").read_text().splitlines() if c.startswith("apt-get")]
    assert calls == ["apt-get update", install]


def test_the_window_says_which_library_it_lacks(lab: Lab, broken_egl: Path) -> None:
    ended = lab(env={"LD_LIBRARY_PATH": str(broken_egl), "QT_QPA_PLATFORM": "offscreen"})
    assert ended.returncode == 1
    assert "No window can open: Qt lacks libEGL.so.1" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def x11_libraries(tmp_path: Path) -> Path:
    """A loader path on which each library of an X11 display opens, whether or not this machine has it."""
    folder = tmp_path / "libraries"
    folder.mkdir()
    for library in X11:
        (folder / library.soname).symlink_to(_pydantic_core.__file__)
    return folder


def test_a_display_that_does_not_answer_is_said(lab: Lab, x11_libraries: Path) -> None:
    ended = lab(env={**NO_DISPLAY, "DISPLAY": ":987", "LD_LIBRARY_PATH": str(x11_libraries)})
    assert ended.returncode == 1
    assert "the display :987 does not answer" in ended.stderr


@pytest.mark.parametrize(("plugin", "listed"), [("libqoffscreen.so", OFFSCREEN), ("libqxcb.so", X11)])
def test_the_lists_are_what_qt_links_to(plugin: str, listed: tuple[Library, ...]) -> None:
    plugins = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)) / "platforms"
    links = subprocess.run(["ldd", str(plugins / plugin)], capture_output=True, text=True, check=True).stdout
    linked = {line.split()[0] for line in links.splitlines()}
    assert {library.soname for library in listed} <= linked
    assert {name for name in linked if name.startswith("libxcb-")} <= {library.soname for library in X11}
