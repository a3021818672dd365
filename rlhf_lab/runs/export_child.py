"""The export process: ``python -m rlhf_lab.runs.export_child FOLDER``; see `rlhf_lab.runs.exporting`.

One request on standard input, then lines of JSON on standard output. The end of input ends it. It is started by
module name and imported by nothing but tests; torch is imported inside functions, as curves do not need it.
"""

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Resumed, Started
from rlhf_lab.core.naming import gigabytes
from rlhf_lab.core.out_of_memory import is_out_of_memory
from rlhf_lab.runs import curves_out, errand_child, host, model_card
from rlhf_lab.runs.exporting import MODELS, Wish
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.log import said_so_far
from rlhf_lab.runs.outcome import error_in_words

if TYPE_CHECKING:
    from rlhf_lab.engine.export import Precision, Trained

Say = Callable[[str, int, int], None]

_MARGIN = 32 * 2**20
"""Room for the tokenizer, the curves and the card, and for others who write on that disk."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TOO_LARGE = f"os error {errno.EFBIG}"
_NO_SPACE = tuple(f"os error {number}" for number in _FULL)


def write(wish: Wish, fresh: Path, say: Say) -> list[str]:
    """Fill ``fresh`` with what is wished for; what a person should know about it."""
    folder = RunFolder(wish.run)
    if wish.form in MODELS:
        return write_model(wish, folder, fresh, say)
    say("writing the curves", 0, 1)
    require_room(fresh, 2 * folder.events_path.stat().st_size + _MARGIN)
    if wish.form == "csv":
        curves_out.write_csv(folder, fresh / wish.place.name)
    elif wish.form == "svg":
        curves_out.write_svg(folder, fresh / wish.place.name)
    else:
        curves_out.write_tensorboard(folder, fresh)
        return [f"Look at it with: tensorboard --logdir {wish.place}"]
    return []


def write_model(wish: Wish, folder: RunFolder, fresh: Path, say: Say) -> list[str]:
    """A model, its curves and its card."""
    say("loading the libraries", 0, 5)
    model = base_of(folder)  # a base that has gone is said before seconds of imports
    from rlhf_lab.engine import export
    from rlhf_lab.engine.machine import use_threads

    use_threads(host.default_threads())
    say("checking the base", 1, 5)
    trained = read(folder, model)
    precision = wish.precision or trained.precision
    require_room(fresh, _need(wish, trained, precision) + _MARGIN)
    say("putting the weights together", 2, 5)
    base = model_card.base_name(folder.config.model)
    scale = _write_weights(wish, trained, fresh, base, precision)
    say("writing the curves", 3, 5)
    curves_out.write_csv(folder, fresh / "curves.csv")
    curves_out.write_svg(folder, fresh / "curves.svg")
    say("writing the card", 4, 5)
    made = model_card.Made(
        form=wish.form,
        base=base,
        base_files=_hashes(trained.model, "*.safetensors"),
        base_licence=model_card.licence_of(trained.model, folder.config.model),
        licence_files=tuple(export.copy_licences(trained.model, fresh)),
        files=_hashes(fresh, "**/*.safetensors"),
        precision=precision,
        trained_in=trained.precision,
        rank=sum(part.r for part in (*trained.start, trained.own)),
        scale=scale,
    )
    (fresh / "README.md").write_text(model_card.card(folder, made), encoding="utf-8")
    _sync(fresh)
    return model_card.notes(folder, made)


def base_of(folder: RunFolder) -> Path:
    """Where the run's base is; raises `LabError` where it has gone."""
    from rlhf_lab.engine.models import resolve

    return resolve(folder.config.model, folder.path.parents[1] / "models")


def read(folder: RunFolder, model: Path) -> "Trained":
    """What the run left on that base; raises `LabError` where it is another one now."""
    from rlhf_lab.engine.export import Trained

    runs = folder.path.parent
    start = [runs / name / "adapter" for name in folder.manifest.start_runs]
    return Trained.read(model, start, folder.adapter, _precision(folder))


def require_room(place: Path, need: int) -> None:
    """Raise `LabError` where the disk cannot take it."""
    free = shutil.disk_usage(place).free
    if free < need:
        raise LabError(
            f"The export needs {gigabytes(need)}, and only {gigabytes(free)} are free on the disk of {place.parent}. "
            "Free some space, or choose another place."
        )


def in_words(error: Exception, place: Path) -> str:
    """What went wrong, and what to do."""
    said = str(error)
    if (isinstance(error, OSError) and error.errno in _FULL) or any(mark in said for mark in _NO_SPACE):
        return f"The disk of {place.parent} is full. Nothing was left there; free some space and export again."
    if (isinstance(error, OSError) and error.errno == errno.EFBIG) or _TOO_LARGE in said:
        return f"The disk of {place.parent} takes no file of that size. Choose another disk."
    if is_out_of_memory(error):
        return "There is not enough memory to load the whole model. Close other programs, or export the adapter alone."
    return error_in_words(error, log="The project's export.log")


def _write_weights(
    wish: Wish, trained: "Trained", fresh: Path, base: str, precision: "Precision"
) -> dict[str, Any] | None:
    """The model in the wished form; the scale of its score, where it has one."""
    from rlhf_lab.engine import export

    if wish.form == "reward":
        return export.write_reward(trained, fresh, precision, wish.head)
    if wish.form == "adapter":
        export.write_adapter(trained, fresh, base, joined=True, head=wish.head)
        export.write_tokenizer(trained, fresh)
    elif wish.form == "adapter-and-base":
        (fresh / "adapter").mkdir()
        (fresh / "base").mkdir()
        export.write_adapter(trained, fresh / "adapter", "base", joined=False, head=wish.head)
        export.write_base(trained, fresh / "base")
    else:
        export.write_merged(trained, fresh, precision)
    if trained.own.head is None:
        return None
    scale = export.one_head(trained.own, wish.head)[1]
    (fresh / "score.json").write_text(json.dumps(scale, indent=1) + "\n", encoding="utf-8")
    return scale


def _need(wish: Wish, trained: "Trained", precision: "Precision") -> int:
    from rlhf_lab.engine.export import adapter_bytes, model_bytes

    if wish.form == "adapter":
        return adapter_bytes(trained)
    if wish.form == "adapter-and-base":
        return adapter_bytes(trained) + model_bytes(trained.model, trained.precision)
    return model_bytes(trained.model, precision)


def _precision(folder: RunFolder) -> "Precision":
    """What the base was trained in; a run that let the device choose has said what that was."""
    config = folder.config
    if config.dtype != "auto":
        return config.dtype
    begun = said_so_far(folder.events_path, Started, Resumed)
    devices = [event.device for event in begun if isinstance(event, Started | Resumed)]
    return "bf16" if any(", bf16" in device for device in devices[-1:]) else "fp32"


def _hashes(folder: Path, pattern: str) -> dict[str, str]:
    found = {}
    for file in sorted(folder.glob(pattern)):
        with file.open("rb") as opened:
            found[file.relative_to(folder).as_posix()] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found


def _sync(folder: Path) -> None:
    """What is put in place should outlast a power cut."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())


def _met(line: bytes, reply: errand_child.Say) -> dict[str, Any]:
    def say(what: str, done: int, total: int) -> None:
        reply(kind="progress", what=what, done=done, total=total)

    return {"notes": write(Wish.model_validate_json(line), Path(sys.argv[1]), say)}


def main() -> None:
    """See the module."""
    errand_child.serve(_met, lambda line, error: in_words(error, Wish.model_validate_json(line).place))


if __name__ == "__main__":
    main()
