"""Records as token ids, encoded when a batch needs them; only places in the file are held."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord, Demonstration, Pair, Prompt, Ranking, Rated, Several, Unpaired
from rlhf_lab.engine import chat
from rlhf_lab.engine.batches import batch_indices, choose


@dataclass(frozen=True)
class Example:
    """A prompt and one answer to it, ids; a whole answer ends with EOS."""

    prompt: list[int]
    answer: list[int]

    @property
    def row(self) -> list[int]:
        """Both, as the model reads them."""
        return self.prompt + self.answer


@dataclass
class Encoder:
    """Texts to ids under the run's limits; counts what did not fit."""

    tokenizer: Any
    max_prompt_tokens: int
    max_new_tokens: int
    prompts: int = 0
    prompts_cut: int = 0
    answers: int = 0
    answers_cut: int = 0

    def prompt(self, prompt: Prompt) -> list[int]:
        """As `chat.encode_prompt`."""
        ids, cut = chat.encode_prompt(self.tokenizer, prompt, self.max_prompt_tokens)
        self.prompts += 1
        self.prompts_cut += cut
        return ids

    def answer(self, text: str) -> list[int]:
        """As `chat.encode_answer`."""
        ids = chat.encode_answer(self.tokenizer, text, self.max_new_tokens)
        self.answers += 1
        self.answers_cut += ids[-1] != self.tokenizer.eos_token_id
        return ids

    def lost(self) -> str:
        """How much was cut, in words; empty when nothing was."""
        parts = []
        if self.prompts_cut:
            parts.append(
                f"{self.prompts_cut} of {self.prompts} prompts were longer than {self.max_prompt_tokens} tokens "
                "and lost their oldest turns or the middle of their text"
            )
        if self.answers_cut:
            parts.append(
                f"{self.answers_cut} of {self.answers} answers were longer than {self.max_new_tokens} tokens "
                "and lost their end"
            )
        return "; ".join(parts)


@dataclass(frozen=True)
class Data:
    """The records of one use, by split."""

    records: Sequence[AnyRecord]
    train: Sequence[int]
    heldout: Sequence[int] = field(default_factory=list)

    def places(self, size: int, step: int, seed: int) -> list[int]:
        """Which records to train on step ``step`` (from 0) takes, as indices of ``train``."""
        return batch_indices(len(self.train), size, step, seed)

    def at(self, places: Sequence[int]) -> list[AnyRecord]:
        """Records to train on."""
        return [self.records[self.train[place]] for place in places]

    def batch(self, size: int, step: int, seed: int) -> list[AnyRecord]:
        """What step ``step`` (from 0) trains on."""
        return self.at(self.places(size, step, seed))

    def train_records(self, size: int, seed: int) -> list[AnyRecord]:
        """The same at most ``size`` records to train on every time."""
        return self.at(choose(len(self.train), size, seed))

    def heldout_records(self, size: int, seed: int) -> list[AnyRecord]:
        """The same at most ``size`` held-out records every time."""
        return [self.records[self.heldout[i]] for i in choose(len(self.heldout), size, seed)]


def select(
    records: Sequence[AnyRecord], wanted: Callable[[AnyRecord], bool], tick: Callable[[], None], missing: str
) -> Data:
    """Places of the wanted records; raises `LabError` (``missing``) when there is none to train on."""
    train, heldout = array("Q"), array("Q")
    for place, record in enumerate(records):
        if place % 1000 == 0:
            tick()
        if wanted(record):
            (heldout if record.split == "heldout" else train).append(place)
    if not train:
        raise LabError(missing)
    return Data(records, train, heldout)


def shown_answer(record: AnyRecord) -> str | None:
    """The answer of a record that is worth imitating, if it has one."""
    match record:
        case Demonstration():
            return record.completion.text
        case Pair(tie=False):
            return record.chosen.text
        case Unpaired(label=True):
            return record.completion.text
        case Ranking():
            return _best(record, [-rank for rank in record.ranks])
        case Rated():
            return _best(record, record.ratings)
        case _:
            return None


def _best(record: Several, values: Sequence[float]) -> str | None:
    """The one answer that is above all others, if there is one."""
    best = max(values)
    found = [answer.text for answer, value in zip(record.completions, values, strict=True) if value == best]
    return found[0] if len(found) == 1 else None
