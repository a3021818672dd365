"""What a question can be about, and the bare sentences that answer it well or badly."""

from dataclasses import dataclass, field
from typing import Literal

Topic = Literal["knowledge", "unanswerable", "bad", "harmless"]
TOPICS: tuple[Topic, ...] = ("knowledge", "unanswerable", "bad", "harmless")
Stance = Literal["answer", "decline", "admit"]


@dataclass(frozen=True)
class Matter:
    """One thing to ask about.

    ``good`` are the sentences a kind and honest helper gives: the true answer, a tip, a refusal of a
    bad request, "I don't know" where nobody can. ``poor`` are the wrong ones: a false answer, help
    with a bad request, an invention. None of them has a tone yet.
    """

    topic: Topic
    questions: tuple[str, ...]
    good: tuple[str, ...]
    poor: tuple[str, ...]
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def good_stance(self) -> Stance:
        """What kind of reply the good sentences are."""
        return {"knowledge": "answer", "harmless": "answer", "bad": "decline", "unanswerable": "admit"}[self.topic]


def capital(text: str) -> str:
    """The text with its first letter large."""
    return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """ "a dog", "an owl"."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun
