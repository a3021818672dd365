"""What the inference child is asked and what it replies: one JSON line each. Both sides import this."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from rlhf_lab.core.records import Prompt

MOST_DRAWS = 64
"""Answers to one prompt from which the best can be sent."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", defer_build=True)


class ModelSpec(_Line):
    """A model to ask: a base and the adapters on it, in order (a reward model's comes last)."""

    model: str = "bundled"
    adapters: tuple[Path, ...] = ()
    dtype: Literal["fp32", "bf16", "auto"] = "fp32"


class Generate(_Line):
    """Answer each prompt.

    ``mode`` "raw" continues the text of each prompt's last message as it stands. ``stop`` ends an answer
    and is cut off. ``judge``: the hidden preference of the bundled world, where it knows the question.
    ``kl``: log-ratio of the answer to the base that the last adapter sits on; ``kl_to``: to this model instead.
    ``reward``: score by this model. ``best_of``: write so many answers to each prompt and send the one that ``reward``
    likes best, its numbers with it, "mean_score" that of all. ``tokens``: with each answer its tokens, and where a KL is
    asked for the log-ratio of each.
    """

    op: Literal["generate"] = "generate"
    id: int
    model: ModelSpec
    prompts: tuple[Prompt, ...]
    mode: Literal["chat", "raw"] = "chat"
    system: str | None = None
    max_new_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    seed: int = 0
    stream: bool = False
    stop: str | None = None
    judge: bool = False
    kl: bool = False
    kl_to: ModelSpec | None = None
    reward: ModelSpec | None = None
    best_of: int = Field(default=1, ge=1, le=MOST_DRAWS)
    tokens: bool = False


class Score(_Line):
    """Score ready-made answers, one a prompt."""

    op: Literal["score"] = "score"
    id: int
    reward: ModelSpec
    prompts: tuple[Prompt, ...]
    texts: tuple[str, ...]


class Cancel(_Line):
    """End a request early; it still ends with a `Done`."""

    op: Literal["cancel"] = "cancel"
    id: int


class Unload(_Line):
    """Forget all models."""

    op: Literal["unload"] = "unload"
    id: int


class Token(_Line):
    """More text of one answer."""

    kind: Literal["token"] = "token"
    id: int
    index: int
    text: str


class Answer(_Line):
    """One whole answer and its numbers: "tokens", "ended", and what was asked for ("score", "kl", "gold", ...).

    ``pieces`` are its tokens as text, ``per_token`` a number for each of them by name, as in `core.events.SampleRow`.
    """

    kind: Literal["answer"] = "answer"
    id: int
    index: int
    text: str
    values: dict[str, float]
    pieces: tuple[str, ...] = ()
    per_token: dict[str, tuple[float, ...]] = Field(default_factory=dict)


class Done(_Line):
    """The last reply to a request that went well, or was cancelled."""

    kind: Literal["done"] = "done"
    id: int
    cancelled: bool = False


class Failed(_Line):
    """The last reply to a request that could not be met."""

    kind: Literal["error"] = "error"
    id: int
    message: str


Request = Generate | Score | Cancel | Unload
REQUEST: TypeAdapter[Request] = TypeAdapter(
    Annotated[Request, Field(discriminator="op")], config=ConfigDict(defer_build=True)
)
Reply = Token | Answer | Done | Failed
REPLY: TypeAdapter[Reply] = TypeAdapter(
    Annotated[Reply, Field(discriminator="kind")], config=ConfigDict(defer_build=True)
)
