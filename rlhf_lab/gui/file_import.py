"""Importing as a task of the window: look at files, then store them, both in a process of their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import so_many
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.data_process import DataProcess
from rlhf_lab.gui.models.answers import counted
from rlhf_lab.gui.widgets.plain_text import one_line

if TYPE_CHECKING:
    from rlhf_lab.data.importer import ImportResult
    from rlhf_lab.data.mapping import Mapping
    from rlhf_lab.data.preview import Preview
    from rlhf_lab.runs.importing import Importing
    from rlhf_lab.store import Store

MOST_LOOKED_AT = 200
"""Files of one drop that are shown before the import; the rest of a folder is looked at when it is stored."""

_ROWS_LOOKED_AT = 200
_MOST_VALUES = 8
_LONGEST_VALUE = 80


@dataclass(frozen=True)
class Looked:
    """What was found in a file, or why it is no data set.

    ``columns`` is what a mapping can begin with, empty where there is nothing to map; ``roles`` what plays which
    role now, ``own_roles`` and ``own_rating`` what was detected without a mapping; ``verdicts`` the values of
    a mapped preference column. ``guessed``: nobody has confirmed the mapping yet. ``inside``: it was found in a
    folder, not chosen by itself.
    """

    path: Path
    name: str
    inside: bool = False
    preview: "Preview | None" = None
    reason: str = ""
    mapping: "Mapping | None" = None
    guessed: bool = False
    columns: tuple[str, ...] = ()
    roles: tuple[tuple[str, str], ...] = ()
    own_roles: tuple[tuple[str, str], ...] = ()
    own_rating: str = ""
    verdicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wish:
    """Files (or folders) to import under one mapping."""

    paths: tuple[Path, ...]
    mapping: "Mapping | None" = None


def dropped_paths(data: QMimeData) -> list[Path]:
    """Local files and folders of a drag."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]


def has_files(data: QMimeData) -> bool:
    """Whether a drag could be imported; looks at no file."""
    return any(url.isLocalFile() for url in data.urls())


def look_at(process: DataProcess, paths: Sequence[Path], heldout: float) -> Work:
    """Work for `Lab.in_background`: a `Looked` for each file, those in folders included."""

    def work(store: "Store", task: Background) -> list[Looked]:
        from rlhf_lab.data.folders import dropped_files

        files = [Looked(file.path, file.name, file.inside) for file in dropped_files(paths)[:MOST_LOOKED_AT]]
        return _look_at(process, files, heldout, task)

    return work


def look_again(process: DataProcess, files: Sequence[Looked], heldout: float) -> Work:
    """Work for `Lab.in_background`: the same files under the mappings and the share that are chosen now."""

    def work(store: "Store", task: Background) -> list[Looked]:
        return _look_at(process, files, heldout, task)

    return work


def _look_at(process: DataProcess, files: Sequence[Looked], heldout: float, task: Background) -> list[Looked]:
    found = []
    with process.use() as data:
        for file in files:
            if task.cancelled():
                break
            found.append(_look(data, file, heldout, task.cancelled))
    return found


def _look(data: "Importing", file: Looked, heldout: float, cancelled: Callable[[], bool]) -> Looked:
    from rlhf_lab.data.mapping import NeedsMapping
    from rlhf_lab.data.source import ImportCancelled

    mapped = () if file.mapping is None else tuple(file.mapping.columns.items())
    file = replace(file, preview=None, reason="", verdicts=_verdicts(file))
    try:
        found = data.preview(file.path, file.mapping, heldout=heldout, cancelled=cancelled)
    except NeedsMapping as needed:
        if file.mapping is None and needed.guess.columns and not needed.guess.missing():
            guess = replace(file, mapping=needed.guess, guessed=True, columns=needed.columns)
            return _look(data, guess, heldout, cancelled)
        roles = mapped or tuple(needed.guess.columns.items())
        return replace(file, reason=_asked(file, needed.columns), columns=needed.columns, roles=roles)
    except ImportCancelled:
        raise
    except LabError as error:
        # Half a mapping is an error too: what was offered is offered on.
        return replace(file, reason=str(error), roles=mapped or file.roles)
    if file.inside and found.container.startswith("plain text"):
        return replace(file, reason="It is plain text. Choose it by itself to import its lines as prompts.")
    roles = tuple(found.roles.items())
    own = (file.own_roles, file.own_rating) if file.mapping is not None else (roles, found.rating)
    return replace(file, preview=found, columns=found.columns, roles=roles, own_roles=own[0], own_rating=own[1])


