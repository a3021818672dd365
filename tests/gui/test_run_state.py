"""A run's standing, folded from its events."""

import pytest

from rlhf_lab.core.events import Finished, Metrics, Paused, Phase, Progress, Resumed, Started
from rlhf_lab.gui.run_state import RunState, in_words


def test_time_left_comes_from_the_steps_seen() -> None:
    state = RunState("ppo-3", "ppo")
    state.take([Started(device="cpu", total_steps=10), Progress(done=1, total=10, time=100.0)])
    assert state.seconds_left() is None
    state.take([Progress(done=3, total=10, time=104.0)])
    assert state.seconds_left() == pytest.approx(14.0)
    assert state.title == "PPO 3"


def test_a_pause_does_not_count_as_a_slow_step() -> None:
    state = RunState("sft-1", "sft")
    state.take(
        [
            Started(device="cpu", total_steps=10),
            Progress(done=1, total=10, time=1.0),
            Progress(done=2, total=10, time=2.0),
            Paused(paused=True),
        ]
    )
    assert state.paused
    assert state.seconds_left() is None
    state.take([Paused(paused=False), Progress(done=3, total=10, time=1000.0), Progress(done=4, total=10, time=1001.0)])
    assert state.seconds_left() == pytest.approx(6.0)


def test_the_end_clears_what_was_going_on() -> None:
    state = RunState("sft-1", "sft", stopping=True)
    state.take(
        [Phase(name="saving"), Metrics(values={"train/loss": 2.0}), Finished(outcome="stopped", message="Saved.")]
    )
    assert (state.outcome, state.message, state.phase, state.stopping) == ("stopped", "Saved.", "", False)
    assert state.values == {"train/loss": 2.0}


def test_a_resumed_run_goes_on_from_its_step() -> None:
    state = RunState("sft-1", "sft", "failed", message="gone")
    state.take([Resumed(device="cpu", step=5, total_steps=10)])
    assert (state.outcome, state.step, state.total, state.message) == ("running", 5, 10, "")


@pytest.mark.parametrize(("seconds", "words"), [(8.4, "8 s"), (72, "1 m 12 s"), (7500, "2 h 05 m")])
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
