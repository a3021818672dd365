"""What the scores of texts that a person typed say, in words. No Qt."""

import math
from collections.abc import Mapping, Sequence

from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.models.rank_words import LETTERS

Values = Mapping[str, float]
"""Of one answer: "score", "tokens", and where there are any "score_sd" (heads disagree) and "raw_score"."""


def figure(values: Values) -> str:
    """The headline: "1.20", "1.20 ± 0.31" where several heads were asked."""
    spread = values.get("score_sd")
    return number(values["score"]) + (f" ± {number(spread)}" if spread is not None else "")


def details(values: Values) -> str:
    """The rest: "12 tokens · raw score 3.40"."""
    raw = [f"raw score {number(values['raw_score'])}"] if "raw_score" in values else []
    return " · ".join([f"{values.get('tokens', 0):,.0f} tokens", *raw])


def verdict(scored: Sequence[Values | None]) -> str:
    """Which answer the reward model prefers and how sure it is; "" with fewer than two."""
    known = [(values["score"], place) for place, values in enumerate(scored) if values is not None]
    if len(known) < 2:
        return ""
    (best, first), (next_best, second) = sorted(known, reverse=True)[:2]
    if best == next_best:
        return f"{LETTERS[first]} and {LETTERS[second]} score alike."
    said = [f"{LETTERS[first]} scores {number(best - next_best)} higher than {LETTERS[second]}."]
    one, other = scored[first], scored[second]
    assert one is not None
    assert other is not None
    if "raw_score" in one and "raw_score" in other:
        sure = 1 / (1 + math.exp(-min(one["raw_score"] - other["raw_score"], 700.0)))
        said.append(f"By its own odds people prefer {LETTERS[first]} with {sure:.0%}.")
    spread = math.hypot(one.get("score_sd", 0.0), other.get("score_sd", 0.0))
    if spread > best - next_best:
        said.append("Its heads disagree by more than that: do not rely on the order.")
    return " ".join(said)
