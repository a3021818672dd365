"""How sure a mean is, and whether two models differ on the same prompts.

Means get percentile bootstrap intervals over prompts. Shares get Wilson's, and their differences Bonett and Price's
(2012) with McNemar's exact test: where every answer was right, a bootstrap would claim to be certain. Other
differences get a paired bootstrap and a sign-flip test, which asks how often chance alone would move the mean so far.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlhf_lab.data.share import Z95, Share

if TYPE_CHECKING:
    import numpy.typing as npt

RESAMPLED = 2000
_AT_ONCE = 2_000_000
"""Numbers drawn at one time (16 MB)."""


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` prompts and its 95% interval; NaN over none."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Change:
    """After minus before, over the ``n`` prompts that both answered: mean, 95% interval and the test's p."""

    before: float
    after: float
    difference: float
    low: float
    high: float
    p: float
    n: int


def estimate(values: Sequence[float], seed: int = 0, *, share: bool = True) -> Estimate:
    """The mean of the values and how sure it is; ``share`` False: 0 and 1 are numbers among others, no outcomes."""
    n = len(values)
    if not n:
        return Estimate(math.nan, math.nan, math.nan, 0)
    if share and _all_or_nothing(values):
        found = Share(math.fsum(values), n)
        return Estimate(found.value, found.low, found.high, n)
    mean = math.fsum(values) / n
    low, high = _bootstrap(values, seed)
    return Estimate(mean, low, high, n)


def change(before: Sequence[float], after: Sequence[float], seed: int = 0, *, share: bool = True) -> Change:
    """Compare values of the same prompts in the same order; ``share`` as in `estimate`."""
    n = len(before)
    if n != len(after):
        raise ValueError(f"{n} values are compared with {len(after)}")
    if not n:
        return Change(math.nan, math.nan, math.nan, math.nan, math.nan, 1.0, 0)
    first, second = math.fsum(before) / n, math.fsum(after) / n
    differences = [b - a for a, b in zip(before, after, strict=True)]
    if share and _all_or_nothing(before) and _all_or_nothing(after):
        gained, lost = differences.count(1.0), differences.count(-1.0)
        low, high = _bonett_price(gained, lost, n)
        p = mcnemar(gained, lost)
    else:
        low, high = _bootstrap(differences, seed)
        p = _sign_flip(differences, seed)
    return Change(first, second, math.fsum(differences) / n, low, high, p, n)


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p of so uneven a split of the prompts on which two models differ."""
    discordant, fewer = gained + lost, min(gained, lost)
    if not discordant:
        return 1.0
    tail = sum(math.comb(discordant, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << discordant))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests made at once, each as if it stood alone (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, highest = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        found[i] = highest
    return found


def _all_or_nothing(values: Sequence[float]) -> bool:
    return all(value in (0.0, 1.0) for value in values)


def _bonett_price(gained: int, lost: int, n: int) -> tuple[float, float]:
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    width = Z95 * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return max(-1.0, up - down - width), min(1.0, up - down + width)


def _bootstrap(values: Sequence[float], seed: int) -> tuple[float, float]:
    import numpy as np

    found, dice = np.asarray(values, dtype=float), np.random.default_rng(seed)
    means = np.concatenate(
        [found[dice.integers(0, len(found), (rows, len(found)))].mean(axis=1) for rows in _parts(len(found))]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _sign_flip(differences: Sequence[float], seed: int) -> float:
    """Share of random signs that move the mean at least as far; never 0, since the seen signs are one of them."""
    import numpy as np

    found = np.asarray([d for d in differences if d], dtype=float)
    if not len(found):
        return 1.0
    dice, seen = np.random.default_rng(seed), abs(found.sum())
    sums: list[npt.NDArray[np.float64]] = [
        np.abs((found * dice.choice((-1.0, 1.0), (rows, len(found)))).sum(axis=1)) for rows in _parts(len(found))
    ]
    as_far = int((np.concatenate(sums) >= seen * (1 - 1e-12)).sum())
    return (1 + as_far) / (1 + RESAMPLED)


def _parts(size: int) -> list[int]:
    """The resamples in groups that fit into memory."""
    rows = max(1, min(RESAMPLED, _AT_ONCE // size))
    return [min(rows, RESAMPLED - start) for start in range(0, RESAMPLED, rows)]
