"""Runs of a sweep that differ in their seed alone, as one curve: the mean, and between what the repeats lie. No Qt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlhf_lab.core.naming import STAGE_NAMES, run_title
from rlhf_lab.core.recipe import value_in_words
from rlhf_lab.gui.models.curves import Floats
from rlhf_lab.gui.models.form import title_of
from rlhf_lab.gui.models.spread import SpreadKind, t_97_5
from rlhf_lab.gui.models.sweep_results import is_seed
from rlhf_lab.store import RunRow
from rlhf_lab.store.run_index import Curve as Points

MOST_RUNS = 60
"""Of all repeats together, whose curves are read for one picture."""


@dataclass(frozen=True)
class Repeats:
    """Runs that are drawn as one; a run without repeats is alone."""

    title: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """At each step the mean of the runs that have got so far, and the band around it; where there is one run, it has no width."""

    steps: Floats
    mean: Floats
    low: Floats
    high: Floats


def repeats_of(rows: Sequence[RunRow], runs: Sequence[str]) -> list[Repeats]:
    """The runs put together, in the order of their first ones."""
    by_run = {row.run: row for row in rows}
    together: dict[tuple[str, ...], list[str]] = {}
    titles: dict[tuple[str, ...], str] = {}
    for run in runs[:MOST_RUNS]:
        row = by_run.get(run)
        if row is None or row.place is None or not any(map(is_seed, row.place.varied)):
            key, title = (run,), ""
        else:
            others = [
                f"{title_of(f, [row.stage])} {value_in_words(v)}" for f, v in row.place.varied.items() if not is_seed(f)
            ]
            key = (row.place.group, row.place.stage, *others)
            title = ", ".join([STAGE_NAMES.get(row.stage, row.stage), *others])  # type: ignore[call-overload]
        together.setdefault(key, []).append(run)
        titles[key] = title
    return [
        Repeats(run_title(same[0]) if len(same) == 1 else f"{titles[key]} ({len(same)} seeds)", tuple(same))
        for key, same in together.items()
    ]


def band_of(curves: Sequence[Points], kind: SpreadKind) -> Band:
    """The band of these curves; between the steps at which a run was measured it is taken to go straight."""
    known = [(np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)) for steps, values in curves]
    known = [(steps, np.where(np.isfinite(values), values, np.nan)) for steps, values in known if len(steps)]
    if not known:
        none = np.empty(0)
        return Band(none, none, none, none)
    steps = np.unique(np.concatenate([found for found, _ in known]))
    table = np.array([np.interp(steps, found, values, left=np.nan, right=np.nan) for found, values in known])
    there = np.isfinite(table)
    steps, table, there = steps[there.any(axis=0)], table[:, there.any(axis=0)], there[:, there.any(axis=0)]
    count = there.sum(axis=0)
    mean = np.where(there, table, 0.0).sum(axis=0) / count
    if kind == "range":
        return Band(
            steps, mean, np.where(there, table, np.inf).min(axis=0), np.where(there, table, -np.inf).max(axis=0)
        )
    squares = np.where(there, (table - mean) ** 2, 0.0).sum(axis=0)
    half = np.sqrt(squares / np.maximum(count - 1, 1) / count) * np.array([t_97_5(max(int(n) - 1, 1)) for n in count])
    return Band(steps, mean, mean - half, mean + half)
