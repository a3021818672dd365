"""Runs in the store: events once each, the offset with them, curves as they count now."""

import json
import math
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import (
    AnyEvent,
    Finished,
    Metrics,
    Progress,
    Resumed,
    SampleRow,
    Samples,
    Started,
    Warned,
    dump_event,
    superseded_after,
)
from rlhf_lab.core.recipe import Place
from rlhf_lab.store import Store

Batch = list[tuple[AnyEvent | None, int]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        store.add_run("ppo-1", "ppo", "runs/ppo-1", '{"stage": "ppo"}', 1.0)
        yield store


def with_offsets(events: list[AnyEvent]) -> Batch:
    return [(event, 10 * (n + 1)) for n, event in enumerate(events)]


STORY: list[AnyEvent] = [
    Started(attempt=1, seq=1, device="cpu", total_steps=4),
    Metrics(attempt=1, seq=2, step=1, values={"objective/kl": 0.5}),
    Progress(attempt=1, seq=3, step=1, done=1, total=4),
    Metrics(attempt=1, seq=4, step=2, values={"objective/kl": 9.0, "gone": 1.0}),
    Samples(attempt=1, seq=5, step=2, name="heldout", rows=(SampleRow(prompt="p", completion="lost"),)),
    Finished(attempt=1, seq=6, step=2, outcome="stopped", message="as asked"),
    Resumed(attempt=2, seq=1, step=1, device="cpu", total_steps=4),
    Metrics(attempt=2, seq=2, step=1, values={"objective/kl": 0.4}),
    Metrics(attempt=2, seq=3, step=2, values={"objective/kl": 0.6}),
    Samples(attempt=2, seq=4, step=2, name="heldout", rows=(SampleRow(prompt="p", completion="kept"),)),
]


def test_what_a_resume_superseded_is_gone(store: Store) -> None:
    store.record_events("ppo-1", with_offsets(STORY))
    assert store.curves("ppo-1") == {"objective/kl": ([1, 2], [0.4, 0.6])}
    assert store.events("ppo-1") == superseded_after(STORY)
    (samples,) = store.events("ppo-1", ["samples"])
    assert isinstance(samples, Samples)
    assert samples.rows[0].completion == "kept"


def test_state_follows_the_events(store: Store) -> None:
    seen = []
    for entry in with_offsets(STORY):
        store.record_events("ppo-1", [entry])
        (row,) = store.runs()
        seen.append((row.outcome, row.step, row.total, row.message))
    assert seen[0] == ("running", 0, 4, "")
    assert seen[2] == ("running", 1, 4, "")
    assert seen[5] == ("stopped", 1, 4, "as asked")
    assert seen[6] == ("running", 1, 4, "")
    store.set_run_state("ppo-1", "interrupted", "the process is gone")
    assert [(row.outcome, row.message) for row in store.runs()] == [("interrupted", "the process is gone")]


def test_reading_the_log_again_changes_nothing(store: Store) -> None:
    store.record_events("ppo-1", with_offsets(STORY))
    store.record_events("ppo-1", [(Finished(attempt=2, seq=5, step=2, outcome="done"), 999)])
    before = (store.runs(), store.curves("ppo-1"), store.events("ppo-1"), store.offset("ppo-1"))
    store.record_events("ppo-1", with_offsets(STORY))
    assert (store.runs(), store.curves("ppo-1"), store.events("ppo-1"), store.offset("ppo-1")) == before


def test_the_offset_moves_with_its_events_or_not_at_all(store: Store) -> None:
    store.record_events("ppo-1", [(None, 7)])
    assert store.offset("ppo-1") == 7
    bad = Metrics.model_construct(attempt=1, seq=2, step=2**70, values={"a": 1.0})
    with pytest.raises(OverflowError):
        store.record_events("ppo-1", [(STORY[0], 20), (bad, 30)])
    assert store.offset("ppo-1") == 7
    assert store.events("ppo-1") == []


def test_numbers_that_are_none_survive(store: Store) -> None:
    values = {"nan": math.nan, "inf": math.inf, "minus": -math.inf, "fine": 1e-300}
    store.record_events("ppo-1", [(Metrics(attempt=1, seq=1, step=3, values=values), 1)])
    curves = store.curves("ppo-1")
    assert math.isnan(curves.pop("nan")[1][0])
    assert curves == {"inf": ([3], [math.inf]), "minus": ([3], [-math.inf]), "fine": ([3], [1e-300])}
    assert store.curves("ppo-1", ["fine", "unknown"]) == {"fine": ([3], [1e-300])}


def test_runs_are_apart(store: Store) -> None:
    store.add_run("sft-1", "sft", "runs/sft-1", "{}", 0.5)
    store.record_events("ppo-1", with_offsets(STORY))
    store.record_events("sft-1", [(Metrics(attempt=1, seq=1, step=1, values={"train/loss": 2.0}), 5)])
    assert [row.run for row in store.runs()] == ["sft-1", "ppo-1"]
    assert store.curves("sft-1") == {"train/loss": ([1], [2.0])}
    store.delete_run("ppo-1")
    assert [row.run for row in store.runs()] == ["sft-1"]
    assert store.curves("sft-1") == {"train/loss": ([1], [2.0])}
    with pytest.raises(LabError, match="no run 'ppo-1'"):
        store.curves("ppo-1")


def test_runs_of_some_stages_and_the_models_of_the_newest(store: Store) -> None:
    for n, (stage, model) in enumerate([("sft", "one"), ("reward", "two"), ("sft", "two"), ("dpo", "")]):
        store.add_run(
            f"{stage}-{n}", stage, f"runs/{stage}-{n}", json.dumps({"model": model} if model else {}), 10.0 + n
        )
    assert [row.run for row in store.runs(stages=("sft", "dpo"))] == ["sft-0", "sft-2", "dpo-3"]
    assert store.runs(stages=()) == []
    assert store.models_of_runs(4) == ["two", "one"]
    assert store.models_of_runs(3) == ["two"]
    store.set_run_trashed("sft-2", 1.0)
    assert [row.run for row in store.runs(stages=("sft",))] == ["sft-0"]
    assert [row.run for row in store.runs(stages=("sft",), trashed=True)] == ["sft-2"]


def test_a_place_is_kept_and_one_that_is_none_costs_no_run(store: Store, tmp_path: Path) -> None:
    place = Place(group="g", step="ppo, seed 1", stage="ppo", digest="ab", varied={"seed": 1, "on": True, "word": "x"})
    store.place_run("ppo-1", place)
    assert [row.place for row in store.runs()] == [place]
    with closing(sqlite3.connect(tmp_path / "lab.sqlite")) as other, other:
        other.execute("UPDATE runs SET place = '{}'")
    assert [(row.run, row.place) for row in store.runs()] == [("ppo-1", None)]
    store.place_run("ppo-1", None)
    assert [row.place for row in store.runs()] == [None]


def test_a_run_that_is_there_is_not_added_again(store: Store) -> None:
    store.record_events("ppo-1", with_offsets(STORY))
    store.add_run("ppo-1", "ppo", "elsewhere", "{}", 5.0)
    (row,) = store.runs()
    assert (row.dir, row.created, row.outcome) == ("runs/ppo-1", 1.0, "running")
    assert store.run_config("ppo-1") == '{"stage": "ppo"}'


@st.composite
def logs(draw: st.DrawFn) -> list[AnyEvent]:
    """Attempts one after another, each but the first resuming from some step."""
    events: list[AnyEvent] = []
    for attempt in range(1, draw(st.integers(1, 3)) + 1):
        head = {"attempt": attempt, "seq": 1, "device": "cpu"}
        start = draw(st.integers(0, 6))
        events.append(Started(**head) if attempt == 1 else Resumed(step=start, **head))
        for seq in range(2, draw(st.integers(2, 7))):
            place = {"attempt": attempt, "seq": seq, "step": draw(st.integers(0, 8))}
            names = st.sampled_from(["a", "b"])
            events.append(
                draw(
                    st.builds(
                        Metrics, values=st.dictionaries(names, st.floats()), **{k: st.just(v) for k, v in place.items()}
                    )
                    | st.just(Warned(code="c", text="t", **place))
                    | st.just(Finished(outcome="stopped", **place))
                )
            )
    return events


@settings(max_examples=30, deadline=None)
@given(logs(), st.data())
def test_any_log_in_any_batches_gives_what_the_list_gives(log: list[AnyEvent], data: st.DataObject) -> None:
    whole = with_offsets(log)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "lab.sqlite") as store:
        store.add_run("r", "ppo", "d", "{}", 1.0)
        done = 0
        while done < len(whole):
            # A recorder that died may have lost its place: it starts again somewhere before.
            start = data.draw(st.integers(0, done))
            end = data.draw(st.integers(done + 1, len(whole)))
            store.record_events("r", whole[start:end])
            done = end
        counting = superseded_after(log)
        assert [dump_event(event) for event in store.events("r")] == [dump_event(event) for event in counting]
        expected: dict[str, dict[int, float]] = {}
        for event in counting:
            if isinstance(event, Metrics):
                for name, value in event.values.items():
                    expected.setdefault(name, {})[event.step] = value
        curves = {name: dict(zip(*curve, strict=True)) for name, curve in store.curves("r").items()}
        assert repr({n: sorted(c.items()) for n, c in sorted(expected.items())}).replace("-0.0", "0.0") == repr(
            {n: list(c.items()) for n, c in sorted(curves.items())}
        ).replace("-0.0", "0.0")
        assert store.offset("r") == whole[-1][1]


