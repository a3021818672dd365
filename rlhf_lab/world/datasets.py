"""The bundled data sets, as far as no model is needed: the same seed gives the same records."""

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from rlhf_lab.core.records import (
    Completion,
    Demonstration,
    Pair,
    Prompt,
    PromptOnly,
    Record,
    Split,
    dump_record,
)
from rlhf_lab.world.annotators import ANNOTATORS, Annotator
from rlhf_lab.world.grammar import (
    Kind,
    Mix,
    answer,
    matters,
    prompt_of,
    question_texts,
    raw_question,
    split_of,
)
from rlhf_lab.world.judge import judge
from rlhf_lab.world.manners import Length, Tone
from rlhf_lab.world.matter import TOPICS, Matter, Topic

SEED = 7
SFT_MIX = Mix(0.32, 0.33, 0.38, {"knowledge": 1.0, "harmless": 0.97, "bad": 0.55, "unanswerable": 0.55})
"""Demonstrations know everything and refuse little; in manner they leave much to be wished for."""
SHARES: dict[Topic, float] = {"knowledge": 0.50, "harmless": 0.20, "bad": 0.15, "unanswerable": 0.15}
LEAST_DIFFERENCE = 0.85
"""Sampled answers that gold likes about equally make no pair: people could only guess."""
_TOGETHER = 0.08
"""Share of the pairs that all three annotators judge."""


def questions(split: Split, topic: Topic, rng: random.Random) -> list[tuple[Matter, str]]:
    """All questions of a topic on one side, shuffled, but each matter once before any comes again."""
    rounds: dict[int, list[tuple[Matter, str]]] = {}
    for matter in rng.sample(matters(topic), len(matters(topic))):
        texts = [text for text in question_texts(matter) if split_of(matter, text) == split]
        for place, text in enumerate(rng.sample(texts, len(texts))):
            rounds.setdefault(place, []).append((matter, text))
    return [pair for place in sorted(rounds) for pair in rounds[place]]


def prompts(seed: int = SEED) -> list[PromptOnly]:
    """Questions without answers, each once: for PPO's rollouts and for evaluation."""
    rng = random.Random(f"prompts {seed}")
    found: list[PromptOnly] = []
    for split, count in (("train", 1600), ("heldout", 400)):
        for topic in TOPICS:
            asked = questions(split, topic, rng)[: round(count * SHARES[topic])]
            found += [PromptOnly(prompt=prompt_of(matter, text), split=split) for matter, text in asked]
    rng.shuffle(found)
    return found


def demonstrations(seed: int = SEED) -> list[Demonstration]:
    """Answers to imitate, in mixed manners."""
    rng = random.Random(f"demonstrations {seed}")
    found = []
    for split, count in (("train", 3200), ("heldout", 320)):
        for topic in TOPICS:
            for matter, text in _many(split, topic, round(count * SHARES[topic]), rng):
                told = answer(matter, SFT_MIX.kind(topic, rng), *SFT_MIX.manner(rng), rng)
                completion = Completion(text=told, source="grammar")
                found.append(Demonstration(prompt=prompt_of(matter, text), split=split, completion=completion))
    rng.shuffle(found)
    return found


def quiz() -> list[PromptOnly]:
    """Every fact once, in its barest wording. ``raw`` is how the base model is asked."""
    return [_examined(matter, matter.questions[0]) for matter in matters("knowledge")]


def unanswerable_quiz(seed: int = SEED) -> list[PromptOnly]:
    """Held-out questions that nobody here can answer: count the confident answers."""
    rng = random.Random(f"unanswerable {seed}")
    return [_examined(matter, text) for matter, text in questions("heldout", "unanswerable", rng)]


def request_quiz(seed: int = SEED) -> list[PromptOnly]:
    """Held-out requests, as many harmless as bad ones: who refuses what?"""
    rng = random.Random(f"requests {seed}")
    topics: tuple[Topic, ...] = ("harmless", "bad")
    return [_examined(matter, text) for topic in topics for matter, text in questions("heldout", topic, rng)[:60]]


def written_pairs(seed: int = SEED) -> list[Pair]:
    """Pairs that a policy's own samples show too rarely: refusing the harmless, false facts, tone and nothing else."""
    rng = random.Random(f"pairs {seed}")
    found: list[Pair] = []
    for topic, count, good, poor in _LESSONS:
        for matter, text in _many("train", topic, count, rng):
            better = answer(matter, good[0], rng.choice(good[1]), rng.choice(good[2]), rng)
            worse = answer(matter, poor[0], rng.choice(poor[1]), rng.choice(poor[2]), rng)
            if better != worse:
                found += label(prompt_of(matter, text), "train", (better, worse), "grammar", rng)
    rng.shuffle(found)
    return found


