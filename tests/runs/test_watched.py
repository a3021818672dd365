"""A stage under watch: verdicts follow its events, the fatal ones stop it, a resumed run knows what was said."""

from collections.abc import Callable, Iterable, Iterator

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.control import Control, NoControl, StopRequested
from rlhf_lab.core.events import AnyEvent, Event, Finished, Health, Metrics, Resumed, Started
from rlhf_lab.runs.watched import watched

CONFIG = PpoConfig(reward_model="reward-1")


def stage(values: dict[int, dict[str, float]], first: Event | None = None) -> Callable[[Control], Iterator[Event]]:
    """A stage that says these metrics, ticks after each step, and saves when it is stopped."""

    def make(control: Control) -> Iterator[Event]:
        yield first or Started(device="none")
        done = 0
        try:
            for step, found in values.items():
                control.tick()
                done = step
                yield Metrics(step=step, values=found)
            yield Finished(step=done, outcome="done", message="All done.")
        except StopRequested:
            yield Finished(step=done, outcome="stopped", message=f"Saved step {done}.")

    return make


def verdicts(events: Iterable[Event]) -> list[tuple[int, str, bool]]:
    return [(event.step, event.code, event.on) for event in events if isinstance(event, Health)]


def test_events_pass_unchanged_and_a_verdict_follows_what_brought_it() -> None:
    values = {step: {"policy/clipfrac_avg": 0.5 if 2 <= step <= 3 else 0.0} for step in range(1, 9)}
    events = list(watched(stage(values), NoControl(), CONFIG))
    assert [event for event in events if not isinstance(event, Health)] == list(stage(values)(NoControl()))
    assert verdicts(events) == [(3, "clipping", True), (6, "clipping", False)]
    place = next(i for i, event in enumerate(events) if isinstance(event, Health))
    assert events[place - 1] == Metrics(step=3, values=values[3])


def test_a_fatal_verdict_stops_the_stage_which_keeps_its_last_step_and_says_why() -> None:
    values = {step: {"policy/ratio_first_dev": 0.02 * (step == 3)} for step in range(1, 9)}
    events = list(watched(stage(values), NoControl(), CONFIG))
    assert verdicts(events) == [(3, "first_ratio", True)]
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.outcome, end.step) == ("stopped", 3)
    assert end.message.startswith("First ratio is not 1: The first ratio of an update is off 1 by up to 0.02.")
    assert end.message.endswith("Saved step 3.")


def test_a_person_who_stops_is_not_told_of_a_verdict() -> None:
    class Stopping(NoControl):
        def tick(self) -> None:
            raise StopRequested

    *_, end = watched(stage({1: {}}), Stopping(), CONFIG)
    assert end == Finished(step=0, outcome="stopped", message="Saved step 0.")


def test_a_fatal_verdict_on_the_last_step_does_not_unmake_the_result() -> None:
    *_, end = watched(stage({1: {"policy/ratio_first_dev": 1.0}}), NoControl(), CONFIG)
    assert isinstance(end, Finished)
    assert end.outcome == "done"


def test_a_resumed_run_goes_on_as_if_it_had_not_been_interrupted() -> None:
    values = {step: {"policy/clipfrac_avg": 0.5 if step in (4, 5) else 0.0} for step in range(1, 9)}
    whole = list(watched(stage(values), NoControl(), CONFIG))
    for cut in range(1, 8):
        before: list[AnyEvent] = [Metrics(step=step, values=values[step]) for step in range(1, min(cut + 2, 9))]
        after = {step: found for step, found in values.items() if step > cut}
        resumed = stage(after, Resumed(step=cut, device="none"))
        events = list(watched(resumed, NoControl(), CONFIG, before))
        assert verdicts(events) == [found for found in verdicts(whole) if found[0] > cut]


def test_who_resumes_after_a_fatal_verdict_has_decided_to_go_on() -> None:
    bad = {"policy/ratio_first_dev": 0.02}
    resumed = stage({2: bad, 3: bad}, Resumed(step=1, device="none"))
    events = list(watched(resumed, NoControl(), CONFIG, [Metrics(step=1, values=bad)]))
    assert verdicts(events) == []
    assert events[-1] == Finished(step=3, outcome="done", message="All done.")


def test_changes_reach_the_stage() -> None:
    class Person(NoControl):
        def changes(self) -> dict[str, float]:
            return {"kl_coef": 0.1}

    def make(control: Control) -> Iterator[Event]:
        yield Metrics(step=1, values=control.changes())

    assert list(watched(make, Person(), CONFIG)) == [Metrics(step=1, values={"kl_coef": 0.1})]
