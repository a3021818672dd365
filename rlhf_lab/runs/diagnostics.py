"""What a bug report needs, as text: versions, devices, figures of the project, the end of its logs.

No data, no secrets, no place of this machine: numbers and our own words alone, the rest is struck out.
"""

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import psutil

from rlhf_lab import __version__
from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import STAGE_NAMES
from rlhf_lab.core.redact import for_others
from rlhf_lab.runs import host
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project_log import CRASHES, last_lines, tail_of
from rlhf_lab.store.backups import backups
from rlhf_lab.store.figures import figures

LOG_LINES = 80
CHILD_LINES = 40

_PACKAGES = ("PySide6-Essentials", "torch", "transformers", "peft", "safetensors", "pydantic", "pyqtgraph", "psutil")
_LAB = (*host.PYTHON, "rlhf_lab")
_DOCTOR_S = 150.0
_NEWEST_RUNS = 8


def checkup(folder: Path, seconds: float = _DOCTOR_S) -> dict[str, Any] | None:
    """What ``rlhf-lab doctor --json`` says, in a process of its own (some seconds); None where it does not come about."""
    command = [*_LAB, "doctor", "--json", "--project", str(folder)]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False, env=environment()
        )
        found = json.loads(ended.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return None
    return found if isinstance(found, dict) and "findings" in found else None


def diagnostics(folder: Path, found: dict[str, Any] | None) -> str:
    """The whole text; ``found`` is what `checkup` gave."""
    parts = {
        f"RLHF Lab {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC": _machine(),
        "Doctor": _doctor(found),
        "Project": _project(folder),
        "Newest runs": _runs(folder),
        f"Log, last {LOG_LINES} lines": last_lines(folder, LOG_LINES),
        "What the last failed run printed": _last_failure(folder),
        "Crashes of the window": tail_of(folder / CRASHES, CHILD_LINES),
    }
    text = "\n\n".join("\n".join([f"## {title}", *(list(lines) or ["nothing"])]) for title, lines in parts.items())
    return for_others(text, folder)


def command_for(folder: Path) -> list[str]:
    """The command that prints the text; run it in `environment`."""
    return [*_LAB, "diagnostics", "--project", str(folder)]


def environment() -> dict[str, str]:
    """In which another process finds the package where this one found it, and speaks UTF-8."""
    here = str(Path(__file__).parents[2])
    return {
        **os.environ,
        "PYTHONUTF8": "1",
        "PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


def _machine() -> Iterator[str]:
    memory = psutil.virtual_memory()
    yield f"Python {platform.python_version()} on {platform.platform()}"
    yield f"{host.cores()} cores, {memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB memory free"
    yield ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _doctor(found: dict[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield "no answer"
        return
    for device in found["devices"]:
        yield f"device {device['device']}: {device['name']}{', bf16' if device['bf16'] else ''}"
    for finding in found["findings"]:
        yield f"{finding['grade']}: {finding['name']}: {finding['text']}"


def _project(folder: Path) -> Iterator[str]:
    database = folder / "lab.sqlite"
    try:
        holds, size = figures(database), database.stat().st_size
    except (LabError, OSError) as error:
        yield f"database: {error}"
    else:
        yield f"database: {size / 2**20:.1f} MiB, version {holds.version}"
        kinds = ", ".join(f"{count} {kind}" for kind, count in holds.datasets.items())
        yield f"data sets: {kinds or 'none'}; {holds.records:,} records"
        yield f"verdicts: {holds.verdicts:,} of {holds.people} people"
        runs = ", ".join(f"{count} {stage} {outcome}" for (stage, outcome), count in holds.runs.items())
        yield f"runs: {runs or 'none'}"
    copies = backups(database)
    newest = f", the newest {(time.time() - copies[0].when) / 3600:.1f} h old" if copies else ""
    yield f"backups: {len(copies)}{newest}"
    if folder.exists():
        yield f"free on its disk: {shutil.disk_usage(folder).free / 2**30:.1f} GiB"


def _runs(folder: Path) -> Iterator[str]:
    """From the folders, not from the database: it may be what is broken."""
    for run in _newest(folder)[:_NEWEST_RUNS]:
        try:
            config = run.config
        except LabError as error:
            yield f"{run.run}: {error}"
            continue
        yield f"{run.run}: attempt {run.attempt()}, {', '.join(_settings(config)) or 'all settings at their defaults'}"


def _settings(config: RunConfig) -> Iterator[str]:
    """Numbers, switches and choices that are not the default; texts and names are the person's."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        choice = get_origin(field.annotation) is Literal and value in get_args(field.annotation)
        if value != field.default and (isinstance(value, int | float) or choice):
            yield f"{name} {value}"


def _last_failure(folder: Path) -> Sequence[str]:
    for run in _newest(folder):
        lines = tail_of(run.child_log_path, CHILD_LINES)
        if any("Traceback" in line or "Error" in line for line in lines):
            return [f"{run.run}:", *lines]
    return []


def _newest(folder: Path) -> list[RunFolder]:
    found = [path for path in (folder / "runs").glob("*-*") if path.name.rpartition("-")[0] in STAGE_NAMES]
    return [RunFolder(path) for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]
