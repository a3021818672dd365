"""Events: JSON lines that keep NaN and inf, skip what is unknown, and forget what was superseded."""

import math
from pathlib import Path

import pytest

from rlhf_lab.core.diagnosis import RewardDiagnosis, Scored
from rlhf_lab.core.events import (
    AnyEvent,
    Changed,
    Checkpointed,
    Diagnosis,
    Event,
    Finished,
    Health,
    Histogram,
    Metrics,
    Paused,
    Phase,
    Progress,
    Resumed,
    SampleRow,
    Samples,
    Started,
    Warned,
    dump_event,
    load_event,
    relative_path,
    superseded_after,
)

EVERY_KIND: list[Event] = [
    Started(device="cpu", versions={"torch": "2"}, parameters={"trainable": 1}, total_steps=3),
    Resumed(step=4, device="cpu"),
    Phase(name="loading the model"),
    Progress(done=1, total=3),
    Metrics(step=1, values={"train/loss": 0.5}),
    Histogram(name="scores", edges=(0.0, 1.0), counts=(3,)),
    Samples(name="heldout", rows=(SampleRow(prompt="a\nb", completion="c", values={"gold": 1.0}, tags={"x": True}),)),
    Checkpointed(path="checkpoints/step-1"),
    Changed(field="kl_coef", value=0.1),
    Paused(paused=True),
    Warned(code="truncated", text="Two prompts were cut."),
    Health(code="kl_high", level="stop", title="KL runs away", seen="KL 31 nats", metrics=("objective/kl",)),
    Diagnosis(found=RewardDiagnosis(ece=0.1, points=(Scored(tokens=3, score=-1.5, chosen=True),), verdict=("Good.",))),
    Finished(outcome="done", message="Ende ✓"),
]


@pytest.mark.parametrize("event", EVERY_KIND, ids=lambda event: event.kind)
def test_an_event_survives_its_line(event: Event) -> None:
    stamped = event.model_copy(update={"attempt": 2, "seq": 7, "time": 12.5})
    line = dump_event(stamped)
    assert b"\n" not in line
    assert load_event(line) == stamped


def test_every_kind_is_tried_here() -> None:
    assert {type(event) for event in EVERY_KIND} == set(AnyEvent.__args__)


def test_nan_and_inf_survive_everywhere() -> None:
    values = {"a": math.nan, "b": math.inf, "c": -math.inf}
    found = load_event(dump_event(Metrics(values=values)))
    assert isinstance(found, Metrics)
    assert math.isnan(found.values["a"])
    assert (found.values["b"], found.values["c"]) == (math.inf, -math.inf)
    row = SampleRow(prompt="", completion="", values=values)
    rows = load_event(dump_event(Samples(name="heldout", rows=(row,))))
    assert isinstance(rows, Samples)
    assert math.isnan(rows.rows[0].values["a"])


def test_an_unknown_kind_is_skipped_and_an_unknown_field_ignored() -> None:
    assert load_event('{"kind": "from_the_future", "step": 1}') is None
    assert load_event('{"kind": "phase", "name": "x", "colour": "red"}') == Phase(name="x")


@pytest.mark.parametrize(
    "line", ["", "{", "7", "{}", '{"kind": "metrics"}', '{"kind": 3}', '{"kind": "finished", "outcome": "so-so"}']
)
def test_a_line_that_is_no_event_raises(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load_event(line)


def test_what_came_after_the_resumed_step_is_gone_with_the_old_end() -> None:
    def loss(step: int, attempt: int) -> Metrics:
        return Metrics(step=step, attempt=attempt, values={"train/loss": float(attempt)})

    events: list[AnyEvent] = [
        Started(device="cpu"),
        *[loss(step, 1) for step in (1, 2, 3)],
        Finished(step=3, outcome="stopped"),
        Resumed(step=2, attempt=2, device="cpu"),
        *[loss(step, 2) for step in (3, 4)],
    ]
    kept = superseded_after(events)
    assert [(e.step, e.attempt) for e in kept if isinstance(e, Metrics)] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert not [e for e in kept if isinstance(e, Finished)]


def test_paths_in_events_have_forward_slashes(tmp_path: Path) -> None:
    assert relative_path(tmp_path / "checkpoints" / "step-1", tmp_path) == "checkpoints/step-1"