def _asked(file: Looked, columns: Sequence[str]) -> str:
    """What a person has to say; the importer's own words are for those who cannot point at a column."""
    if file.mapping is None:
        names = ", ".join(f"“{one_line(name, 40)}”" for name in columns[:_MOST_VALUES])
        more = " and others" if len(columns) > _MOST_VALUES else ""
        return f"No format that the lab knows has the columns {names}{more}. Say below what they hold."
    if file.verdicts:
        return "The column that says which answer is better holds values that are not understood. Say below what they mean."
    return "These columns make no records like this. Check below what each of them holds."


def _verdicts(file: Looked) -> tuple[str, ...]:
    """What a preference column that a person chose holds in the first rows."""
    from rlhf_lab.data.detect import detect
    from rlhf_lab.data.mapping import Mapping, at_path
    from rlhf_lab.data.source import Source

    if file.mapping is None or "preference" not in file.mapping.columns:
        return ()
    column = file.mapping.columns["preference"]
    # Values that nobody has explained yet fit no format: without them, the rest does.
    rest = Mapping(columns={role: name for role, name in file.mapping.columns.items() if role != "preference"})
    try:
        with Source.open(file.path) as source:
            if source.table:  # pyarrow has no place in the window's process
                return ()
            lines = islice(detect(source, rest).container.read(source), _ROWS_LOOKED_AT)
            values = [at_path(line.row, column) for line in lines if not line.flaw]
    except LabError:
        return ()
    shown = [str(value).strip()[:_LONGEST_VALUE] for value in values if isinstance(value, str | int | float)]
    return tuple(sorted(set(shown)))[:_MOST_VALUES]


def store_files(process: DataProcess, wishes: Sequence[Wish], heldout: float) -> Work:
    """Work for `Lab.in_background`: an `ImportResult` for each file; progress in bytes."""

    def work(store: "Store", task: Background) -> "list[ImportResult]":
        results = []
        with process.use() as data:
            for wish in wishes:
                results += data.import_files(
                    wish.paths,
                    progress=task.progressed.emit,
                    cancelled=task.cancelled,
                    heldout=heldout,
                    mapping=wish.mapping,
                )
        process.rest()
        return results

    return work


def wishes_for(dropped: Sequence[Path], files: Sequence[Looked]) -> list[Wish]:
    """What to import of what was dropped: folders as they are, unless somebody mapped columns of a file in them."""
    good = [file for file in files if file.preview is not None]
    folders = tuple(path for path in dropped if path.is_dir())
    mapped = [file for file in good if file.mapping is not None]
    if not mapped:
        alone = tuple(file.path for file in good if not file.inside)
        return [Wish(alone + folders)] if alone + folders else []
    plain = tuple(file.path for file in good if file.mapping is None)
    wishes = [Wish(plain)] if plain else []
    for file in mapped:
        key = file.mapping.key if file.mapping is not None else ""
        same = next((at for at, wish in enumerate(wishes) if wish.mapping and wish.mapping.key == key), None)
        if same is None:
            wishes.append(Wish((file.path,), file.mapping))
        else:
            wishes[same] = Wish((*wishes[same].paths, file.path), file.mapping)
    return wishes


def told(results: "Sequence[ImportResult]") -> str:
    """What became of an import, in a few sentences."""
    if len(results) == 1:
        return _told_one(results[0])
    new = [result for result in results if result.format and result.already is None]
    already = sum(result.already is not None for result in results)
    refused = [result for result in results if not result.format]
    problems = sum(result.problems_total for result in new)
    said = (
        [f"Imported {sum(result.records for result in new):,} records of {so_many(len(new), 'file')}."] if new else []
    )
    if problems:
        said.append(f"{problems:,} lines could not be used; they are listed under Problems.")
    if already:
        said.append(f"{so_many(already, 'file')} had been imported before.")
    if refused:
        first = refused[0]
        said.append(
            f"{so_many(len(refused), 'file')} could not be imported; {one_line(first.name, 60)}: {first.problems[0].reason}"
        )
    return " ".join(said)


def _told_one(result: "ImportResult") -> str:
    if result.already is not None or not result.format:
        return result.note or result.problems[0].reason
    said = f"Imported {counted(result.records, result.kind)} as “{one_line(result.name, 60)}”."
    if result.problems_total:
        said += f" {result.problems_total:,} lines could not be used; they are listed under Problems."
    return f"{said} {result.note}".strip()
