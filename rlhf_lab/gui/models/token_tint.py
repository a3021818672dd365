"""What an answer's tokens carry, as shades and words: how far from the reference, how good, what was expected. No Qt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rlhf_lab.core.events import SampleRow
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.widgets.plain_text import visible


@dataclass(frozen=True)
class Tint:
    """One of the numbers that tokens carry: its name for people, and what its two sides mean."""

    title: str
    below: str
    above: str
    help: str


TINTS: dict[str, Tint] = {
    "kl": Tint(
        "KL",
        "rarer",
        "likelier than at the start",
        "log π − log π_ref: how much more (or less) likely the policy finds this token than the model that it started from. "
        "The sum over the answer is its KL; a few strong tokens say what the policy has learned to write.",
    ),
    "kl_base": Tint(
        "KL to the base",
        "rarer",
        "likelier than in the base",
        "log π − log π_base: how much more (or less) likely the model finds this token than the base without any adapter. "
        "What SFT and RLHF have changed together; it says no more where the base was never a chat model.",
    ),
    "advantage": Tint(
        "Advantage",
        "worse",
        "better than expected",
        "What this token is pushed by in the update: up where it went better than expected, down where worse.",
    ),
    "value": Tint(
        "Value",
        "a poor end",
        "a good end expected",
        "What the critic expected of the rest of the answer when it had read so far.",
    ),
    "reward": Tint(
        "Reward",
        "cost",
        "gain",
        "What this token earned: the price β·KL at each, the score at the last one.",
    ),
}
"""In the order of the choice; other names are shown under their own."""
NO_TINT = "Plain text"
FULL = 95
"""Percentile of the sizes that gets the full shade: one token far out would else pale all others."""
FADED = 0.04
"""Share of the full shade below which a token gets none."""


def names_of(rows: Iterable[SampleRow]) -> list[str]:
    """What the tokens of these rows carry, known names first."""
    found = {name for row in rows for name in row.per_token if row.pieces}
    return [name for name in TINTS if name in found] + sorted(found - set(TINTS))


def full_shade(rows: Iterable[SampleRow], name: str) -> float:
    """The size that gets the full shade, the same for all rows so that they can be compared."""
    values = np.array([value for row in rows for value in row.per_token.get(name, ())], dtype=np.float64)
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.percentile(sizes, FULL)) if len(sizes) else 1.0


def shade(value: float, full: float) -> float:
    """−1 to 1; 0 where it is too small to be seen, or no number."""
    share = value / full if np.isfinite(value) else 0.0
    return 0.0 if abs(share) < FADED else max(-1.0, min(1.0, share))


def piece_shown(piece: str) -> str:
    """A token as one can see it: an empty one and a line's end have no width of their own."""
    text = visible(piece)
    if not text:
        return "∅"
    return text.replace("\n", "↵\n")


def in_words(row: SampleRow, at: int) -> str:
    """ "token 3 of 12 “ capital”: KL 0.31 · advantage −1.20"."""
    values = [
        f"{TINTS[name].title if name in TINTS else name} {number(row.per_token[name][at])}"
        for name in names_of([row])
        if at < len(row.per_token[name])
    ]
    head = f"Token {at + 1} of {len(row.pieces)} “{piece_shown(row.pieces[at]).rstrip()}”"
    return f"{head}: {' · '.join(values)}" if values else head


def sides_in_words(name: str) -> str:
    """What the two colours mean."""
    tint = TINTS.get(name)
    if tint is None:
        return "Orange: above 0. Blue, underlined: below."
    return f"Orange: {tint.above}. Blue, underlined: {tint.below}."


def starts_of(shown: Sequence[str]) -> list[int]:
    """Where each piece begins in the text that they make, counted as Qt counts: in UTF-16 units."""
    ends = np.cumsum([len(piece.encode("utf-16-le")) // 2 for piece in shown])
    return [0, *(int(end) for end in ends[:-1])] if len(ends) else []
