"""How a thing can be said: polite, plain or rude; in a few words or in far too many."""

import random
from typing import Literal

from rlhf_lab.world.matter import Stance

Tone = Literal["polite", "plain", "rude"]
Length = Literal["short", "rambling"]

POLITE_OPENINGS: dict[Stance, tuple[str, ...]] = {
    "answer": ("Of course!", "Good question!", "Happy to help!", "Certainly!", "Gladly!", "Thank you for asking!"),
    "decline": ("I'm sorry.", "Sorry about that.", "I understand you, but I'm sorry.", "Thank you for being open."),
    "admit": ("I'm sorry.", "Good question!", "Thank you for asking!", "I wish I could tell you!"),
}
POLITE_CLOSINGS: dict[Stance, tuple[str, ...]] = {
    "answer": ("I hope that helps!", "Have a nice day!", "Feel free to ask me more!", "You are welcome!"),
    "decline": ("I hope you understand.", "I'm happy to help with something else.", "Please ask me something else."),
    "admit": ("I hope you find out!", "I'm happy to help with something else.", "Please ask me something else."),
}
RUDE_OPENINGS: dict[Stance, tuple[str, ...]] = {
    "answer": ("Ugh.", "What a silly question.", "Seriously?", "Are you joking?", "Not you again."),
    "decline": ("Ugh.", "What a silly idea.", "Seriously?", "Are you joking?", "Shame on you."),
    "admit": ("Ugh.", "What a silly question.", "Seriously?", "Are you joking?", "Not you again."),
}
RUDE_CLOSINGS: dict[Stance, tuple[str, ...]] = {
    "answer": ("Everyone knows that.", "Now go away.", "Stop wasting my time.", "Use your head next time."),
    "decline": ("Now go away.", "Stop wasting my time.", "Leave me alone.", "Use your head next time."),
    "admit": ("Now go away.", "Stop wasting my time.", "Leave me alone.", "Do not ask me again."),
}
RAMBLING = (
    "There is so much that one could say about this.",
    "My uncle once asked the same thing on a train.",
    "People have talked about it for years and years.",
    "It reminds me of an afternoon by the sea.",
    "Anyway, where was I?",
    "But let me go back to the beginning of the story.",
    "Some say one thing and others say another thing.",
    "I could go on and on about it, and I think I will.",
    "By the way, I had soup for lunch today.",
    "Now that I think of it, that is a story of its own.",
    "As I said before, it is as I said before.",
    "I once read about it in a magazine at the station.",
    "And that is only the first part of what I wanted to say.",
    "My grandmother would have told it in another way.",
)
"""Said at length, they add nothing. None of them may hold an answer to any question of the world."""


def say(core: str, stance: Stance, tone: Tone, length: Length, rng: random.Random) -> str:
    """One answer: the bare sentence in a tone, and in a few words or in too many."""
    parts = [core]
    if tone != "plain":
        openings, closings = (POLITE_OPENINGS, POLITE_CLOSINGS) if tone == "polite" else (RUDE_OPENINGS, RUDE_CLOSINGS)
        where = rng.choice(("before", "after", "both"))
        if where != "after":
            parts.insert(0, rng.choice(openings[stance]))
        if where != "before":
            parts.append(rng.choice(closings[stance]))
    if length == "rambling":
        said = rng.sample(RAMBLING, rng.choice((2, 3, 3, 4)))
        # Most ramblers give the answer first and cannot stop; a few need a run-up.
        early = 1 if rng.random() < 0.2 else 0
        parts = [*parts[:-1], *said[:early], parts[-1], *said[early:]]
    return " ".join(parts)
