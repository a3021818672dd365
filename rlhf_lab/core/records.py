"""What a data set holds: prompts, demonstrations, pairs. One record is one JSON line in a snapshot."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Role = Literal["system", "user", "assistant"]
Split = Literal["train", "heldout"]
Tag = str | int | float | bool

MOST_ANSWERS = 64
"""Answers to one prompt in one record; a person ranks up to nine at a time."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Message(_Frozen):
    """One turn of a conversation."""

    role: Role
    content: str


class Prompt(_Frozen):
    """What a model is asked: the turns up to the one it has to write.

    ``tags`` say what is known of the question itself (its topic, the accepted answer, ...).
    """

    messages: tuple[Message, ...]
    tags: dict[str, Tag] = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """The turns as plain text, for tables, search and duplicates; never what a model reads."""
        if len(self.messages) == 1:
            return self.messages[0].content
        return "\n\n".join(f"{m.role}: {m.content}" for m in self.messages)


class Completion(_Frozen):
    """An answer to a prompt, and who or what wrote it."""

    text: str
    source: str = ""


class Record(_Frozen):
    """What every record has. ``tags`` say what is known of this record (annotator, noise, ...)."""

    prompt: Prompt
    split: Split = "train"
    tags: dict[str, Tag] = Field(default_factory=dict)


class PromptOnly(Record):
    """A question without an answer: for rollouts, evaluation and ranking."""

    kind: Literal["prompt"] = "prompt"


class Demonstration(Record):
    """A prompt and the answer to imitate: for SFT."""

    kind: Literal["demonstration"] = "demonstration"
    completion: Completion


class Unpaired(Record):
    """A prompt, one answer, and whether a person liked it."""

    kind: Literal["unpaired"] = "unpaired"
    completion: Completion
    label: bool


class Pair(Record):
    """Two answers to one prompt, the better one first; with ``tie``, neither is.

    ``weight`` is what its loss counts for: pairs drawn from one ranking share the weight of one.
    """

    kind: Literal["pair"] = "pair"
    chosen: Completion
    rejected: Completion
    margin: float | None = Field(default=None, allow_inf_nan=False)
    tie: bool = False
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Several(Record):
    """What every record of two or more answers to one prompt has; their order says nothing."""

    completions: tuple[Completion, ...] = Field(min_length=2, max_length=MOST_ANSWERS)


class Candidates(Several):
    """Answers that nobody has compared yet: for ranking."""

    kind: Literal["candidates"] = "candidates"


class Ranking(Several):
    """Answers in the order in which somebody likes them: ``ranks[i]`` is that of ``completions[i]``.

    1 is best, and as many above it as answers are better: equal ranks are ties (1, 2, 2, 4).
    """

    kind: Literal["ranking"] = "ranking"
    ranks: tuple[int, ...]

    @model_validator(mode="after")
    def _competition_ranks(self) -> Self:
        if self.ranks != competition_ranks(self.ranks) or len(self.ranks) != len(self.completions):
            raise ValueError(f"the ranks {list(self.ranks)} do not order {len(self.completions)} answers")
        return self


class Rated(Several):
    """Answers that were rated one by one: ``ratings[i]`` is that of ``completions[i]``, higher is better."""

    kind: Literal["rated"] = "rated"
    ratings: tuple[Annotated[float, Field(allow_inf_nan=False)], ...]

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if len(self.ratings) != len(self.completions):
            raise ValueError(f"{len(self.ratings)} ratings do not rate {len(self.completions)} answers")
        return self


def competition_ranks(values: Sequence[float]) -> tuple[int, ...]:
    """Ranks from 1 by ``values`` (lower is better), equal values sharing the better rank: 5, 7, 7, 9 → 1, 2, 2, 4."""
    return tuple(1 + sum(other < value for other in values) for value in values)


AnyRecord = Annotated[
    PromptOnly | Demonstration | Unpaired | Pair | Candidates | Ranking | Rated,
    Field(discriminator="kind"),
]
RecordKind = Literal["prompt", "demonstration", "unpaired", "pair", "candidates", "ranking", "rated"]

RECORD: TypeAdapter[PromptOnly | Demonstration | Unpaired | Pair | Candidates | Ranking | Rated] = TypeAdapter(
    AnyRecord, config=ConfigDict(defer_build=True)
)


def dump_record(record: Record) -> bytes:
    """One JSON line (without the newline) that `load_record` reads back unchanged."""
    return record.model_dump_json(exclude_defaults=False).encode()


def load_record(
    line: bytes | str,
) -> PromptOnly | Demonstration | Unpaired | Pair | Candidates | Ranking | Rated:
    """Read a line that `dump_record` wrote; raises `pydantic.ValidationError` on anything else."""
    return RECORD.validate_json(line)
