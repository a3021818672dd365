"""What a run says while it works. One event is one JSON line in the run's ``events.jsonl``.

A stage yields events that carry only their ``step``; the writer of the log adds ``attempt`` (which
start of the run), ``seq`` (counted within the attempt) and ``time``. NaN and inf are written as
strings, so that they survive; unknown kinds and fields are skipped on reading, so that an older lab
reads a newer log.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rlhf_lab.core.diagnosis import RewardDiagnosis
from rlhf_lab.core.records import Tag

Outcome = Literal["done", "stopped", "failed"]
Count = Annotated[int, Field(ge=0, lt=2**63)]
"""What a database can hold."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings", defer_build=True)


class Event(_Line):
    """What every event has. ``step`` 0 is before the first update; ``time`` is Unix seconds."""

    step: Count = 0
    attempt: Count = 0
    seq: Count = 0
    time: float = 0.0


class Started(Event):
    """The first event of an attempt that begins at step 0."""

    kind: Literal["started"] = "started"
    device: str
    versions: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, int] = Field(default_factory=dict, description="trainable, total, ...")
    total_steps: Count = 0


class Resumed(Event):
    """The first event of a later attempt; what earlier attempts said after ``step`` is superseded."""

    kind: Literal["resumed"] = "resumed"
    device: str
    versions: dict[str, str] = Field(default_factory=dict)
    total_steps: Count = 0


class Phase(Event):
    """What the run is doing now, in words for the strip: "loading the model", "evaluating"."""

    kind: Literal["phase"] = "phase"
    name: str


class Progress(Event):
    """Whole steps done of all there are."""

    kind: Literal["progress"] = "progress"
    done: Count
    total: Count


class Metrics(Event):
    """Named numbers of one step; the names are those of `rlhf_lab.core.metrics`."""

    kind: Literal["metrics"] = "metrics"
    values: dict[str, float]


class Histogram(Event):
    """A distribution: ``counts[i]`` values lie between ``edges[i]`` and ``edges[i + 1]``."""

    kind: Literal["histogram"] = "histogram"
    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


class SampleRow(_Line):
    """One answer that a model gave, with its numbers ("score", "gold", "kl", "tokens", ...).

    ``pieces`` are the answer's tokens as text, the end token included; ``per_token`` holds a number for
    each of them under a name: "kl" (log π − log π_ref), "advantage", "value", "reward".
    """

    prompt: str
    completion: str
    values: dict[str, float] = Field(default_factory=dict)
    tags: dict[str, Tag] = Field(default_factory=dict)
    pieces: tuple[str, ...] = ()
    per_token: dict[str, tuple[float, ...]] = Field(default_factory=dict)


class Samples(Event):
    """Answers of one step; ``name`` is "rollout" or "heldout" (the same prompts every time)."""

    kind: Literal["samples"] = "samples"
    name: str
    rows: tuple[SampleRow, ...]


class Checkpointed(Event):
    """A complete checkpoint lies at ``path``, relative to the run's folder."""

    kind: Literal["checkpointed"] = "checkpointed"
    path: str


class Changed(Event):
    """A setting that a person changed while the run went on."""

    kind: Literal["changed"] = "changed"
    field: str
    value: float


class Paused(Event):
    """The run waits (``paused``) or goes on (not ``paused``), as a person asked.

    ``reason``: what it waits for instead, such as room on the disk; whoever follows the run says this one, no log has it.
    """

    kind: Literal["paused"] = "paused"
    paused: bool
    reason: str = ""


class Warned(Event):
    """Something to know that does not end the run."""

    kind: Literal["warned"] = "warned"
    code: str
    text: str


class Health(Event):
    """A verdict on the run from its curves: a heuristic, never a proof. One that no longer holds is said again, not ``on``."""

    kind: Literal["health"] = "health"
    code: str = Field(description='which rule, as in `rlhf_lab.core.health`: "kl_high", ...')
    level: Literal["check", "stop"] = "check"
    on: bool = True
    title: str = Field(description='a few words for a chip: "KL runs away"')
    seen: str = Field(description="what was seen, with the numbers")
    cause: str = ""
    advice: str = ""
    metrics: tuple[str, ...] = Field(default=(), description="the curves on which it is marked")


class Diagnosis(Event):
    """What is known of a reward model at this step, for people; see `rlhf_lab.core.diagnosis`."""

    kind: Literal["diagnosis"] = "diagnosis"
    found: RewardDiagnosis


class Finished(Event):
    """The last event of an attempt that could still speak; ``message`` is for the person."""

    kind: Literal["finished"] = "finished"
    outcome: Outcome
    message: str = ""


AnyEvent = (
    Started
    | Resumed
    | Phase
    | Progress
    | Metrics
    | Histogram
    | Samples
    | Checkpointed
    | Changed
    | Paused
    | Warned
    | Health
    | Diagnosis
    | Finished
)
_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(
    Annotated[AnyEvent, Field(discriminator="kind")], config=ConfigDict(defer_build=True)
)
_KINDS = frozenset(model.model_fields["kind"].default for model in AnyEvent.__args__)


def dump_event(event: Event) -> bytes:
    """One JSON line (without the newline) that `load_event` reads back unchanged, NaN too."""
    return event.model_dump_json().encode()


def load_event(line: bytes | str) -> AnyEvent | None:
    """Read one line; ``None`` for a kind that this version does not know.

    Raises `ValueError` for a line that is no event at all.
    """
    try:
        return _EVENT.validate_json(line)
    except ValidationError:
        try:
            found = json.loads(line)
        except RecursionError:
            raise ValueError("nested too deep") from None
        if isinstance(found, dict) and isinstance(kind := found.get("kind"), str) and kind not in _KINDS:
            return None
        raise


def superseded_after(events: list[AnyEvent]) -> list[AnyEvent]:
    """Events as they count now: what came after the step that a later attempt resumed from is gone."""
    kept: list[AnyEvent] = []
    for event in events:
        if isinstance(event, Resumed):
            kept = [e for e in kept if e.step <= event.step and not isinstance(e, Finished)]
        kept.append(event)
    return kept


def relative_path(path: Path, folder: Path) -> str:
    """How `Checkpointed` names ``path``: with forward slashes on every platform."""
    return path.relative_to(folder).as_posix()
