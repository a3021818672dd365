"""From matters and manners to prompts, answers and running text."""

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from rlhf_lab.core.records import Message, Prompt, Split
from rlhf_lab.world.facts import knowledge
from rlhf_lab.world.manners import Length, Tone, say
from rlhf_lab.world.matter import Matter, Stance, Topic
from rlhf_lab.world.requests import bad, harmless, unanswerable

Kind = Literal["good", "poor", "refuse", "shrug", "dodge", "feign", "stray"]
"""What an answer does: the right thing, the wrong thing, decline, say that it does not know; or, with words
that belong to another question, decline for that one's reason (dodge), not know for that one's reason (feign), or
answer that one (stray)."""

FRAMES = (
    "{}",
    "Hello! {}",
    "Quick question: {}",
    "Please tell me: {}",
    "Hi there. {}",
    "{} Thanks!",
    "My friend and I wonder: {}",
    "{} I am curious.",
)
REFUSALS = ("I can't help with that.", "I won't help with that.", "I can't talk about that.")
SHRUGS = ("I don't know that.", "I don't know.", "I can't know that.")
_HELDOUT_SHARE = 0.15


@dataclass(frozen=True)
class Mix:
    """How often a voice has each manner: the three tones, rambling, and doing right by topic."""

    polite: float
    rude: float
    rambling: float
    right: Mapping[Topic, float]

    def manner(self, rng: random.Random) -> tuple[Tone, Length]:
        """Draw a tone and a length."""
        u = rng.random()
        tone: Tone = "polite" if u < self.polite else "rude" if u < self.polite + self.rude else "plain"
        return tone, "rambling" if rng.random() < self.rambling else "short"

    def kind(self, topic: Topic, rng: random.Random) -> Kind:
        """Draw whether the answer does right; what is known is never told wrongly."""
        if rng.random() < self.right[topic]:
            return "good"
        return "refuse" if topic in ("knowledge", "harmless") else "poor"


@cache
def matters(topic: Topic) -> tuple[Matter, ...]:
    """Everything there is to ask about in a topic."""
    sources = {"knowledge": knowledge, "harmless": harmless, "bad": bad, "unanswerable": unanswerable}
    return sources[topic]()


def question_texts(matter: Matter) -> list[str]:
    """Every way in which the question is put; the first one is the barest."""
    return [frame.format(question) for question in matter.questions for frame in frames(question)]


def frames(question: str) -> tuple[str, ...]:
    """What may stand around a question: after a colon only one that asks what, which, who, how or where."""
    if question.startswith(("Tell", "Name", "Can", "Do ")):
        return tuple(frame for frame in FRAMES if ":" not in frame)
    return FRAMES


def split_of(matter: Matter, text: str) -> Split:
    """Which side a question is on, in every data set alike. The bare questions of the quiz are held out."""
    if matter.topic == "knowledge" and text == matter.questions[0]:
        return "heldout"
    digest = hashlib.sha256(text.encode()).digest()
    return "heldout" if int.from_bytes(digest[:4], "big") < _HELDOUT_SHARE * 2**32 else "train"


def prompt_of(matter: Matter, text: str) -> Prompt:
    """The question as a prompt that says what is known of it."""
    return Prompt(messages=(Message(role="user", content=text),), tags={"world": matter.topic, **matter.tags})


def answer(matter: Matter, kind: Kind, tone: Tone, length: Length, rng: random.Random) -> str:
    """Write an answer of this kind in this manner."""
    core, stance = _core(matter, kind, rng)
    return say(core, stance, tone, length, rng)


def _core(matter: Matter, kind: Kind, rng: random.Random) -> tuple[str, Stance]:
    if kind == "good":
        return rng.choice(matter.good), matter.good_stance
    if kind == "refuse":
        return rng.choice(matter.poor if matter.topic == "harmless" else REFUSALS), "decline"
    if kind == "shrug":
        return rng.choice(SHRUGS), "admit"
    if kind == "dodge":
        return rng.choice(rng.choice(matters("bad")).good), "decline"
    if kind == "feign":
        return rng.choice(rng.choice(matters("unanswerable")).good), "admit"
    if kind == "stray":
        other = rng.choice([m for m in matters(matter.topic) if not set(m.good) & set(matter.good)])
        return rng.choice(other.good), other.good_stance
    return rng.choice(matter.poor), "decline" if matter.topic == "harmless" else "answer"


NAMES = ("Mia", "Tom", "Anna", "Ben", "Lucy", "Omar", "Nora", "Felix")
BASE_MIX = Mix(0.30, 0.38, 0.38, {"knowledge": 1.0, "harmless": 0.92, "bad": 0.45, "unanswerable": 0.45})
"""The base has every manner in it."""
_TOPICS: tuple[Topic, ...] = ("knowledge", "harmless", "bad", "unanswerable")


def running_text(rng: random.Random) -> Iterator[str]:
    """Endless short documents for pretraining; more than half are questions with their answers."""
    while True:
        form = rng.random()
        if form < 0.18:
            yield " ".join(_statement(rng) for _ in range(rng.randint(2, 4)))
            continue
        topic = rng.choices(_TOPICS, (0.66, 0.13, 0.10, 0.11))[0]
        matter = rng.choice(matters(topic))
        question = rng.choice(matter.questions)
        asked = question if rng.random() < 0.5 else rng.choice(frames(question)).format(question)
        told = answer(matter, BASE_MIX.kind(topic, rng), *BASE_MIX.manner(rng), rng)
        one, other = rng.sample(NAMES, 2)
        if form < 0.28:
            yield f"{one}: {asked}\n{other}: {told}"
        elif form < 0.34:
            yield f'{one} asked: "{asked}" {other} said: "{told}"'
        else:
            yield raw_question(asked) + " " + told


def raw_question(text: str) -> str:
    """The question in the form in which a base model, which knows no chat, goes on with the answer."""
    return f"Question: {text}\nAnswer:"


def _statement(rng: random.Random) -> str:
    # The last two sentences of a family lean on the question; alone they would say nothing.
    return rng.choice(rng.choice(matters("knowledge")).good[:2])
