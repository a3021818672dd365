"""Exporting a run as a task of the window: the forms in words, and the work in the export process."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rlhf_lab.gui.background import Background, Work
from rlhf_lab.runs.exporting import FILES, Exported, Form, Wish, check, export_run, offers
from rlhf_lab.runs.folder import RunFolder

if TYPE_CHECKING:
    from rlhf_lab.store import Store

WindowForm = Form | Literal["png"]

ENDINGS: dict[WindowForm, str] = {"csv": ".csv", "svg": ".svg", "png": ".png"}
"""Of the forms that are files; the others are folders."""


@dataclass(frozen=True)
class Choice:
    """A form that a person can choose, or why not."""

    form: WindowForm
    title: str
    what: str
    reason: str


@dataclass(frozen=True)
class Wanted:
    """What the person chose."""

    run: Path
    form: WindowForm
    place: Path
    precision: Literal["fp32", "bf16"] | None
    head: int | None


def choices(folder: RunFolder) -> list[Choice]:
    """Every form there is, in the order of the list."""
    found = []
    for offer in offers(folder):
        found.append(Choice(offer.form, offer.title, offer.what, offer.reason))
        if offer.form == "svg":
            found.append(Choice("png", "Curves as PNG", "The same picture as pixels.", ""))
    return found


def export_work(wanted: Wanted) -> Work:
    """Work for `Lab.in_background`: an `Exported`; each `part` says what is being done."""

    def work(store: "Store", task: Background) -> Exported:
        form: Form = "svg" if wanted.form == "png" else wanted.form
        wish = Wish(run=wanted.run, form=form, place=wanted.place, precision=wanted.precision, head=wanted.head)
        if wanted.form != "png":
            return export_run(wish, progress=task.tell, cancelled=task.cancelled)
        from rlhf_lab.gui.plots.picture import write_png

        assert form in FILES
        check(wish)
        with tempfile.TemporaryDirectory() as room:
            sheet = wish.model_copy(update={"place": Path(room) / "curves.svg"})
            drawn = export_run(sheet, progress=task.tell, cancelled=task.cancelled)
            write_png(drawn.place, wanted.place)
        return Exported(wanted.place, wanted.place.stat().st_size, ())

    return work
