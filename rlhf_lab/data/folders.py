"""What a person dropped as files: folders stand for every file in them, in order, each once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.source import printable

MOST_FILES = 10_000


@dataclass(frozen=True)
class Dropped:
    """One file. ``name``: what its data set is called; ``inside``: it was found in a folder, not named itself.

    ``leads_out``: it is a link to a place outside that folder, which nobody chose.
    """

    path: Path
    name: str
    inside: bool = False
    leads_out: bool = False


def dropped_files(paths: Sequence[Path]) -> list[Dropped]:
    """The files of these paths; hidden ones in folders are left out. Raises `LabError` for a folder without files."""
    found: list[Dropped] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - which does not raise for names that no file can have
            found.append(Dropped(path, dataset_name(path.name)))
            continue
        files = _files_in(path)
        if not files:
            raise LabError(f"There is no file in the folder {printable(str(path))}. Choose another one.")
        top = Path(os.path.realpath(path))
        found += [
            Dropped(
                file,
                dataset_name(f"{top.name}/{file.relative_to(path)}"),
                inside=True,
                leads_out=not Path(os.path.realpath(file)).is_relative_to(top),
            )
            for file in files
        ]
    return found


def dataset_name(name: str) -> str:
    """A name for the data set of a file: its own, without the endings that say how it is written."""
    shown = printable(name).strip()
    packed = shown.removesuffix(".gz").removesuffix(".zst")
    stem = packed if packed != shown and "." not in packed.rpartition("/")[2] else packed.rpartition(".")[0] or packed
    return stem.strip()[-180:].strip() or "data"


def _files_in(folder: Path) -> list[Path]:
    """Depth first and sorted; a link to a folder already seen, or to one outside, is not followed."""
    found: list[Path] = []
    seen: set[str] = set()
    top = Path(os.path.realpath(folder))
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        inside = (name for name in folders if Path(os.path.realpath(Path(here, name))).is_relative_to(top))
        folders[:] = sorted(name for name in inside if not name.startswith("."))
        found += [Path(here, name) for name in sorted(files) if not name.startswith(".")]
        if len(found) > MOST_FILES:
            raise LabError(
                f"The folder {printable(str(folder))} holds more than {MOST_FILES:,} files. Choose a smaller one."
            )
    return found
