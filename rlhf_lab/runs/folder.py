"""One run, one folder: its config, manifest, frozen data, log, control and results."""

import json
import os
import re
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import psutil
from pydantic import BaseModel, ConfigDict, StringConstraints

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.config_toml import parse_config
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import Stage, run_title
from rlhf_lab.core.small_files import read_json, read_text

_BEING_STARTED_S = 10.0
_CLOCK_CHANGES_S = 60.0
_SAME_START_S = 1.0
_MOST_PID = 2**31
_ATTEMPT = re.compile(r"attempt-([0-9]{1,9})")

RunId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
"""A name in the folder of all runs, and no way out of it."""


class Manifest(BaseModel):
    """What was true when the run was made; names other runs by id, so that a project can be moved.

    ``start_runs`` are the runs whose adapters are merged into the base, in order, and
    ``reward_start_runs`` those under the reward model; ``gold`` says that the hidden preference of
    the bundled world can judge the answers.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    run: str
    stage: Stage
    created: float
    dataset: str
    data_sha256: str
    records: int
    train: int
    heldout: int
    gold: bool = False
    start_runs: tuple[RunId, ...] = ()
    reward_run: RunId | None = None
    reward_model: str | None = None
    reward_start_runs: tuple[RunId, ...] = ()


class Process(NamedTuple):
    """Who trains: pid and start time together name a process for good, ``folder`` (an inode) the run that it is for.

    ``since_boot``: seconds from the machine's start to its own, by which it is known when the clock was set.
    """

    pid: int
    create_time: float
    attempt: int
    folder: int | None = None
    since_boot: float | None = None

    def alive(self) -> bool:
        """Whether it still runs; a zombie is dead, and so is another process with its pid."""
        try:
            found = psutil.Process(self.pid)
            # The start time is reckoned from the boot time, and both move when the clock is set.
            if self.since_boot is None:
                same = abs(found.create_time() - self.create_time) < _CLOCK_CHANGES_S
            else:
                moved = found.create_time() - self.create_time, _since_boot(found) - self.since_boot
                same = min(map(abs, moved)) < _SAME_START_S
            return same and found.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def _since_boot(process: psutil.Process) -> float:
    return float(process.create_time() - psutil.boot_time())


class RunFolder:
    """Where each thing of a run lies, and the few small files that are read and written whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = path.name
        self.data_path = path / "data.jsonl"
        self.events_path = path / "events.jsonl"
        self.control_path = path / "control.jsonl"
        self.heartbeat_path = path / "heartbeat"
        self.child_log_path = path / "child.log"
        self.checkpoints = path / "checkpoints"
        self.adapter = path / "adapter"
        self.reward_function = path / "reward_function.py"

    @property
    def title(self) -> str:
        """How people call it; its id is what they type."""
        return run_title(self.run)

    @property
    def config(self) -> RunConfig:
        """The config that the run was made with; raises `LabError` when it cannot be read."""
        where = self.path / "config.json"
        try:
            found = read_json(where, linked=False)
        except FileNotFoundError:
            raise self._no_run("config.json") from None
        except (OSError, ValueError):
            raise LabError(f"{where} is damaged; start a new run with the same settings.") from None
        config = parse_config(found if isinstance(found, dict) else {}, str(where))
        return config.model_copy(update={"model": self._here(config.model)})

    @property
    def manifest(self) -> Manifest:
        """What was true when the run was made; raises `LabError` when it cannot be read."""
        where = self.path / "manifest.json"
        try:
            found = Manifest.model_validate_json(read_text(where, linked=False))
        except FileNotFoundError:
            raise self._no_run("manifest.json") from None
        except (OSError, ValueError):
            raise LabError(f"{where} is damaged; start a new run with the same settings.") from None
        return found.model_copy(update={"reward_model": found.reward_model and self._here(found.reward_model)})

    def write_config(self, config: RunConfig) -> None:
        """The first file of a new run; a model inside the project is named so that the project can be moved."""
        kept = config.model_copy(update={"model": self._anywhere(config.model)})
        write_private(self.path / "config.json", kept.model_dump_json(indent=1))

    def write_manifest(self, manifest: Manifest) -> None:
        """The last file of a new run: a folder with one is complete."""
        reward = manifest.reward_model and self._anywhere(manifest.reward_model)
        kept = manifest.model_copy(update={"reward_model": reward})
        write_private(self.path / "manifest.json", kept.model_dump_json(indent=1))

    def is_complete(self) -> bool:
        """Whether all is there that the run needs to start."""
        return (self.path / "manifest.json").is_file()

    def has_result(self) -> bool:
        """Whether the run left an adapter that others can use."""
        return (self.adapter / "adapter_config.json").is_file()

    def attempt(self) -> int:
        """How often the run was started so far."""
        found = (_ATTEMPT.fullmatch(p.name) for p in self.path.glob("attempt-*"))
        return max((int(match[1]) for match in found if match), default=0)

    def claim_attempt(self) -> int:
        """The number of a new start; raises `LabError` while another start lives or is under way."""
        last, process, noted = self.attempt(), self.process(), self._noted_process()
        if process is not None and process.alive():
            raise LabError(f"{self.title} is already running (process {process.pid}).")
        if last and (noted is None or noted.attempt < last):
            age = time.time() - (self.path / f"attempt-{last}").stat().st_mtime
            if abs(age) < _BEING_STARTED_S:  # far in the future: the clock was set back
                raise LabError(f"{self.title} is just being started by another window or command.")
        try:
            os.close(os.open(self.path / f"attempt-{last + 1}", os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            raise LabError(f"{self.title} is just being started by another window or command.") from None
        return last + 1

    def process(self) -> Process | None:
        """The process of the latest start; it may be dead. One that trains another copy of this folder is none."""
        found = self._noted_process()
        return found if found is not None and found.folder in (None, self.path.stat().st_ino) else None

    def write_process(self, pid: int, attempt: int) -> None:
        """Note who trains; raises `psutil.NoSuchProcess` when it is gone already."""
        process = psutil.Process(pid)
        found = Process(pid, process.create_time(), attempt, self.path.stat().st_ino, _since_boot(process))
        write_private(self.path / "process.json", json.dumps(found._asdict()))

    def _noted_process(self) -> Process | None:
        try:
            found = Process(**read_json(self.path / "process.json", linked=False))
            sane = 0 < int(found.pid) < _MOST_PID and float(found.create_time) >= 0 and int(found.attempt) >= 0
            sane = sane and (found.since_boot is None or isinstance(found.since_boot, float))
        except (OSError, ValueError, TypeError, OverflowError):
            return None
        return found if sane and isinstance(found.pid, int) and isinstance(found.attempt, int) else None

    def gone(self) -> str:
        """What to tell where the folder has vanished under a run."""
        return f"Its folder {self.path} was moved or deleted while it trained. Put it back, then resume."

    def _anywhere(self, model: str) -> str:
        """ "./models/…" for a path inside the project; any other name as it is."""
        path, project = Path(model), self.path.absolute().parent.parent
        inside = path.is_absolute() and path.is_relative_to(project)
        return f"./{path.relative_to(project).as_posix()}" if inside else model

    def _here(self, model: str) -> str:
        """The path that `_anywhere` stood for, where the project is now."""
        return str(self.path.absolute().parent.parent / model) if model.startswith("./") else model

    def _no_run(self, without: str) -> LabError:
        return LabError(f"{self.path} is not a run: it has no {without}.")


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a small file as a whole, readable by its owner alone."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
            file.write(content.encode() if isinstance(content, str) else content)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
