"""What is marked on a run's curves: settings that a person changed, and verdicts on its health. No Qt."""

from dataclasses import dataclass

from rlhf_lab.core.events import Changed
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import label, number
from rlhf_lab.gui.models.verdicts import GLYPHS, ROLES, spells

CHANGE_LABELS = {"kl_coef": "β", "learning_rate": "learning rate"}


@dataclass(frozen=True)
class Mark:
    """A line at a step: its words, its glyph where there is no room for words, and the theme's name of its colour."""

    step: int
    text: str
    short: str
    role: str


def marks_of(history: RunHistory | None, metrics: tuple[str, ...]) -> list[Mark]:
    """For a plot of these metrics, in the order of their steps."""
    if history is None:
        return []
    found = [Mark(change.step, _change(change), "◆", "accent") for change in history.changes]
    for spell in spells(history.health):
        if not set(spell.said.metrics).isdisjoint(metrics):
            glyph, role = GLYPHS[spell.said.level], ROLES[spell.said.level]
            found.append(Mark(spell.begin, f"{glyph} {spell.said.title}", glyph, role))
    return sorted(found, key=lambda mark: mark.step)


def marks_at(history: RunHistory | None, metrics: tuple[str, ...], step: float | None) -> str:
    """What is marked at this step: "▲ KL runs away"."""
    return " · ".join(mark.text for mark in marks_of(history, metrics) if mark.step == step)


def _change(change: Changed) -> str:
    return f"{CHANGE_LABELS.get(change.field, label(change.field))} → {number(change.value)}"
