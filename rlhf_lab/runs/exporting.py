"""Export what a run left: which forms there are, and the client of the child that writes them. No Qt, no torch.

The child fills a hidden folder beside the place that was asked for; only what is whole is put in place, and nothing
that stands there is ever written over.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import STAGE_NAMES, run_title
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.runs import host
from rlhf_lab.runs.errand import Errand
from rlhf_lab.runs.folder import RunFolder

Form = Literal["adapter", "adapter-and-base", "merged", "reward", "csv", "svg", "tensorboard"]
ENTRY = (*host.PYTHON, "rlhf_lab.runs.export_child")
LOG = "export.log"

FILES: frozenset[Form] = frozenset({"csv", "svg"})
"""Forms that are one file; the others are folders."""
MODELS: frozenset[Form] = frozenset({"adapter", "adapter-and-base", "merged", "reward"})

Progress = Callable[[str, int, int], object]


class ExportCancelled(LabError):  # noqa: N818 - asked for, not an error
    """The person cancelled; nothing was left behind."""


class Wish(BaseModel):
    """What to export of which run, and where to. ``precision``: of the written weights; as trained, if not given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Path
    """The run's folder."""
    form: Form
    place: Path
    precision: Literal["fp32", "bf16"] | None = None
    head: int | None = Field(default=None, ge=1)
    """Of a reward model with several: one alone, counted from 1, instead of their mean."""


@dataclass(frozen=True)
class Offer:
    """A form in words, and why this run cannot have it ("" where it can)."""

    form: Form
    title: str
    what: str
    reason: str = ""


@dataclass(frozen=True)
class Exported:
    """What was written, and what to know about it."""

    place: Path
    bytes: int
    notes: tuple[str, ...]


def offers(folder: RunFolder) -> list[Offer]:
    """Every form there is, for this run."""
    reason = _no_model(folder)
    stage, started = folder.manifest.stage, folder.manifest.start_runs
    sits = (
        f", with the adapter of {run_title(started[-1])} in it, so that it belongs on the original base"
        if started
        else ""
    )
    only_reward = (
        "" if stage == "reward" else f"{folder.title} is a {STAGE_NAMES[stage]} run; only a reward run has a score."
    )
    only_text = f"{folder.title} is a reward model, which writes no text: export it as a reward model."
    return [
        Offer("adapter", "Adapter", f"LoRA for PEFT{sits}. Small.", reason),
        Offer(
            "adapter-and-base",
            "Adapter and base",
            "The LoRA as it was trained, and the base it was trained on.",
            reason,
        ),
        Offer(
            "merged",
            "Merged model",
            "One model for transformers: safetensors, tokenizer, chat template.",
            reason or (only_text if stage == "reward" else ""),
        ),
        Offer(
            "reward",
            "Reward model",
            "Sequence classification with one label for transformers, the score head in it.",
            only_reward or reason,
        ),
        Offer("csv", "Curves as CSV", "One row a step, one column a metric."),
        Offer("svg", "Curves as SVG", "A picture of every curve, sharp at any size."),
        Offer("tensorboard", "Curves for TensorBoard", "An event file, with answers and the config as text."),
    ]


def check(wish: Wish) -> None:
    """Raise `LabError` where the wish cannot be met, as far as that is seen at once."""
    folder = RunFolder(wish.run)
    reason = next(offer.reason for offer in offers(folder) if offer.form == wish.form)
    if reason:
        raise LabError(reason)
    if wish.head is not None and (folder.manifest.stage != "reward" or wish.form not in MODELS):
        raise LabError("A head can be chosen for a reward model alone.")
    if wish.precision is not None and wish.form not in ("merged", "reward"):
        raise LabError(f"The precision can be chosen for a merged model or a reward model, not for: {wish.form}.")
    place = wish.place
    if place.is_relative_to(wish.run.parent):
        raise LabError(f"{place} lies among the runs of the project. Choose a place outside.")
    _check_free(place, wish.form)


def export_run(
    wish: Wish,
    *,
    progress: Progress = lambda what, done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
    entry: Sequence[str] = ENTRY,
) -> Exported:
    """Export in a child process and wait for it; call it in a thread beside a window.

    ``progress`` hears what is done, how many parts are done, and of how many. Raises `LabError` in words,
    `ExportCancelled` where that was asked for; then nothing was left behind.
    """
    wish = wish.model_copy(update={"place": _absolute(wish.place), "run": wish.run.resolve()})
    check(wish)
    try:
        wish.place.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix=f".{wish.place.name[:100]}-", suffix=".new", dir=wish.place.parent)
    except OSError as error:
        raise LabError(
            f"Nothing can be written to {wish.place.parent}: {error.strerror or error}. Choose another place."
        ) from None
    fresh = Path(made)
    try:
        errand = Errand(
            "The export process", [*entry, str(fresh)], wish.model_dump_json(), wish.run.parent.parent / LOG
        )
        stopped = ExportCancelled("The export was cancelled; nothing was left behind.")
        done = errand.follow(lambda said: progress(said["what"], said["done"], said["total"]), cancelled, stopped)
        written = fresh / wish.place.name if wish.form in FILES else fresh
        size = sum(file.stat().st_size for file in fresh.rglob("*") if file.is_file())
        _put(written, wish)
        return Exported(wish.place, size, tuple(done["notes"]))
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _no_model(folder: RunFolder) -> str:
    """Why the run's model cannot be exported; "" when it can."""
    stage = folder.manifest.stage
    if stage == "best_of_n":
        return f"{folder.title} chose among the answers of a model and trained none, so there is no model to export."
    if not folder.has_result():
        return f"{folder.title} has left no adapter yet. Let it finish, or stop and save it."
    for start in folder.manifest.start_runs:
        if not RunFolder(folder.path.parent / start).has_result():
            return f"{folder.title} started from {run_title(start)}, whose adapter is gone. Put that run's folder back."
    return ""


def _absolute(place: Path) -> Path:
    return Path(os.path.abspath(typed_path(place)))  # noqa: PTH100 - `resolve` would follow a link at the end


def _check_free(place: Path, form: Form) -> None:
    """Nothing is written over; an empty folder that was made for this is fine."""
    empty = form not in FILES and place.is_dir() and not place.is_symlink() and not any(place.iterdir())
    if not empty and (place.exists() or place.is_symlink()):
        raise LabError(f"{place} is there already, and nothing is written over. Choose another name.")


def _put(written: Path, wish: Wish) -> None:
    try:
        _check_free(wish.place, wish.form)
        if wish.place.is_dir():
            wish.place.rmdir()
        written.rename(wish.place)
    except OSError as error:
        raise LabError(f"The export cannot be put at {wish.place}: {error.strerror or error}.") from None