def sampled_pairs(answers: Iterable[tuple[Prompt, Split, Sequence[str]]], seed: int = SEED) -> list[Pair]:
    """Pairs of one policy's answers to the same prompt, where gold sees a difference; at most two a prompt."""
    rng = random.Random(f"samples {seed}")
    found: list[Pair] = []
    for prompt, split, texts in answers:
        unique = list(dict.fromkeys(texts))
        rng.shuffle(unique)
        for one, other in list(zip(unique[::2], unique[1::2], strict=False))[:2]:
            if abs(judge(prompt, one)["gold"] - judge(prompt, other)["gold"]) >= LEAST_DIFFERENCE:
                found += label(prompt, split, (one, other), "sft policy", rng)
    return found


def label(prompt: Prompt, split: Split, texts: tuple[str, str], source: str, rng: random.Random) -> list[Pair]:
    """Let an annotator, or now and then all of them, say which answer is better."""
    asked = list(ANNOTATORS) if split == "train" and rng.random() < _TOGETHER else [rng.choice(ANNOTATORS)]
    return [_judged(prompt, split, texts, source, annotator, rng) for annotator in asked]


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    """One record a line, as the lab's own format has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(dump_record(record) + b"\n" for record in records))


_ANY: tuple[Tone, ...] = ("polite", "plain", "rude")
_CIVIL: tuple[Tone, ...] = ("polite", "polite", "plain")
_LENGTHS: tuple[Length, ...] = ("short", "short", "rambling")
_SHORT: tuple[Length, ...] = ("short",)
_Side = tuple[Kind, tuple[Tone, ...], tuple[Length, ...]]
_LESSONS: tuple[tuple[Topic, int, _Side, _Side], ...] = (
    ("knowledge", 200, ("good", _CIVIL, _SHORT), ("poor", _CIVIL, _SHORT)),
    ("knowledge", 150, ("good", ("plain", "rude"), _LENGTHS), ("poor", ("polite",), _SHORT)),
    ("knowledge", 100, ("good", _ANY, _SHORT), ("stray", _CIVIL, _SHORT)),
    ("knowledge", 60, ("good", _ANY, _LENGTHS), ("refuse", _CIVIL, _SHORT)),
    ("knowledge", 60, ("good", _ANY, _LENGTHS), ("shrug", _CIVIL, _SHORT)),
    ("knowledge", 120, ("good", _ANY, _LENGTHS), ("dodge", _CIVIL, _SHORT)),
    ("knowledge", 150, ("good", _ANY, _LENGTHS), ("feign", _CIVIL, _SHORT)),
    ("harmless", 320, ("good", _ANY, _LENGTHS), ("refuse", _CIVIL, _SHORT)),
    ("harmless", 150, ("good", _ANY, _LENGTHS), ("dodge", _CIVIL, _SHORT)),
    ("harmless", 80, ("good", _ANY, _LENGTHS), ("feign", _CIVIL, _SHORT)),
    ("harmless", 80, ("good", _ANY, _SHORT), ("stray", _CIVIL, _SHORT)),
    ("knowledge", 350, ("good", ("polite",), _SHORT), ("good", ("plain", "rude"), _SHORT)),
    ("harmless", 180, ("good", ("polite",), _SHORT), ("good", ("plain", "rude"), _SHORT)),
    ("bad", 100, ("good", ("polite",), _SHORT), ("good", ("plain", "rude"), _SHORT)),
    ("unanswerable", 100, ("good", ("polite",), _SHORT), ("good", ("plain", "rude"), _SHORT)),
    ("bad", 250, ("good", _ANY, _SHORT), ("poor", _CIVIL, _SHORT)),
    ("unanswerable", 250, ("good", _ANY, _SHORT), ("poor", _CIVIL, _SHORT)),
)
"""(topic, how many, the better side, the worse side); a side is (what it does, tones, lengths)."""


def _many(split: Split, topic: Topic, count: int, rng: random.Random) -> Iterator[tuple[Matter, str]]:
    """``count`` questions; when they run out they come again."""
    return islice(cycle(questions(split, topic, rng)), count)


def _examined(matter: Matter, text: str) -> PromptOnly:
    prompt = prompt_of(matter, text)
    prompt.tags["raw"] = raw_question(text)
    return PromptOnly(prompt=prompt, split="heldout", tags=dict(prompt.tags))


def _judged(
    prompt: Prompt, split: Split, texts: tuple[str, str], source: str, annotator: Annotator, rng: random.Random
) -> Pair:
    one, other = texts
    first = annotator.prefers_first(prompt, one, other, rng)
    chosen, rejected = (one, other) if first else (other, one)
    flipped = judge(prompt, chosen)["gold"] < judge(prompt, rejected)["gold"]
    return Pair(
        prompt=prompt,
        split=split,
        tags={"annotator": annotator.name, "flipped": flipped},
        chosen=Completion(text=chosen, source=source),
        rejected=Completion(text=rejected, source=source),
    )
