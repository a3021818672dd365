"""Finding an action by a few letters: every word must be found, word beginnings count most, recent ones come first. No Qt."""

from collections.abc import Sequence

from rlhf_lab.gui.models.action_table import Offer

MOST_FOUND = 60
MOST_RECENT = 8

_WHOLE, _BEGINNING, _INSIDE, _SPREAD = 4.0, 3.0, 2.0, 1.0
_ELSEWHERE = 0.5
"""What a word counts that is found in the group or among the other words, not in the title."""

_START = 1.5
"""What it counts further that the title begins with all that is typed: more than a whole word further on."""


def found(typed: str, offers: Sequence[Offer], recent: Sequence[str]) -> list[Offer]:
    """The offers that fit, best first; with nothing typed the recent ones, then all in their order."""
    rank = {name: place for place, name in enumerate(recent)}
    asked = typed.casefold().split()
    scored = []
    for place, offer in enumerate(offers):
        score = _score(asked, offer)
        if score is not None:
            scored.append(((-score, rank.get(offer.name, len(rank)), place), offer))
    scored.sort(key=lambda pair: pair[0])
    return [offer for _, offer in scored[:MOST_FOUND]]


def remembered(name: str, recent: Sequence[str]) -> list[str]:
    """The recent ones with this one in front."""
    return [name, *(other for other in recent if other != name)][:MOST_RECENT]


def _score(asked: Sequence[str], offer: Offer) -> float | None:
    title, rest = offer.title.casefold(), f"{offer.group} {offer.words}".casefold()
    total = 0.0
    for word in asked:
        best = max(fit(word, title), _ELSEWHERE * fit(word, rest, spread=False))
        if not best:
            return None
        total += best
    return total + _START * title.startswith(" ".join(asked))


def fit(asked: str, text: str, *, spread: bool = True) -> float:
    """How well a word fits a text, both casefolded: 0 not at all, 4 where it is one of its words."""
    at = text.find(asked)
    if at >= 0:
        words = text.split()
        if asked in words:
            return _WHOLE
        return _BEGINNING if any(word.startswith(asked) for word in words) else _INSIDE
    if not spread:
        return 0.0
    first = place = text.find(asked[0])
    for letter in asked:
        place = text.find(letter, place)
        if place < 0:
            return 0.0
        place += 1
    return _SPREAD * len(asked) / (place - first)
