"""What people say of a run: tags, a note, whether it lies in the trash. Its folder has the truth, the index a copy."""

import shutil
import time
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.recipe import Place
from rlhf_lab.core.small_files import read_text
from rlhf_lab.runs.folder import RunFolder, write_private
from rlhf_lab.store import Store

FILE, PLACE_FILE = "labels.json", "place.json"
MOST_TAGS, LONGEST_TAG, LONGEST_NOTE = 20, 40, 10_000


class Labels(BaseModel):
    """``note`` None: the one that the run's config brought; ``trashed``: when it was put into the trash."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    tags: tuple[str, ...] = ()
    note: str | None = None
    trashed: float | None = None


def place_of(folder: RunFolder) -> Place | None:
    """Which step of which recipe it is; None for a run that was started alone, or where the file is damaged."""
    try:
        return Place.model_validate_json(read_text(folder.path / PLACE_FILE, linked=False))
    except (OSError, ValueError):
        return None


def write_place(folder: RunFolder, place: Place) -> None:
    """Among the first files of a run of a recipe, with the recipe's name as its tag; `put_into_index` reads them."""
    write_private(folder.path / PLACE_FILE, place.model_dump_json(indent=1))
    write_private(folder.path / FILE, Labels(tags=tidy_tags([place.recipe])).model_dump_json(indent=1))


def note_state(store: Store, folder: RunFolder, data: str, files: Mapping[str, str]) -> None:
    """Of a run of a recipe: from which state of its data set its copy is, and what the files were like that it names."""
    if (place := place_of(folder)) is not None:
        now = place.model_copy(update={"data": data, "files": dict(files)})
        write_private(folder.path / PLACE_FILE, now.model_dump_json(indent=1))
        put_into_index(store, folder)


def labels_of(folder: RunFolder) -> Labels:
    """What its folder says; nothing where there is no such file, or it is damaged: it is not worth a run."""
    try:
        return Labels.model_validate_json(read_text(folder.path / FILE, linked=False))
    except (OSError, ValueError):
        return Labels()


def set_tags(store: Store, folder: RunFolder, tags: Sequence[str]) -> None:
    """Give the run these tags alone; raises `LabError` where its folder cannot be written."""
    _write(store, folder, labels_of(folder).model_copy(update={"tags": tidy_tags(tags)}))


def set_note(store: Store, folder: RunFolder, note: str | None) -> None:
    """Write another note; None brings back the one of the config."""
    kept = note[:LONGEST_NOTE] if note is not None else None
    _write(store, folder, labels_of(folder).model_copy(update={"note": kept}))


def trash(store: Store, folder: RunFolder) -> None:
    """Hide the run; its files stay until `remove`."""
    _write(store, folder, labels_of(folder).model_copy(update={"trashed": time.time()}))


def restore(store: Store, folder: RunFolder) -> None:
    """Take it out of the trash."""
    _write(store, folder, labels_of(folder).model_copy(update={"trashed": None}))


def remove(store: Store, folder: RunFolder) -> None:
    """Delete a run in the trash for good. An empty folder stays, so that no later run gets its name."""
    if labels_of(folder).trashed is None:
        raise LabError(f"{folder.title} is not in the trash. Put it there first.")
    try:
        (folder.path / "manifest.json").unlink(missing_ok=True)  # from now on it is no run, whatever happens next
        for path in folder.path.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != FILE:
                path.unlink()
        store.delete_run(folder.run)
        (folder.path / FILE).unlink()  # last: what broke off before is still in the trash, and can be removed again
    except OSError as error:
        raise LabError(f"{error.filename or folder.path} cannot be deleted: {error.strerror or error}.") from None


def put_into_index(store: Store, folder: RunFolder) -> None:
    """Tell the index what the folder says."""
    found = labels_of(folder)
    store.label_run(folder.run, found.tags, found.note)
    store.set_run_trashed(folder.run, found.trashed)
    store.place_run(folder.run, place_of(folder))


def tidy_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Without blanks around them, each once, in order."""
    whole = (" ".join(tag.split())[:LONGEST_TAG] for tag in tags)
    return tuple(dict.fromkeys(tag for tag in whole if tag))[:MOST_TAGS]


def _write(store: Store, folder: RunFolder, labels: Labels) -> None:
    try:
        write_private(folder.path / FILE, labels.model_dump_json(indent=1))
    except OSError as error:
        raise LabError(f"The labels of {folder.title} cannot be written: {error.strerror or error}.") from None
    put_into_index(store, folder)
