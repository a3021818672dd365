"""What the agreement page shows of a `Quality`: a headline, and lines for its pictures. No Qt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlhf_lab.data.agreement import Interval, Quality
    from rlhf_lab.data.share import Share

HEADLINES = {
    "good": ("These labels are good enough to train on", "good"),
    "fair": ("These labels can be trained on", "warn"),
    "poor": ("These labels are not good enough yet", "bad"),
    "unknown": ("Not known yet", "muted"),
}
"""Title and role for each grade."""

_NOT_KNOWN = "not known"
_CERTAIN, _FAR = 30, 0.05
"""Cases from which a share that a coin would not give is marked, and how far from fair it has to be."""


@dataclass(frozen=True)
class Line:
    """``low`` to ``high`` is the interval; ``strays``: it is worth a look. A line without a value says why in ``text``."""

    name: str
    text: str
    value: float | None = None
    low: float = 0.0
    high: float = 0.0
    strays: bool = False


def all_lines(quality: "Quality") -> dict[str, list[Line]]:
    """For each picture by its name."""
    return {
        "alpha": alpha_lines(quality),
        "with_others": share_lines(quality, "with_others"),
        "with_self": share_lines(quality, "with_self"),
        "first_shown": share_lines(quality, "first_shown", fair=0.5),
        "longer": share_lines(quality, "longer", fair=0.5),
        "pace": pace_lines(quality),
    }


def about(quality: "Quality", *, own: bool) -> str:
    """What was weighed."""
    people = "one person" if len(quality.people) == 1 else f"{len(quality.people)} people"
    said = f"{quality.verdicts:,} verdicts of {people} on {quality.records:,} records; {quality.shared:,} of these were judged by two or more."
    return said if own else f"Of the labels that came with the data set, since nobody has ranked it here yet: {said}"


def alpha_lines(quality: "Quality") -> list[Line]:
    """Alpha of everybody, then kappa of each two people."""
    everybody = _coefficient("Everybody", quality.alpha, "nobody shares a record")
    twos = [_coefficient(f"{two.who}, {two.other}", two.kappa, "always the same verdict") for two in quality.twos]
    return [everybody, *twos]


def share_lines(quality: "Quality", which: str, *, fair: float | None = None) -> list[Line]:
    """One of the shares that each `Person` has, by its name."""
    return [_share(person.who, getattr(person, which), fair) for person in quality.people]


def pace_lines(quality: "Quality") -> list[Line]:
    """How long people look, in words."""
    found = []
    for person in quality.people:
        words = "not known" if person.seconds is None else f"{person.seconds:.1f} s"
        if person.characters_a_second is not None:
            words += f" · {person.characters_a_second:,.0f} characters/s"
        found.append(Line(person.who, f"{person.verdicts:,} · {words}"))
    return found


def _coefficient(name: str, found: "Interval | None", otherwise: str) -> Line:
    if found is None:
        return Line(name, otherwise)
    return Line(name, f"{found.value:.2f}", found.value, found.low, found.high)


def _share(name: str, share: "Share", fair: float | None) -> Line:
    if not share.of:
        return Line(name, _NOT_KNOWN)
    strays = fair is not None and share.of >= _CERTAIN and not share.is_chance and abs(share.value - fair) > _FAR
    return Line(name, f"{share.value:.0%}", share.value, share.low, share.high, strays)
