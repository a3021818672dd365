"""What this machine has and lacks for the lab, in words, each lack with the command that mends it.

Two verdicts: whether the window could open here, and whether the tests could run (they need no display).
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psutil

from rlhf_lab import __version__
from rlhf_lab.core.resources import resource
from rlhf_lab.system_libraries import (
    FONT,
    OFFSCREEN,
    Library,
    QtProbe,
    as_root,
    display_libraries,
    has_display,
    install_commands,
    is_root,
    missing,
    probe_qt,
)

Grade = Literal["ok", "note", "problem"]
Say = Callable[[str], None]

_PACKAGES = (
    "PySide6-Essentials",
    "pyqtgraph",
    "torch",
    "transformers",
    "peft",
    "safetensors",
    "sqlite-utils",
    "pydantic",
    "typer",
    "rich",
    "platformdirs",
    "psutil",
)
_ROOM_NEEDED = 200 * 2**20
_ROOM_WISHED = 2 * 2**30

_ASK_TORCH = """
import gc, json, os
gc.disable()
import torch
found = [{"device": "cpu", "name": f"{torch.get_num_threads()} threads", "bf16": False}]
try:
    found[0]["bf16"] = bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
except AttributeError:
    pass
for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
    properties = torch.cuda.get_device_properties(i)
    name = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    found.append({"device": f"cuda:{i}", "name": name, "bf16": torch.cuda.is_bf16_supported(including_emulation=False)})
if torch.backends.mps.is_available():
    found.append({"device": "mps", "name": "Apple GPU", "bf16": True})
print(json.dumps(found), flush=True)
os._exit(0)
"""
"""Looked through by no collector and not taken apart at its end: a third of its time."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found and, for a problem, what to do."""

    name: str
    grade: Grade
    text: str
    todo: str = ""


@dataclass(frozen=True)
class Checkup:
    """Everything found; ``window`` and ``tests`` are the verdicts."""

    findings: tuple[Finding, ...]
    missing: tuple[Library, ...]
    window: bool
    tests: bool
    versions: dict[str, str] = field(default_factory=dict)
    devices: tuple[dict[str, Any], ...] = ()
    project: str = ""

    def as_json(self) -> dict[str, Any]:
        """The object of ``doctor --json``."""
        return {
            "ok": self.window,
            "tests": self.tests,
            "missing": [library.soname for library in self.missing],
            "install": [shlex.join(command) for command in install_commands(self.missing)],
            "versions": self.versions,
            "devices": list(self.devices),
            "project": self.project,
            "findings": [vars(finding) for finding in self.findings],
        }


