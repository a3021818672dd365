"""The questions of a data set, each once, read from the run's snapshot when they are needed."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from rlhf_lab.core.records import AnyRecord, Prompt
from rlhf_lab.engine.chat import encode_prompt


@dataclass(frozen=True)
class PromptPool:
    """Unique prompts of one split, in the order of the file; it keeps places, not records."""

    records: Sequence[AnyRecord]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> Prompt:
        return self.records[self.places[i]].prompt


@dataclass(frozen=True)
class Asked:
    """Prompts as they were asked, and the ids that a model reads."""

    prompts: Sequence[Prompt]
    ids: Sequence[list[int]]

    def __len__(self) -> int:
        return len(self.prompts)

    def part(self, start: int, size: int) -> "Asked":
        """``size`` of them from ``start`` on."""
        return Asked(self.prompts[start : start + size], self.ids[start : start + size])

    def spread(self, count: int) -> "Asked":
        """At most ``count`` of them from all over: neighbours in a file are often of one kind."""
        count = min(count, len(self))
        chosen = [i * len(self) // count for i in range(count)]
        return Asked([self.prompts[i] for i in chosen], [self.ids[i] for i in chosen])

    def repeated(self, times: int) -> "Asked":
        """Each of them so many times, neighbours."""
        again = [i for i in range(len(self)) for _ in range(times)]
        return Asked([self.prompts[i] for i in again], [self.ids[i] for i in again])


def encode(tokenizer: Any, pool: PromptPool, places: Sequence[int], max_tokens: int) -> tuple[Asked, int]:
    """The prompts at ``places``, and how many had to be shortened to ``max_tokens``."""
    prompts = [pool[place] for place in places]
    encoded = [encode_prompt(tokenizer, prompt, max_tokens) for prompt in prompts]
    return Asked(prompts, [ids for ids, _ in encoded]), sum(cut for _, cut in encoded)


def unique_prompts(records: Sequence[AnyRecord]) -> tuple[PromptPool, PromptPool]:
    """Prompts to train on, and held-out ones, none of which is trained on."""
    train, heldout = array("q"), array("q")
    seen: set[bytes] = set()
    later: dict[bytes, int] = {}
    for place, record in enumerate(records):
        key = _key(record.prompt)
        if record.split == "heldout":
            later.setdefault(key, place)
        elif key not in seen:
            seen.add(key)
            train.append(place)
    heldout.extend(place for key, place in later.items() if key not in seen)
    return PromptPool(records, train), PromptPool(records, heldout)


def _key(prompt: Prompt) -> bytes:
    digest = blake2b(digest_size=16)
    for message in prompt.messages:
        digest.update(f"{message.role}\x1f{message.content}\x1e".encode(errors="surrogatepass"))
    return digest.digest()
