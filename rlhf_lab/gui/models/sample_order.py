"""Which samples to show first. No Qt."""

import random
from collections.abc import Sequence
from typing import Literal

from rlhf_lab.core.events import SampleRow
from rlhf_lab.gui.models.plot_spec import number

Order = Literal["given", "best", "worst", "gained", "lost", "random"]
ORDERS: dict[Order, str] = {
    "given": "In order",
    "best": "Best score first",
    "worst": "Worst score first",
    "gained": "Gained most first",
    "lost": "Lost most first",
    "random": "Shuffled",
}


def score_of(row: SampleRow) -> float | None:
    """What the reward said, raw where it is not normalised yet; the gold score where nothing else judged."""
    return next((row.values[name] for name in ("score", "raw_score", "gold") if name in row.values), None)


def ordered(rows: Sequence[SampleRow], before: Sequence[SampleRow], order: Order) -> list[int]:
    """Indices of ``rows``; ``before`` are the answers to the same prompts at the start, or empty. No score: last."""
    places = list(range(len(rows)))
    if order == "random":
        random.Random(len(rows)).shuffle(places)
        return places
    if order == "given":
        return places
    sign = -1.0 if order in ("best", "gained") else 1.0
    relative = order in ("gained", "lost")

    def key(place: int) -> tuple[bool, float]:
        now = score_of(rows[place])
        then = score_of(before[place]) if relative and place < len(before) else 0.0
        known = now is not None and then is not None
        return not known, sign * (now - then) if known else 0.0

    return sorted(places, key=key)


def values_in_words(row: SampleRow) -> str:
    """ "score 1.20 · KL 3.4 · 23 tokens · gold 0.80"."""
    named = {"score": "score", "raw_score": "raw score", "kl": "KL", "gold": "gold"}
    parts = [f"{words} {number(row.values[key])}" for key, words in named.items() if key in row.values]
    if "tokens" in row.values:
        parts.append(f"{row.values['tokens']:.0f} tokens")
    return " · ".join(parts)