def examine(project: Path) -> Checkup:
    """Look at everything; takes a few seconds, most of them for torch and Qt in subprocesses."""
    # torch is asked in a process of its own: importing it takes seconds and hundreds of megabytes.
    with subprocess.Popen(
        [sys.executable, "-c", _ASK_TORCH], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as torch:
        versions, packages = _packages()
        lacking, libraries, qt_works, window = _qt(probe_qt("offscreen"))
        devices, device_finding = _devices(torch)
    folder = _project_folder(project)
    findings = [_python(), packages, *libraries, device_finding, _memory(), _bundled(), folder]
    basics = "problem" not in (packages.grade, device_finding.grade, folder.grade)
    return Checkup(
        tuple(findings), tuple(lacking), window and basics, qt_works and basics, versions, devices, str(project)
    )


def report(checkup: Checkup, say: Say) -> None:
    """The checkup as lines of text."""
    marks = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
    for finding in checkup.findings:
        say(f"{marks[finding.grade]} {finding.name}: {finding.text}")
        for line in finding.todo.splitlines():
            say(f"          {line}")
    if checkup.window:
        say("The window can open here: rlhf-lab")
    elif checkup.tests:
        say("The window cannot open here; everything else works: rlhf-lab demo --headless, and the tests.")
    else:
        say("Neither the window nor the tests can run here yet: mend the problems above.")


def fix(checkup: Checkup, say: Say) -> bool:
    """Install the missing libraries, showing each command before it runs; whether all commands ended well."""
    if not checkup.missing:
        return True
    prefix = as_root()
    commands = install_commands(checkup.missing, prefix=prefix or ())
    if not commands or prefix is None:
        say("This cannot be mended from here: " + _todo(checkup.missing))
        return False
    for command in commands:
        say(f"$ {shlex.join(command)}")
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        ended = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if ended.returncode != 0:
            lines = ended.stdout.decode(errors="replace").splitlines()
            say("\n".join(lines[-5:]))
            say(f"That ended with status {ended.returncode}.")
            return False
    return True


def _qt(offscreen: QtProbe) -> tuple[list[Library], list[Finding], bool, bool]:
    """Missing libraries; findings; whether Qt works without a display; whether a window can open."""
    lacking = missing(OFFSCREEN)
    findings = []
    if offscreen.ok and offscreen.fonts == 0:
        lacking.append(FONT)
    if offscreen.ok:
        findings.append(Finding("Qt", "ok", "comes up without a display"))
    else:
        findings.append(Finding("Qt", "problem", f"does not come up: {offscreen.detail}"))
    window = has_display(os.environ)
    if not window:
        findings.append(
            Finding("Display", "note", "none: neither DISPLAY nor WAYLAND_DISPLAY is set, so no window can open")
        )
    elif offscreen.ok:
        shown = probe_qt()
        window = shown.ok
        if not window:
            lacking += missing(display_libraries(os.environ))
        findings.append(
            Finding("Display", "ok", f"a window can open ({shown.detail})")
            if window
            else Finding("Display", "problem", f"no window can open on it: {shown.detail}")
        )
    else:
        window = False
        lacking += missing(display_libraries(os.environ))
    if lacking:
        names = ", ".join(library.soname for library in lacking)
        findings.append(Finding("System libraries", "problem", f"missing: {names}", _todo(lacking)))
    else:
        findings.append(Finding("System libraries", "ok", "all that Qt needs are there"))
    return lacking, findings, offscreen.ok and FONT not in lacking, window


def _todo(lacking: list[Library] | tuple[Library, ...]) -> str:
    commands = install_commands(lacking, prefix=() if is_root() else ("sudo",))
    if not commands:
        return "install the packages of your system that hold " + ", ".join(library.soname for library in lacking)
    return "install them with: " + " && ".join(shlex.join(command) for command in commands)


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.platform()}; rlhf-lab {__version__}"
    return Finding("Python", "ok", text)


def _packages() -> tuple[dict[str, str], Finding]:
    versions, absent = {}, []
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            absent.append(name)
    if absent:
        todo = f"{sys.executable} -m pip install rlhf-lab (in a checkout: pip install -c constraints.txt -e .)"
        return versions, Finding("Packages", "problem", f"missing: {', '.join(absent)}", todo)
    return versions, Finding("Packages", "ok", ", ".join(f"{n} {v}" for n, v in versions.items()))


def _devices(torch: "subprocess.Popen[bytes]") -> tuple[tuple[dict[str, Any], ...], Finding]:
    try:
        out, err = torch.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        torch.kill()
        return (), Finding("Devices", "problem", "torch did not load within two minutes")
    if torch.returncode != 0:
        said = err.decode(errors="replace").strip().splitlines() or ["no reason given"]
        return (), Finding("Devices", "problem", f"torch cannot be loaded: {said[-1]}")
    devices = tuple(json.loads(out.splitlines()[-1]))
    words = [f"{d['device']} ({d['name']}{', bf16' if d['bf16'] else ''})" for d in devices]
    return devices, Finding("Devices", "ok", ", ".join(words))


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    text = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    return Finding("Memory", "ok" if memory.available > 2 * 2**30 else "note", text)


def _bundled() -> Finding:
    try:
        where = resource("model").parent
    except FileNotFoundError as error:
        return Finding("Bundled model and data", "problem", str(error))
    return Finding("Bundled model and data", "ok", str(where))


def _project_folder(project: Path) -> Finding:
    """Whether a file can be written where the project is, or where it would be made."""
    place = project
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        todo = "choose another folder with --project DIR, or with the environment variable RLHF_LAB_HOME"
        return Finding("Project folder", "problem", f"{project}: {error.strerror or error}", todo)
    text = f"{project}: {free / 2**30:.1f} GiB free"
    if free < _ROOM_NEEDED:
        return Finding("Project folder", "problem", text, "make room: a project with a run takes 200 MB or more")
    return Finding("Project folder", "ok" if free > _ROOM_WISHED else "note", text)
