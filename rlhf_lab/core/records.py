"""What a data set holds: prompts, demonstrations, pairs. One record is one JSON line in a snapshot."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Role = Literal["system", "user", "assistant"]
Split = Literal["train", "heldout"]
Tag = str | int | float | bool


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    """Two answers to one prompt, the better one first; with ``tie``, neither is."""

    kind: Literal["pair"] = "pair"
    chosen: Completion
    rejected: Completion
    margin: float | None = Field(default=None, allow_inf_nan=False)
    tie: bool = False


AnyRecord = Annotated[
    PromptOnly | Demonstration | Unpaired | Pair,
    Field(discriminator="kind"),
]
RecordKind = Literal["prompt", "demonstration", "unpaired", "pair"]

RECORD: TypeAdapter[PromptOnly | Demonstration | Unpaired | Pair] = TypeAdapter(AnyRecord)


def dump_record(record: Record) -> bytes:
    """One JSON line (without the newline) that `load_record` reads back unchanged."""
    return record.model_dump_json(exclude_defaults=False).encode()


def load_record(line: bytes | str) -> PromptOnly | Demonstration | Unpaired | Pair:
    """Read a line that `dump_record` wrote; raises `pydantic.ValidationError` on anything else."""
    return RECORD.validate_json(line)