def test_a_long_curve_is_sketched_by_its_extremes(store: Store) -> None:
    values = {step: math.sin(step / 50) for step in range(1000)} | {300: 7.0, 301: math.nan, 302: math.inf}
    events = [Metrics(attempt=1, seq=n + 1, step=n, values={"loss": value}) for n, value in values.items()]
    store.record_events("ppo-1", with_offsets(events))

    (steps, drawn), exact = store.sketch("ppo-1", "loss", most=500)

    assert not exact
    assert steps == sorted(steps)
    blocks = 1000 // 128
    assert (steps[2 * blocks :], drawn[2 * blocks :]) == (list(range(896, 1000)), [values[n] for n in range(896, 1000)])
    for place in range(0, 2 * blocks, 2):
        within = [value for step, value in values.items() if step >> 7 == steps[place] >> 7 and math.isfinite(value)]
        assert drawn[place : place + 2] == [min(within), max(within)]
    assert store.sketch("ppo-1", "loss")[1]
    assert store.sketch("ppo-1", "loss")[0][0] == list(range(1000))
    assert store.sketch("ppo-1", "none") == (([], []), True)


def test_a_sketch_has_no_more_points_than_are_wanted(store: Store) -> None:
    events = [Metrics(attempt=1, seq=n + 1, step=n, values={"loss": float(n % 700)}) for n in range(5000)]
    store.record_events("ppo-1", with_offsets(events))

    (steps, drawn), exact = store.sketch("ppo-1", "loss", most=20)

    assert not exact
    assert steps[:6] == [0, 256, 512, 768, 1024, 1280]
    assert drawn[:6] == [0.0, 511.0, 0.0, 699.0, 0.0, 699.0]
    assert (steps[-1], drawn[-1]) == (4999, 4999 % 700)
    assert steps == sorted(set(steps))


