"""A run's curves for other programs: CSV, a picture, TensorBoard. They come from its log alone.

What a later attempt superseded is left out, and numbers that are not finite are kept where the format has a word
for them.
"""

import csv
import math
import time
from html import escape
from pathlib import Path

from rlhf_lab.core.config import step_word
from rlhf_lab.core.config_toml import render_toml
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Metrics, Resumed, Samples, superseded_after
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.core.naming import STAGE_NAMES
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.log import said_so_far
from rlhf_lab.runs.report_plots import HEIGHT, WIDTH, axes_and_lines

_ACROSS = 3
_GAP, _HEAD, _FOOT = 24, 64, 22
_STYLE = """
.ground { fill: #ffffff; } .grid { stroke: #dfe2e6; stroke-width: 1; } .line { fill: none; stroke-width: 1.6; stroke: #0072b2; }
.dot { fill: #0072b2; } text { font-family: sans-serif; font-size: 11px; fill: #5d6670; }
.title { font-size: 13px; fill: #1d2126; } .name { font-size: 20px; fill: #1d2126; }
"""


def write_csv(folder: RunFolder, path: Path) -> None:
    """One row a step, one column a metric; an empty cell where a step says nothing of it."""
    rows: dict[int, dict[str, float]] = {}
    times: dict[int, float] = {}
    for event in _metrics(folder):
        rows.setdefault(event.step, {}).update(event.values)
        times[event.step] = event.time
    names = _in_order({name for values in rows.values() for name in values})
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["step", "time", *names])
        for step in sorted(rows):
            table.writerow([step, times[step], *(rows[step].get(name, "") for name in names)])


def write_svg(folder: RunFolder, path: Path) -> None:
    """Every curve of the run on one sheet."""
    path.write_text(sheet(folder), encoding="utf-8")


def sheet(folder: RunFolder) -> str:
    """The sheet as SVG that holds all it needs, in the few elements that every program draws."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for event in _metrics(folder):
        for name, value in event.values.items():
            if math.isfinite(value):
                curves.setdefault(name, []).append((event.step, value))
    stage = folder.manifest.stage
    drawn = []
    for place, name in enumerate(_in_order(curves)):
        x = _GAP + place % _ACROSS * (WIDTH + _GAP)
        y = _HEAD + place // _ACROSS * (HEIGHT + _FOOT + _GAP)
        metric = METRICS.get(name)
        title = f"{metric.label}{f' ({metric.unit})' if metric.unit else ''}" if metric else name
        points = curves[name]
        drawn += [
            f'<g transform="translate({x},{y})">',
            f'<text class="title" x="0" y="0">{escape(title)}</text>',
            f'<text x="{WIDTH}" y="0" text-anchor="end">{points[0][1]:.3g} → {points[-1][1]:.3g}</text>',
            f'<g transform="translate(0,{_FOOT // 2})">',
            *axes_and_lines({name: points}, step_word(stage)),
            "</g></g>",
        ]
    across = _GAP + _ACROSS * (WIDTH + _GAP)
    down = _HEAD + max(1, math.ceil(len(curves) / _ACROSS)) * (HEIGHT + _FOOT + _GAP)
    said = "" if curves else f'<text x="{_GAP}" y="{_HEAD}">This run has said no numbers yet.</text>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}" viewBox="0 0 {across} {down}">',
            f"<title>{escape(folder.run)}</title><style>{_STYLE}</style>",
            f'<rect class="ground" x="0" y="0" width="{across}" height="{down}"/>',
            f'<text class="name" x="{_GAP}" y="32">{escape(folder.run)}: {escape(STAGE_NAMES[stage])}</text>{said}',
            *drawn,
            "</svg>\n",
        ]
    )


def write_tensorboard(folder: RunFolder, place: Path) -> None:
    """An event file: every number as a scalar, the config and the held-out answers of each look as text."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.text.summary_v2 import text_pb
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError:
        raise LabError(
            "Writing for TensorBoard needs one more package: pip install 'rlhf-lab[tensorboard]'. "
            "The curves as CSV need none."
        ) from None

    # Our own file name: the library's would hold the name of this machine.
    with (place / f"events.out.tfevents.{int(time.time())}.rlhf-lab").open("wb") as file:
        records = RecordWriter(file)

        def add(step: int, when: float, summary: object) -> None:
            records.write(Event(step=step, wall_time=when, summary=summary).SerializeToString())

        begun = folder.manifest.created
        records.write(Event(wall_time=begun, file_version="brain.Event:2").SerializeToString())
        add(0, begun, text_pb("config", _code(render_toml(folder.config))))
        for event in _events(folder):
            if isinstance(event, Metrics):
                values = [Summary.Value(tag=name, simple_value=value) for name, value in event.values.items()]
                add(event.step, event.time, Summary(value=values))
            elif isinstance(event, Samples) and event.name == "heldout":
                rows = [f"{row.prompt}\n→ {row.completion}" for row in event.rows]
                add(event.step, event.time, text_pb("heldout", _code("\n\n".join(rows))))


def _events(folder: RunFolder) -> list[Metrics | Samples]:
    counted = superseded_after(said_so_far(folder.events_path, Metrics, Samples, Resumed))
    return [event for event in counted if isinstance(event, Metrics | Samples)]


def _metrics(folder: RunFolder) -> list[Metrics]:
    counted = superseded_after(said_so_far(folder.events_path, Metrics, Resumed))
    return [event for event in counted if isinstance(event, Metrics)]


def _in_order(names: "dict[str, list[tuple[float, float]]] | set[str]") -> list[str]:
    """As the catalogue has them, then those that it does not know."""
    return [*(name for name in METRICS if name in names), *sorted(name for name in names if name not in METRICS)]


def _code(text: str) -> str:
    """Shown as it stands: TensorBoard would else read Markdown in it."""
    return "\n".join(f"    {line}" for line in text.splitlines())
