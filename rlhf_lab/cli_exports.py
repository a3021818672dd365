"""The command that exports what a run left."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlhf_lab.cli_options import JsonOption, ProjectOption
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.typed_path import typed_path

if TYPE_CHECKING:
    from rlhf_lab.runs.exporting import Exported, Wish
    from rlhf_lab.terminal import Terminal

FORMS = ("adapter", "adapter-and-base", "merged", "reward", "csv", "svg", "png", "tensorboard")


def export_run(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, such as ppo-3.")],
    place: Annotated[
        Path, typer.Argument(metavar="PLACE", help="The folder to make, or for csv, svg and png the file.")
    ],
    form: Annotated[str, typer.Option("--as", help=f"{', '.join(FORMS[:-1])} or {FORMS[-1]}.")],
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="Of merged and reward: fp32 or bf16. Without it: what it was trained in."),
    ] = None,
    head: Annotated[
        int | None, typer.Option("--head", min=1, help="Of a reward model with several: this one, not their mean.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's model for transformers and peft, with its card; or its curves for other programs."""
    from rlhf_lab.runs.exporting import Wish
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    if form not in FORMS:
        raise LabError(f"--as {form}: choose one of {', '.join(FORMS)}.")
    if dtype not in (None, "fp32", "bf16"):
        raise LabError(f"--dtype {dtype}: choose fp32 or bf16.")
    with Project.open(project) as opened:
        folder = opened.run(run).path
    wanted: dict[str, Any] = {"run": folder, "place": place, "precision": dtype, "head": head}
    written = _picture(wanted, terminal) if form == "png" else _export(Wish(form=form, **wanted), terminal)
    terminal.tell(f"{run} is in {written.place} ({_size(written.bytes)}).")
    for note in written.notes:
        terminal.tell(note)
    terminal.result(
        {"run": run, "form": form, "place": str(written.place), "bytes": written.bytes, "notes": list(written.notes)}
    )


def _export(wish: "Wish", terminal: "Terminal") -> "Exported":
    from rlhf_lab.runs.exporting import export_run

    with terminal.bar("Exporting") as bar, terminal.stop_on_interrupt("the export") as stop:
        return export_run(wish, progress=lambda what, done, total: bar(done, total), cancelled=lambda: stop.asked)


def _picture(wanted: dict[str, Any], terminal: "Terminal") -> "Exported":
    """The sheet of curves as pixels: Qt draws it, and needs no display for that."""
    from rlhf_lab.runs.exporting import Exported, Wish, check
    from rlhf_lab.system_libraries import OFFSCREEN, missing

    if lacking := missing(OFFSCREEN):
        names = ", ".join(library.soname for library in lacking)
        raise LabError(
            f"No picture can be drawn: Qt lacks {names}. rlhf-lab doctor says how to install it; svg needs none."
        )
    place = typed_path(wanted["place"]).absolute()
    check(Wish(form="svg", **wanted | {"place": place}))
    with tempfile.TemporaryDirectory() as room:
        sheet = _export(Wish(form="svg", **wanted | {"place": Path(room) / "curves.svg"}), terminal)
        from rlhf_lab.gui.plots.picture import write_png

        write_png(sheet.place, place)
    return Exported(place, place.stat().st_size, sheet.notes)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.0f} kB"
