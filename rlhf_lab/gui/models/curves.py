"""Metric histories as plots need them: append-only, superseded on resume, reduced to the pixel width. No Qt.

A `Curve` keeps every finite or missing value it was given. Beside it lies a pyramid of block minima
and maxima, so that drawing any part of a million points reads only some thousand numbers. Smoothing
depends on steps alone, never on what is in view: zooming cannot change it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BLOCK = 32
"""How many numbers of one pyramid level make one of the next."""

_EMPTY: Floats = np.empty(0)


class Growing:
    """A float array that grows at its end in amortised constant time, and can be cut back."""

    def __init__(self) -> None:
        self._room: Floats = np.empty(64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def array(self) -> Floats:
        """A view of what is there; valid until the next change."""
        return self._room[: self._size]

    def extend(self, values: Floats) -> None:
        """Add at the end."""
        needed = self._size + len(values)
        if needed > len(self._room):
            bigger = np.empty(needed + needed // 2 + 64)  # memory that is not touched costs nothing
            bigger[: self._size] = self.array
            self._room = bigger
        self._room[self._size : needed] = values
        self._size = needed

    def cut(self, size: int) -> None:
        """Keep only the first ``size`` numbers."""
        self._size = min(self._size, size)


class Pyramid:
    """Block minima and maxima of a growing array, level above level; NaN counts only where all are NaN."""

    def __init__(self) -> None:
        self._levels: list[tuple[Growing, Growing]] = []

    def update(self, values: Floats) -> None:
        """Take in whole blocks that came since the last call."""
        low, high, level = values, values, 0
        while len(low) >= BLOCK:
            if level == len(self._levels):
                self._levels.append((Growing(), Growing()))
            lows, highs = self._levels[level]
            done, whole = len(lows), len(low) // BLOCK
            if whole > done:
                fresh = slice(done * BLOCK, whole * BLOCK)
                lows.extend(np.fmin.reduce(low[fresh].reshape(-1, BLOCK), axis=1))
                highs.extend(np.fmax.reduce(high[fresh].reshape(-1, BLOCK), axis=1))
            low, high, level = lows.array, highs.array, level + 1

    def cut(self, size: int) -> None:
        """Forget every block that holds anything from index ``size`` on."""
        for lows, highs in self._levels:
            size //= BLOCK
            lows.cut(size)
            highs.cut(size)

    def coarsest(self, points: int, bins: int) -> tuple[int, Floats, Floats] | None:
        """The highest level that still has ``bins`` blocks among ``points``: (block length, minima, maxima)."""
        found, length = None, 1
        for lows, highs in self._levels:
            length *= BLOCK
            if points // length < bins:
                break
            found = (length, lows.array, highs.array)
        return found


def min_max(steps: Floats, values: Floats, pyramid: Pyramid, first: int, last: int, bins: int) -> tuple[Floats, Floats]:
    """Points ``first`` to ``last`` (exclusive) as at most ``2 * bins + some`` points that draw the same picture.

    Each bin gives its minimum and its maximum, at its first step; the last point stands as it is.
    """
    count = last - first
    if count <= 2 * bins:
        return steps[first:last], values[first:last]
    level = pyramid.coarsest(count, bins)
    length, low, high = level if level is not None else (1, values, values)
    begin, end = first // length, min((last - 1) // length, len(low))
    per_bin = max(1, -(-(end - begin) // bins))
    cuts = np.arange(begin, end, per_bin)
    lows = np.fmin.reduceat(low[:end], cuts)
    highs = np.fmax.reduceat(high[:end], cuts)
    tail = max(end * length, first)
    x, y = np.empty(2 * len(cuts) + last - tail), np.empty(2 * len(cuts) + last - tail)
    x[0 : 2 * len(cuts) : 2] = x[1 : 2 * len(cuts) : 2] = steps[np.maximum(cuts * length, first)]
    y[0 : 2 * len(cuts) : 2], y[1 : 2 * len(cuts) : 2] = lows, highs
    x[2 * len(cuts) :], y[2 * len(cuts) :] = steps[tail:last], values[tail:last]
    return x, y


def decaying_sum(decay: Floats, values: Floats, start: float = 0.0) -> Floats:
    """``y[i] = decay[i] * y[i-1] + values[i]`` with ``y[-1] = start``, exactly, in O(n) array operations."""
    n = len(values)
    if n <= BLOCK:
        out, carry = np.empty(n), start
        for i in range(n):
            carry = decay[i] * carry + values[i]
            out[i] = carry
        return out
    rows = -(-n // BLOCK)
    # Column i of these holds the i-th number of every block: one loop of BLOCK steps serves all blocks.
    d, y = np.ones((BLOCK, rows)), np.zeros((BLOCK, rows))
    d_rows, y_rows = np.ones(rows * BLOCK), np.zeros(rows * BLOCK)
    d_rows[:n], y_rows[:n] = decay, values
    d[:], y[:] = d_rows.reshape(rows, BLOCK).T, y_rows.reshape(rows, BLOCK).T
    for i in range(1, BLOCK):
        y[i] += d[i] * y[i - 1]
        d[i] *= d[i - 1]
    ends = decaying_sum(d[-1], y[-1], start)
    before = np.concatenate(([start], ends[:-1]))
    y += d * before
    return y.T.reshape(-1)[:n]


class Smoothed:
    """A time-weighted running mean: a value that lies ``k`` steps back weighs ``weight ** k``. NaN weighs nothing."""

    def __init__(self, weight: float):
        self.weight = weight
        self.values = Growing()
        self.pyramid = Pyramid()
        self._sums, self._weights = Growing(), Growing()

    def update(self, steps: Floats, raw: Floats) -> None:
        """Take in the points that came since the last call."""
        done = len(self.values)
        if done == len(raw):
            return
        fresh = raw[done:]
        gaps = np.diff(steps[done:], prepend=steps[done - 1] if done else steps[0])
        decay = self.weight**gaps
        known = np.isfinite(fresh)
        last_sum, last_weight = (self._sums.array[-1], self._weights.array[-1]) if done else (0.0, 0.0)
        sums = decaying_sum(decay, np.where(known, fresh, 0.0), last_sum)
        weights = decaying_sum(decay, known.astype(np.float64), last_weight)
        self._sums.extend(sums)
        self._weights.extend(weights)
        mean = np.full(len(fresh), np.nan)
        np.divide(sums, weights, out=mean, where=weights > 0)
        self.values.extend(mean)
        self.pyramid.update(self.values.array)

    def cut(self, size: int) -> None:
        """Keep only the first ``size`` points."""
        for kept in (self.values, self._sums, self._weights):
            kept.cut(size)
        self.pyramid.cut(size)


class Curve:
    """One metric of one run. Steps rise; a step that comes twice takes the later value; ±inf is drawn as a gap."""

    def __init__(self) -> None:
        self._steps, self._values = Growing(), Growing()
        self._pyramid = Pyramid()
        self._smoothed = Smoothed(0.0)
        self.newest: float | None = None
        """The value that came last, as it was, NaN and inf too."""

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def steps(self) -> Floats:
        """All steps; a view, valid until the next change."""
        return self._steps.array

    @property
    def values(self) -> Floats:
        """All values, NaN for what cannot be drawn; a view, valid until the next change."""
        return self._values.array

    def append(self, step: float, value: float) -> None:
        """Add a point, or replace the one at ``step``; an older step that is not there is ignored."""
        drawn = value if np.isfinite(value) else np.nan
        if len(self) and step <= self.steps[-1]:
            at = int(np.searchsorted(self.steps, step))
            if self.steps[at] == step and not _same(self.values[at], drawn):
                self.values[at] = drawn
                self._pyramid.cut(at)
                self._smoothed.cut(at)
                self._pyramid.update(self.values)
            if at == len(self) - 1 and self.steps[at] == step:
                self.newest = value
            return
        self._steps.extend(np.array([step], dtype=np.float64))
        self._values.extend(np.array([drawn]))
        self._pyramid.update(self.values)
        self.newest = value

    def load(self, steps: ArrayLike, values: ArrayLike) -> None:
        """Add many points whose steps rise and lie after what is there."""
        x, y = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
        if not len(x):
            return
        self.newest = float(y[-1])
        self._steps.extend(x)
        self._values.extend(np.where(np.isfinite(y), y, np.nan))
        self._pyramid.update(self.values)

    def supersede(self, after: float) -> None:
        """Forget every point after step ``after``: a later attempt goes on from there."""
        size = int(np.searchsorted(self.steps, after, side="right"))
        if size == len(self):
            return
        for part in (self._steps, self._values, self._pyramid, self._smoothed):
            part.cut(size)
        self.newest = float(self.values[-1]) if size else None

    def at(self, step: float) -> tuple[float, float] | None:
        """The drawn point nearest to ``step``."""
        if not len(self):
            return None
        right = min(int(np.searchsorted(self.steps, step)), len(self) - 1)
        left = max(right - 1, 0)
        near = left if abs(self.steps[left] - step) < abs(self.steps[right] - step) else right
        return float(self.steps[near]), float(self.values[near])

    def first(self) -> float | None:
        """The first value that is a number."""
        known = self.values[np.isfinite(self.values)]
        return float(known[0]) if len(known) else None

    def smoothed(self, weight: float) -> Floats:
        """All values smoothed with ``weight`` (0: as they are), brought up to date in the time of what is new."""
        if weight == 0.0:
            return self.values
        self._smooth(weight)
        return self._smoothed.values.array

    def drawn(self, low: float, high: float, bins: int, weight: float = 0.0) -> tuple[Floats, Floats]:
        """What to draw of steps ``low`` to ``high``, one point beyond each side, in at most about ``2 * bins`` points."""
        if not len(self):
            return _EMPTY, _EMPTY
        first = max(int(np.searchsorted(self.steps, low)) - 1, 0)
        last = min(int(np.searchsorted(self.steps, high, side="right")) + 1, len(self))
        if weight == 0.0:
            return min_max(self.steps, self.values, self._pyramid, first, last, bins)
        self._smooth(weight)
        return min_max(self.steps, self._smoothed.values.array, self._smoothed.pyramid, first, last, bins)

    def _smooth(self, weight: float) -> None:
        if self._smoothed.weight != weight:
            self._smoothed = Smoothed(weight)
        self._smoothed.update(self.steps, self.values)


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)
