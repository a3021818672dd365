"""Verdicts on a run's health as the window shows them: what holds now, what has passed, since when. No Qt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlhf_lab.core.events import Health

ICONS = {"check": "warning", "stop": "halt"}
"""The icon of each level."""
ROLES = {"check": "warn", "stop": "bad"}
"""The colour of each level, by its name in the theme."""
GLYPHS = {"check": "▲", "stop": "■"}
"""The same where only text can be: the level is never told by colour alone."""
LEVEL_WORDS = {"check": "Check", "stop": "Stops the run"}
CAUTION = "A rule of thumb on the curves, never a proof: look at the samples too."


@dataclass(frozen=True)
class Spell:
    """A time during which a verdict held: ``said`` is its newest wording, ``end`` None while it still does."""

    said: "Health"
    begin: int
    end: int | None = None

    @property
    def holds(self) -> bool:
        """Whether it still does."""
        return self.end is None

    @property
    def when(self) -> str:
        """ "since step 12", "step 12 to 20"."""
        return f"since step {self.begin:,}" if self.end is None else f"step {self.begin:,} to {self.end:,}"


def spells(said: Sequence["Health"]) -> list[Spell]:
    """All of them in the order in which they began."""
    found: dict[tuple[str, int], Spell] = {}
    open_since: dict[str, int] = {}
    for event in said:
        begin = open_since.get(event.code)
        if event.on:
            begin = open_since.setdefault(event.code, event.step)
            found[event.code, begin] = Spell(event, begin)
        elif begin is not None:
            del open_since[event.code]
            found[event.code, begin] = Spell(found[event.code, begin].said, begin, event.step)
    return sorted(found.values(), key=lambda spell: spell.begin)


def standing(said: Sequence["Health"]) -> list[Spell]:
    """What holds now, the gravest first, then the newest."""
    now = [spell for spell in spells(said) if spell.holds]
    return sorted(now, key=lambda spell: (spell.said.level != "stop", -spell.begin))


def passed(said: Sequence["Health"]) -> list[Spell]:
    """What held once and does no longer, the newest first."""
    return [spell for spell in reversed(spells(said)) if not spell.holds]


def told(said: "Health") -> list[tuple[str, str]]:
    """What was seen, why, what to do, and why the rule draws its line where it does; without what is not known."""
    from rlhf_lab.core.health import RULES  # the first window has no verdicts

    reasons = {rule.code: rule.reason for rule in RULES}
    parts = (
        ("Seen", said.seen),
        ("Likely cause", said.cause),
        ("What to do", said.advice),
        ("The rule", reasons.get(said.code, "")),
    )
    return [part for part in parts if part[1]]


def in_full(spell: Spell) -> str:
    """Everything that is known of it, for a tooltip and for a screen reader."""
    head = f"{LEVEL_WORDS[spell.said.level]}, {spell.when}: {spell.said.title}"
    return "\n".join([head, *(f"{name}: {text}" for name, text in told(spell.said)), CAUTION])


def in_short(said: Sequence["Health"]) -> str:
    """ "▲ KL is high +2": the gravest of what holds now, and how many others do; "" where nothing does."""
    now = standing(said)
    more = f" +{len(now) - 1}" if len(now) > 1 else ""
    return f"{GLYPHS[now[0].said.level]} {now[0].said.title}{more}" if now else ""
