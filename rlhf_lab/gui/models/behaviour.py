"""A behaviour report as the window shows it: what is asked of whom, cells of its table, lines of its pictures. No Qt."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import POLICY_STAGES
from rlhf_lab.gui.models.contenders import Contender
from rlhf_lab.gui.models.rank_quality import Line

if TYPE_CHECKING:
    from rlhf_lab.data.behaviour import Cell, Row
    from rlhf_lab.runs.behaviour_models import Examined
    from rlhf_lab.runs.behaviour_report import BehaviourReport
    from rlhf_lab.runs.project import Project


@dataclass(frozen=True)
class ReportWish:
    """What to ask whom; ``files`` empty: the questions of the bundled world."""

    models: tuple[Contender, ...]
    files: tuple[Path, ...] = ()
    most: int | None = None
    max_new_tokens: int = 80
    seed: int = 0


@dataclass(frozen=True)
class Picture:
    """One measure of all models on one scale, and what it says of each change."""

    title: str
    ends: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    sentences: tuple[str, ...]


def first_choice(known: Sequence[Contender]) -> tuple[Contender, ...]:
    """The base, the newest SFT run and the newest policy, as far as they are there."""
    found = [
        next((c for c in known if c.run is None), None),
        next((c for c in known if c.stage == "sft"), None),
        next((c for c in known if c.stage in POLICY_STAGES), None),
    ]
    return tuple(c for c in found if c is not None)


def with_bases(project: "Project", known: Sequence[Contender], runs: Sequence[str]) -> list[Contender]:
    """These runs (the newest save of one without a result), and the bases that they stand on."""
    bases = {project.run(run).config.model for run in runs}
    first = [next((c for c in known if c.run == run), None) for run in runs]
    return [c for c in known if (c.model in bases if c.run is None else c in first)]


def examined(project: "Project", models: Sequence[Contender]) -> "list[Examined]":
    """The models under the names that the window gives them; raises `LabError` where one cannot be asked."""
    from rlhf_lab.runs.behaviour_models import models_of

    if not models:
        raise LabError("Choose a model to ask.")
    found = models_of(project, [_name(model) for model in models])
    titles = Counter(model.title for model in models)
    return [
        replace(one, name=model.title) if titles[model.title] == 1 else one
        for one, model in zip(found, models, strict=True)
    ]


def _name(model: Contender) -> str:
    if model.run is None:
        return model.model
    return model.run if model.step is None else f"{model.run}@{model.step}"


def asked_in_words(report: "BehaviourReport") -> str:
    """ "471 questions: 297 with a known answer, …"."""
    from rlhf_lab.runs.behaviour_page import asked

    return asked(report)


def cell_text(row: "Row", model: str) -> str:
    """The mean, its interval, and on a line below what became of it."""
    from rlhf_lab.data.behaviour import VERDICT_WORDS, interval_text, p_text, value_text

    e, cell = row.estimates[model], _cell(row, model)
    if not e.n:
        return "–"
    said = f"{value_text(e, row.measure)}   {interval_text(e, row.measure)}"
    return f"{said}\n{VERDICT_WORDS[cell.verdict]}, {p_text(cell.p)}" if cell is not None else said


def row_title(row: "Row") -> str:
    """What was measured, and in what."""
    unit = row.measure.unit
    return f"{row.measure.label} ({unit})" if unit not in ("share", "") else row.measure.label


def pictures(report: "BehaviourReport") -> list[Picture]:
    """One for each row in which any model has a number."""
    return [_picture(report, row) for row in report.rows if any(e.n for e in row.estimates.values())]


def _picture(report: "BehaviourReport", row: "Row") -> Picture:
    from rlhf_lab.data.behaviour import sentence, value_text
    from rlhf_lab.runs.report_plots import nice_ticks

    known = {name: e for name, e in row.estimates.items() if e.n}
    if row.measure.unit == "share":
        ticks = ((0.0, "0%"), (0.5, "50%"), (1.0, "100%"))
    else:
        low, high = min(0.0, *(e.low for e in known.values())), max(e.high for e in known.values())
        ticks = tuple((tick, f"{tick:g}".replace("-", "−")) for tick in nice_ticks(low, high, 4))
    lines = []
    for name, e in row.estimates.items():
        if not e.n:
            lines.append(Line(name, "not asked so"))
            continue
        cell = _cell(row, name)
        moved = cell is not None and cell.verdict in ("rose", "fell")
        text = f"{e.value:.0%}" if row.measure.unit == "share" else value_text(e, row.measure)
        lines.append(Line(name, text, e.value, e.low, e.high, strays=moved))
    said = tuple(sentence(row, cell, report.reference) for cell in row.cells)
    return Picture(row_title(row), (ticks[0][0], ticks[-1][0]), ticks, tuple(lines), said)


def _cell(row: "Row", model: str) -> "Cell | None":
    return next((cell for cell in row.cells if cell.model == model), None)
