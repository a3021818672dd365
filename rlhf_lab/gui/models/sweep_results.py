"""What came of a sweep: one value a run against the swept setting, repeats over seeds as mean and spread. No Qt."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rlhf_lab.core.metrics import METRICS
from rlhf_lab.core.recipe import Scalar, value_in_words
from rlhf_lab.gui.models.form import title_of
from rlhf_lab.gui.models.spread import Spread, SpreadKind, spread
from rlhf_lab.store import RunRow, Store

Which = Literal["last", "best"]
SEED = "seed"


@dataclass(frozen=True)
class Point:
    """One run: where it stands in the sweep, and its value."""

    run: str
    x: Scalar
    rest: tuple[tuple[str, Scalar], ...]
    """The other swept settings, but for the seed."""
    value: float


@dataclass(frozen=True)
class Cell:
    """The runs that differ in their seed alone."""

    x: Scalar
    runs: tuple[str, ...]
    spread: Spread


@dataclass(frozen=True)
class Series:
    """All cells with the same other settings, in the order of x."""

    title: str
    cells: tuple[Cell, ...]
    points: tuple[Point, ...]


def group_of(rows: Sequence[RunRow], run: str) -> list[RunRow]:
    """The runs of the same stage of the same sweep; of the last swept stage, where this run's is not swept."""
    place = next((row.place for row in rows if row.run == run), None)
    if place is None:
        return []
    together = [row for row in rows if row.place is not None and row.place.group == place.group]
    swept = [row for row in together if row.place is not None and row.place.varied]
    if not swept or swept[-1].place is None:
        return []
    stage = place.stage if place.varied else swept[-1].place.stage
    return [row for row in swept if row.place is not None and row.place.stage == stage]


def swept_fields(rows: Sequence[RunRow]) -> list[str]:
    """Those with more than one value, seeds last."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for field, value in (row.place.varied if row.place is not None else {}).items():
            values.setdefault(field, set()).add(repr(value))
    found = [field for field, different in values.items() if len(different) > 1]
    return sorted(found, key=is_seed)


def is_seed(field: str) -> bool:
    """Whether it is the seed, of all stages or of one."""
    return field.rpartition(".")[2] == SEED


def less_is_better(metric: str) -> bool:
    """Which of two values is the better one; of a metric that the catalogue does not know, the greater."""
    return metric in METRICS and METRICS[metric].less


def values_of(store: Store, runs: Sequence[str], metric: str, which: Which) -> dict[str, float]:
    """The newest value of each run, or its best; runs without any are left out."""
    found = {}
    for run in runs:
        if which == "last":
            known = [store.newest_values(run, [metric]).get(metric, math.nan)]
        else:
            known = [value for value in store.sketch(run, metric)[0][1] if math.isfinite(value)]  # keeps the extremes
        if known and math.isfinite(known[0]):
            found[run] = min(known) if less_is_better(metric) else max(known)
    return found


def results(rows: Sequence[RunRow], values: Mapping[str, float], x: str, kind: SpreadKind) -> list[Series]:
    """The series of a plot over the field ``x``; seeds are pooled, unless they are what is drawn."""
    points: dict[tuple[tuple[str, Scalar], ...], list[Point]] = {}
    fields = swept_fields(rows)
    for row in rows:
        if row.place is None or row.run not in values or x not in row.place.varied:
            continue
        varied = row.place.varied
        rest = tuple((f, varied[f]) for f in fields if f != x and not is_seed(f) and f in varied)
        points.setdefault(rest, []).append(Point(row.run, varied[x], rest, values[row.run]))
    stages = [row.stage for row in rows]
    return [_series(rest, found, kind, stages) for rest, found in points.items()]


def _series(
    rest: tuple[tuple[str, Scalar], ...], points: list[Point], kind: SpreadKind, stages: Sequence[str]
) -> Series:
    by_x: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: _order(point.x)):
        by_x.setdefault(repr(point.x), []).append(point)
    cells = tuple(
        Cell(same[0].x, tuple(p.run for p in same), spread([p.value for p in same], kind)) for same in by_x.values()
    )
    others = (f"{title_of(field, stages)} {value_in_words(value)}" for field, value in rest)
    return Series(", ".join(others), cells, tuple(points))


def _order(value: Scalar) -> tuple[int, float, str]:
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")
