"""Line charts as inline SVG: no script, no font, no request; colours come from the page's style."""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 420, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 34
_DASHES = ("", "6 3", "2 3", "8 3 2 3")


def line_chart(title: str, curves: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str = "") -> str:
    """A figure with one line per curve; each is told apart by dash as well as by colour."""
    curves = {name: list(points) for name, points in curves.items() if points}
    if not curves:
        return ""
    label = f'role="img" aria-label="{escape(_in_words(title, curves))}"'
    plot = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" {label}>{"".join(axes_and_lines(curves, x_label))}</svg>'
    caption = f"<figcaption><b>{escape(title)}</b>{f' ({escape(y_label)})' if y_label else ''}{_legend(curves)}"
    return f"<figure>{plot}{caption}</figcaption></figure>"


def axes_and_lines(curves: Mapping[str, Sequence[tuple[float, float]]], x_label: str) -> list[str]:
    """What is drawn of curves that have points, in a space of `WIDTH` × `HEIGHT`, as elements of SVG."""
    xs = [x for points in curves.values() for x, _ in points]
    ys = [y for points in curves.values() for _, y in points]
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1)
    ticks = nice_ticks(min(ys), max(ys))
    y_low, y_high = min(ticks[0], min(ys)), max(ticks[-1], max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) * (WIDTH - _LEFT - _RIGHT)
        up = (y - y_low) / (y_high - y_low) * (HEIGHT - _TOP - _BOTTOM)
        return round(_LEFT + across, 1), round(HEIGHT - _BOTTOM - up, 1)

    parts = []
    for tick in ticks:
        _, y = at(x_low, tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in nice_ticks(x_low, x_high):
        if x_low <= tick <= x_high:
            x, _ = at(tick, y_low)
            parts.append(f'<text x="{x}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(x_label)}</text>')
    for i, points in enumerate(curves.values()):
        line = " ".join(f"{x},{y}" for x, y in (at(*point) for point in _thinned(points)))
        style = f'class="line c{i % 4}" stroke-dasharray="{_DASHES[i % 4]}"'
        parts.append(f'<polyline {style} points="{line}"/>')
        x, y = at(*points[-1])
        parts.append(f'<circle class="dot c{i % 4}" cx="{x}" cy="{y}" r="3"/>')
    return parts


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that cover ``low`` … ``high``: steps of 1, 2 or 5 times a power of ten."""
    if high <= low:
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _thinned(points: Sequence[tuple[float, float]], most: int = 800) -> Sequence[tuple[float, float]]:
    """At most twice ``most`` points: lowest and highest of each stretch, in order, so that spikes stay."""
    if len(points) <= 2 * most:
        return points
    size = math.ceil(len(points) / most)
    kept: list[tuple[float, float]] = []
    for i in range(0, len(points), size):
        stretch = points[i : i + size]
        ends = {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def _legend(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    rows = []
    for i, (name, points) in enumerate(curves.items()):
        style = f'class="line c{i % 4}" stroke-dasharray="{_DASHES[i % 4]}"'
        key = (
            f'<svg class="key" viewBox="0 0 28 8" aria-hidden="true"><line {style} x1="0" x2="28" y1="4" y2="4"/></svg>'
        )
        rows.append(f"<span>{key}{escape(name)}: {points[0][1]:.3g} → {points[-1][1]:.3g}</span>")
    return "".join(rows)


def _in_words(title: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    return f"{title}. " + " ".join(
        f"{name} goes from {points[0][1]:.3g} to {points[-1][1]:.3g}." for name, points in curves.items()
    )
