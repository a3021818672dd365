"""Which reward functions a person has read and approved: by what is in the file, never by where it lies.

The list is the user's, in their config folder: a project that was copied or sent brings no approval along. A
changed file is another file, and asks again.
"""

import hashlib
import json
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.typed_path import typed_path

MOST_BYTES = 1 << 20
"""A person is to read the file: a longer one is none that anybody reads."""


@dataclass(frozen=True)
class FunctionFile:
    """A reward function as it was read at one moment: what a person approves is exactly this text."""

    path: Path
    content: bytes
    text: str
    sha256: str


def read_function(path: Path | str) -> FunctionFile:
    """Read the file, which is not run; raises `LabError` in words where that cannot be done."""
    found = typed_path(path).absolute()
    try:
        if not stat.S_ISREG(found.stat().st_mode):  # opening a pipe would wait for ever
            raise LabError(f"The reward function {found} is no file. Choose a Python file.")
        with found.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # the latter for what no file can be called
        why = getattr(error, "strerror", None) or error
        raise LabError(f"The reward function {found} cannot be read: {why}.") from None
    if len(content) > MOST_BYTES:
        raise LabError(
            f"The reward function {found} is longer than {MOST_BYTES >> 20} MB. Put the function into a file of its own."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LabError(f"The reward function {found} is not UTF-8 text. Save it as UTF-8.") from None
    return FunctionFile(found, content, text, hashlib.sha256(content).hexdigest())


def approved(path: Path | str) -> bool:
    """Whether this user approved a file with exactly this content; raises `LabError` when it cannot be read."""
    return is_approved(read_function(path))


def is_approved(function: FunctionFile) -> bool:
    """Whether this user approved what was read."""
    return function.sha256 in _approved_hashes()


def approve(function: FunctionFile) -> None:
    """Remember that this user read the text and lets it run; nothing is run now."""
    if is_approved(function):
        return
    line = {"sha256": function.sha256, "path": str(function.path), "time": int(time.time())}
    place = approvals_file()
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One short write at the end of the file: two windows that approve at once both count.
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0) as file:  # noqa: PTH123 - private mode
            file.write(json.dumps(line).encode() + b"\n")
    except OSError as error:
        raise LabError(
            f"The approval could not be kept in {place}: {error.strerror or error}. Free the place and approve again."
        ) from None


def approvals_file() -> Path:
    """Where approvals are kept: ``$RLHF_LAB_HOME/config``, else the platform's user-config folder."""
    name = "approved-reward-functions.jsonl"
    if home := os.environ.get("RLHF_LAB_HOME"):
        return Path(home) / "config" / name
    from platformdirs import user_config_path

    return user_config_path("rlhf-lab", appauthor=False) / name


def _approved_hashes() -> set[str]:
    try:
        lines = approvals_file().read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise LabError(f"The list of approved reward functions cannot be read: {error.strerror or error}.") from None
    found = set()
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # a line that a full disk cut approves nothing
        if isinstance(entry, dict) and isinstance(entry.get("sha256"), str):
            found.add(entry["sha256"])
    return found
