"""What the standings of models say, in a headline, sentences, lines of a picture and cells of a table. No Qt."""

import math
from typing import TYPE_CHECKING

from rlhf_lab.gui.models.rank_quality import Line

if TYPE_CHECKING:
    from rlhf_lab.data.standings import Duel, Standings, Strength

MOST_SENTENCES = 6


def headline(found: "Standings") -> tuple[str, str]:
    """The title, and the role of its colour."""
    if not found.strengths:
        return "No votes yet", "muted"
    if len(found.strengths) > 1:
        first, second = found.strengths[:2]
        duel = found.duel(first.model, second.model)
        if duel.told_apart or first.low > second.high:
            return f"{first.model} is preferred", "good"
        if duel.votes and duel.needed is not None:
            return "Too few votes to tell", "warn"
    return "Too close to call", "warn"


def about(found: "Standings") -> str:
    """What was counted."""
    if not found.votes:
        return (
            "Vote blind on some answers first. Verdicts of the Rank pane on fresh answers of two or more models "
            "count here too."
        )
    votes = "one vote" if found.votes == 1 else f"{found.votes:,} votes"
    models = len(found.strengths) + len(found.apart)
    return f"{votes[0].upper()}{votes[1:]} on {models} models. A tie is half a win for either; so is “both bad”."


def sentences(found: "Standings") -> tuple[str, ...]:
    """One for each two models, those that are told apart first; and what cannot be said."""
    order = {one.model: at for at, one in enumerate(found.strengths)}
    duels = [duel if duel.rate.value >= 0.5 else duel.turned for duel in found.duels]
    duels.sort(key=lambda duel: (not duel.told_apart, order.get(duel.one, 99), order.get(duel.other, 99)))
    said = [_of_two(duel) for duel in duels[:MOST_SENTENCES]]
    if len(duels) > MOST_SENTENCES:
        said.append(f"The table has the other {len(duels) - MOST_SENTENCES} comparisons.")
    if found.apart:
        names = ", ".join(found.apart)
        said.append(
            f"{names}: never compared with the others, even through a third model, so it has no place among them."
        )
    return tuple(said)


def _of_two(duel: "Duel") -> str:
    votes = "one vote" if duel.votes == 1 else f"{duel.votes:,} votes"
    if duel.told_apart:
        return f"{duel.one} is preferred to {duel.other}: {duel.rate.text} of {votes}."
    if duel.needed is None:
        return f"{duel.one} and {duel.other} are about alike so far: {duel.rate.text} of {votes}."
    return (
        f"{duel.one} or {duel.other}, that is open: {duel.rate.text} of {votes}. "
        f"About {_round(duel.needed):,} more would tell, if it goes on like this."
    )


def _round(count: int) -> int:
    """An estimate needs no more than two figures."""
    step = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / step) * step


def strength_lines(found: "Standings") -> list[Line]:
    """For the picture: how likely each model's answer is to be preferred to one of an average model."""
    return [_line(one) for one in found.strengths]


def _line(one: "Strength") -> Line:
    value, low, high = (_chance(end) for end in (one.value, one.low, one.high))
    return Line(one.model, f"{value:.0%}", value, low, high)


def _chance(log_odds: float) -> float:
    return 0.0 if log_odds == -math.inf else 1 / (1 + math.exp(-log_odds))


def table(found: "Standings") -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Names, and for each row and column how often the row's model is preferred: the cell, and its tooltip."""
    names = [one.model for one in found.strengths] + list(found.apart)
    return names, [[_cell(found.duel(row, column)) for column in names] for row in names]


def _cell(duel: "Duel") -> tuple[str, str]:
    if duel.one == duel.other:
        return "", ""
    if not duel.votes:
        return "–", f"{duel.one} and {duel.other} were not compared directly."
    tip = f"{duel.one} against {duel.other}: {duel.wins} won, {duel.ties} tied, {duel.losses} lost; {duel.rate.text}"
    return f"{duel.rate.value:.0%} of {duel.votes}", tip
