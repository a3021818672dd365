"""What it takes to have models write answers to be ranked: which prompts, which models, how many. No Qt."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rlhf_lab.core.records import Candidates, Completion, Message, Prompt, PromptOnly
from rlhf_lab.gui.models.contenders import Contender
from rlhf_lab.store import Store

FEWEST, MOST = 2, 9
"""Answers to one prompt."""


@dataclass(frozen=True)
class FreshPlan:
    """Each prompt gets ``answers`` answers, the models taking turns."""

    dataset: str
    models: tuple[Contender, ...]
    answers: int = 2
    temperature: float = 1.0
    longest: int = 128

    @property
    def shares(self) -> list[int]:
        """How many answers each model writes to a prompt."""
        return [len(range(place, self.answers, len(self.models))) for place in range(len(self.models))]

    @property
    def title(self) -> str:
        """What the data set of these answers is called."""
        names = [model.title for model in self.models]
        return f"fresh answers of {' and '.join(names) if len(names) < 3 else f'{names[0]}, {names[1]} and {len(names) - 2} more'}"


def questions(store: Store, dataset: str, chance: random.Random) -> Iterator[PromptOnly]:
    """The data set's different prompts in an order that looks random, each in its split; nothing is read in advance."""
    count = store.count(dataset)
    if not count:
        return
    # Steps of one length around a ring meet every place once.
    step = next(step for step in iter(lambda: chance.randrange(1, count + 1), 0) if math.gcd(step, count) == 1)
    start = chance.randrange(count)
    used: set[str] = set()
    for n in range(count):
        rows = store.page_at(dataset, (start + n * step) % count, 1)
        if rows and rows[0].record.prompt.text not in used:
            record = rows[0].record
            used.add(record.prompt.text)
            yield PromptOnly(prompt=record.prompt, split=record.split)


def as_asked(prompt: Prompt, model: Contender) -> tuple[Prompt, str, str | None]:
    """The prompt as this model understands it, the mode, and where its answer ends: a base only continues text."""
    if model.run is not None:
        return prompt, "chat", None
    text = str(prompt.tags.get("raw", f"Question: {prompt.messages[-1].content}\nAnswer:"))
    return Prompt(messages=(Message(role="user", content=text),), tags=prompt.tags), "raw", "\n"


def candidates(question: PromptOnly, written: Sequence[tuple[str, str]]) -> Candidates | None:
    """The different answers, given as (text, who wrote it); None where there are fewer than two."""
    sources: dict[str, list[str]] = {}
    for text, source in written:
        if text.strip():
            sources.setdefault(text, []).append(source)
    if len(sources) < FEWEST:
        return None
    return Candidates(
        prompt=question.prompt,
        split=question.split,
        completions=tuple(Completion(text=text, source=", ".join(dict.fromkeys(who))) for text, who in sources.items()),
    )