def test_of_a_long_curve_the_means_of_stretches_are_told(store: Store) -> None:
    values = [float(step % 2) for step in range(1000)]
    values[10] = math.nan
    story = [Metrics(attempt=1, seq=step + 1, step=step, values={"loss": v}) for step, v in enumerate(values)]
    store.record_events("ppo-1", with_offsets(story))
    steps, means = store.means("ppo-1", "loss", most=100)
    assert len(steps) == 100
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (5, 995), "the middle of each"
    assert means[0] == 0.5
    assert means[1] == 5 / 9, "what is not finite counts nothing"
    assert store.means("ppo-1", "loss", most=1000)[0] == list(range(1000))
    assert store.means("ppo-1", "none") == ([], [])


def test_a_part_of_a_curve_is_sketched_in_its_own_detail(store: Store) -> None:
    events = [Metrics(attempt=1, seq=n + 1, step=n, values={"loss": float(n % 700)}) for n in range(5000)]
    store.record_events("ppo-1", with_offsets(events))

    few, exact = store.sketch("ppo-1", "loss", most=200, between=(1000.5, 1099.5))
    assert exact
    assert few == (list(range(1000, 1101)), [float(n % 700) for n in range(1000, 1101)])

    (steps, drawn), exact = store.sketch("ppo-1", "loss", most=200, between=(1000.0, 2000.0))
    assert not exact
    assert steps[:4] == [896, 960, 1024, 1088]  # by blocks of 128, the first one from its beginning
    assert drawn[:4] == [196.0, 323.0, 324.0, 451.0]
    assert (steps[-1], drawn[-1]) == (2000, 600.0)
    assert store.sketch("ppo-1", "loss", between=(6000.0, 7000.0)) == (([], []), True)


def test_a_sketch_forgets_what_a_resume_superseded(store: Store) -> None:
    first = [Metrics(attempt=1, seq=n + 1, step=n, values={"loss": float(n)}) for n in range(400)]
    later: list[AnyEvent] = [Resumed(attempt=2, seq=1, step=150, device="cpu", total_steps=600)]
    later += [Metrics(attempt=2, seq=n, step=149 + n, values={"loss": -1.0}) for n in range(2, 20)]
    store.record_events("ppo-1", with_offsets([*first, *later]))

    (steps, drawn), _ = store.sketch("ppo-1", "loss", most=100)

    assert steps == [0, 64, *range(128, 169)]
    assert drawn == [0.0, 127.0, *map(float, range(128, 151)), *[-1.0] * 18]


def test_the_newest_value_counts_even_where_it_is_no_number(store: Store) -> None:
    events = [
        Started(attempt=1, seq=1, time=10.0, device="cpu"),
        Metrics(attempt=1, seq=2, step=1, time=11.0, values={"a": 1.0, "b": 2.0}),
        Metrics(attempt=1, seq=3, step=2, time=15.5, values={"a": math.nan}),
    ]
    store.record_events("ppo-1", with_offsets(events))

    found = store.newest_values("ppo-1", ["a", "b", "c"])
    assert math.isnan(found.pop("a"))
    assert found == {"b": 2.0}
    assert store.run_seconds("ppo-1") == 5.5
    assert store.metric_names("ppo-1") == ["a", "b"]


def test_a_run_in_the_trash_is_listed_only_there(store: Store) -> None:
    store.set_run_trashed("ppo-1", 5.0)
    assert store.runs() == []
    assert [row.trashed for row in store.runs(trashed=True)] == [5.0]
    store.set_run_trashed("ppo-1", None)
    assert [row.run for row in store.runs()] == ["ppo-1"]
