"""What is done to models in a process of its own: checking them, importing a GGUF file, fetching one from the hub.

The hub is asked in `look` and `download` alone, which are called when a person says so; every other process is offline.
"""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.runs import host
from rlhf_lab.runs.errand import Errand

ENTRY = (*host.PYTHON, "rlhf_lab.runs.models_child")
LOG = "models.log"

Progress = Callable[[str, int, int], object]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class ModelWorkCancelled(LabError):  # noqa: N818 - asked for, not an error
    """The person cancelled."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(_Line):
    """Would these be loaded?"""

    op: Literal["check"] = "check"
    models: tuple[str, ...]
    models_folder: Path


class Import(_Line):
    """Dequantise a GGUF file."""

    op: Literal["import"] = "import"
    file: Path
    models_folder: Path


class Look(_Line):
    """What would a download fetch?"""

    op: Literal["look"] = "look"
    model: str


class Download(_Line):
    """Fetch a model."""

    op: Literal["download"] = "download"
    model: str


REQUEST: TypeAdapter[Check | Import | Look | Download] = TypeAdapter(
    Annotated[Check | Import | Look | Download, Field(discriminator="op")]
)


@dataclass(frozen=True)
class Offered:
    """What the hub has under a name: how many files would be fetched, their bytes, and what is free for them."""

    model: str
    architecture: str
    files: int
    bytes: int
    free: int

    @property
    def in_words(self) -> str:
        """What a download takes."""
        return (
            f"{self.model} ({self.architecture}): {self.files} files, {self.bytes / 2**20:,.0f} MB. "
            f"{self.free / 2**20:,.0f} MB are free on the disk of the hub's cache."
        )


def check_models(
    models: Sequence[str],
    models_folder: Path,
    checked: Callable[[str, str], object],
    *,
    cancelled: Callable[[], bool] = lambda: False,
    entry: Sequence[str] = ENTRY,
) -> None:
    """Check models as a run would; ``checked`` hears each name, and the problem or ""."""

    def hear(said: dict[str, Any]) -> None:
        checked(str(said["name"]), str(said["problem"]))

    asked = Check(models=tuple(models), models_folder=models_folder)
    _do(asked, models_folder, entry, hear, cancelled, "The check was cancelled.")


def import_gguf(
    file: Path,
    models_folder: Path,
    *,
    progress: Progress = lambda what, done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
    entry: Sequence[str] = ENTRY,
) -> str:
    """Dequantise a .gguf file into the project; the name of the model there. Raises `LabError` in words."""
    file = Path(os.path.abspath(typed_path(file)))  # noqa: PTH100 - the file may be a link
    asked = Import(file=file, models_folder=models_folder)
    stopped = f"The import of {file.name} was cancelled; nothing was left behind."
    before = _halves(file, models_folder)
    try:
        return str(_do(asked, models_folder, entry, _telling(progress), cancelled, stopped)["name"])
    except LabError:
        for half in _halves(file, models_folder) - before:  # those are of another import
            shutil.rmtree(models_folder / half[0], ignore_errors=True)
        raise


def look(
    model: str, log_folder: Path, *, cancelled: Callable[[], bool] = lambda: False, entry: Sequence[str] = ENTRY
) -> Offered:
    """Ask the hub what a download would fetch; nothing is kept. Raises `LabError` in words."""
    name, stopped = hub_id(model), "The look at the hub was cancelled."
    done = _do(Look(model=name), log_folder, entry, lambda said: None, cancelled, stopped)
    return Offered(name, str(done["architecture"]), len(done["files"]), int(done["bytes"]), int(done["free"]))


def download(
    model: str,
    log_folder: Path,
    *,
    progress: Progress = lambda what, done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
    entry: Sequence[str] = ENTRY,
) -> str:
    """Fetch a model into the hub's cache; its name. ``progress`` counts bytes. Raises `LabError` in words."""
    name = hub_id(model)
    stopped = f"The download of {name} was cancelled. What was fetched is kept: the next try goes on from there."
    return str(_do(Download(model=name), log_folder, entry, _telling(progress), cancelled, stopped)["name"])


def hub_id(text: str) -> str:
    """A hub id, also out of the address of its page; raises `LabError` for what is none."""
    name = re.sub(r"^https?://(www\.)?(huggingface\.co|hf\.co)/", "", text.strip()).strip("/")
    name = "/".join(name.split("/")[:2]) if text.strip().startswith("http") else name
    if not _HUB_ID.fullmatch(name) or "--" in name or ".." in name:
        raise LabError(f"{text.strip()[:100]!r} is no name of a model on the hub: it looks like someone/some-model.")
    return name


def _halves(file: Path, models_folder: Path) -> set[tuple[str, int]]:
    """Name and inode of what is being made, in any process, of files that are called so; see `engine.models`."""
    name = re.compile(rf"\.{re.escape(file.stem)}-[0-9a-f]{{12}}\.new")
    inside = models_folder.iterdir() if models_folder.is_dir() else ()
    return {(one.name, one.lstat().st_ino) for one in inside if name.fullmatch(one.name)}


def _do(
    asked: Check | Import | Look | Download,
    folder: Path,
    entry: Sequence[str],
    hear: Callable[[dict[str, Any]], object],
    cancelled: Callable[[], bool],
    on_cancel: str,
) -> dict[str, Any]:
    """What the process says last; its log lies in ``folder``. Raises `LabError` in words."""
    online = isinstance(asked, Look | Download)
    environment = host.online_environment() if online else host.child_environment()
    errand = Errand("The models process", entry, asked.model_dump_json(), folder / LOG, environment)
    return errand.follow(hear, cancelled, ModelWorkCancelled(on_cancel))


def _telling(progress: Progress) -> Callable[[dict[str, Any]], object]:
    return lambda said: progress(str(said["what"]), int(said["done"]), int(said["total"]))
