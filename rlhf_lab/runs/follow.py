"""Following a run: every event recorded, exactly one `Finished`, death and silence noticed, stop in three levels."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from rlhf_lab.core.control import Stop
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Finished, Metrics, Outcome, Paused, Phase, Warned
from rlhf_lab.runs.control_file import HELD
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import RunSource

_log = logging.getLogger(__name__)

_AWAY_S = 5.0
_LOADING_GRACE_S = 0.5  # a child that loads hears a signal at once, a message only when it has loaded
_HELD_GRACE_S = 1.0  # one that cannot write its end has nothing to wait for
_QUIET_S = 5.0
_UNRECORDED_S = 5.0
_LEFT_UNRECORDED_S = 30.0

_KEPT = "The run goes on; its own log keeps what the database cannot take now, which gets it later."

Batch = list[tuple[AnyEvent, int]]


@dataclass(frozen=True)
class Limits:
    """How patient a follower is, in seconds. A slow step is told from a hung one by its heartbeat."""

    look: float = 0.1
    """Between two looks at the run."""
    loading: float = 900.0
    """Silence before the first metrics: a large model is loading."""
    silence: float = 60.0
    """Silence that is always allowed."""
    silence_factor: float = 20.0
    """And so many times the longest silence so far."""
    stop: float = 20.0
    """For a stop by message; more where beats are slow."""
    terminate: float = 10.0
    """For a stop by signal."""


class _Stopping(Enum):
    NO = 0
    ASKED = 1
    TOLD = 2


class Follower:
    """One attempt followed step by step. Use `step` from one thread; `stop` may come from any."""

    def __init__(
        self,
        source: RunSource,
        recorder: Recorder | None = None,
        *,
        limits: Limits | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.finished: Finished | None = None
        self._recorder = recorder
        self._limits = limits or Limits()
        self._now = now
        self._unrecorded: Batch = []
        self._step = 0
        self._beat = source.beat()
        self._begun = self._working = False
        self._last_look = self._last_sign = now()
        self._longest_silence = 0.0
        self._stop_wanted = False
        self._stopping = _Stopping.NO
        self._deadline = self._last_deadline = 0.0
        self._held = ""
        self._quiet = 0
        self._recorded_at = now()
        self._not_recorded_said = False
        if recorder is not None:
            source.seek(recorder.offset(source.run))

    def stop(self) -> None:
        """Ask the run to save and end; a second level follows if it does not, and a third."""
        self._stop_wanted = True

    def step(self) -> list[AnyEvent]:
        """Look once: what is new, already recorded. After `finished` is set there is nothing more."""
        if self.finished is not None:
            return []
        now = self._now()
        if now - self._last_look > _AWAY_S:  # the machine slept, or we did: that silence was not the run's
            self._last_sign = now
        self._last_look = now
        alive = self.source.alive()  # asked before reading: what a dying process said last is read after
        batch = self.source.poll()
        if not batch and not alive:
            batch = self._dead()
        elif not batch:
            batch = self._watch()
        else:
            self._sign_of_life()
        if self._stop_wanted and self.finished is None:
            batch += self._press()
        unsaid = self._record(batch)
        events = self._pass_on(batch)
        return [*events, *unsaid, *self._standing(bool(events))] if self.finished is None else [*unsaid, *events]

    @property
    def unrecorded(self) -> bool:
        """Whether the database has yet to take something that was said."""
        return bool(self._unrecorded)

    def record_rest(self) -> None:
        """Try again to record what the database could not take."""
        self._record([])

    def _standing(self, said: bool) -> list[AnyEvent]:
        """What no log has: that the run is held and by what, or gives no sign of life."""
        doing = self.source.doing()
        held = doing.removeprefix(HELD) if doing.startswith(HELD) else ""
        if held != self._held:
            self._held = held
            return [self._unlogged(Paused(step=self._step, paused=bool(held), reason=held))]
        silence = self._now() - self._last_sign
        if self._working and not said and silence > max(_QUIET_S, 5 * self._longest_silence):
            if int(silence) > self._quiet:
                self._quiet = int(silence)
                most = max(self._longest_silence, 0.1)
                name = f"no sign of life for {silence:.0f} s, at most {most:.1f} s so far ({doing or 'starting'})"
                return [self._unlogged(Phase(step=self._step, name=name))]
        elif self._quiet:
            self._quiet = 0
            return [self._unlogged(Phase(step=self._step, name=doing))]
        return []

    def _unlogged(self, event: AnyEvent) -> AnyEvent:
        return event.model_copy(update={"attempt": self.source.attempt, "time": time.time()})

    def _pass_on(self, batch: Batch) -> list[AnyEvent]:
        events = []
        for event, _ in batch:
            if isinstance(event, Finished):
                if event.attempt != self.source.attempt:
                    continue  # an earlier attempt's
                self.finished = event
            self._step = event.step
            self._begun = self._begun or not isinstance(event, Phase)
            self._working = self._working or isinstance(event, Metrics)
            events.append(event)
            if self.finished is not None:
                break
        return events

    def _dead(self) -> Batch:
        if self._stopping is _Stopping.NO:
            return self._end("failed", self.source.exit_words())
        why = f"{self._held} " if self._held else ""
        return self._end("stopped", f"{why}It ended before it could save. Resume goes on from the last save.")

    def _watch(self) -> Batch:
        """Nothing was said: is the heart beating?"""
        beat = self.source.beat()
        if beat != self._beat:
            self._beat = beat
            self._sign_of_life()
            return []
        silence, limits = self._now() - self._last_sign, self._limits
        allowed = limits.loading
        if self._working:
            allowed = max(limits.silence, limits.silence_factor * self._longest_silence)
        if silence <= allowed:
            return []
        doing = self.source.doing() or "starting"
        self.source.kill()
        return self._end(
            "failed",
            f"Hung while {doing!r}: no sign of life for {silence:.0f} s, so its process was ended. "
            "Resume goes on from the last save.",
        )

    def _sign_of_life(self) -> None:
        now = self._now()
        if self._working:
            self._longest_silence = max(self._longest_silence, now - self._last_sign)
        self._last_sign = now

    def _press(self) -> Batch:
        """The stop's three levels: a message, a signal, a kill of the whole tree."""
        now = self._now()
        if self._stopping is _Stopping.NO:
            self._stopping = _Stopping.ASKED
            grace = max(self._limits.stop, 3 * self._longest_silence)
            if self._held:
                grace = min(grace, _HELD_GRACE_S)
            self._deadline = now + (grace if self._begun else _LOADING_GRACE_S)
            self._last_deadline = now + grace + (grace if self._held else self._limits.terminate)
            try:
                self.source.send(Stop)
            except OSError:  # a full disk: the signal needs no space
                self._deadline = now
        elif now >= self._deadline and self._stopping is _Stopping.ASKED:
            self._stopping = _Stopping.TOLD
            self._deadline = self._last_deadline
            self.source.ask_to_end()
        elif now >= self._deadline:
            self.source.kill()
            why = f"{self._held} Its last steps could not be saved" if self._held else "It did not answer"
            return self._end("stopped", f"{why}, so its process was ended. Resume goes on from the last save.")
        return []

    def _end(self, outcome: Outcome, message: str) -> Batch:
        """The attempt is dead: write its end where everybody reads it, and read it there."""
        ours = Finished(step=self._step, outcome=outcome, message=message)
        try:
            end = self.source.end(ours)
        except OSError:  # the disk is full: the end is at least said
            end = ours.model_copy(update={"attempt": self.source.attempt, "time": time.time()})
        batch = self.source.poll()
        if end is not None and not any(event == end for event, _ in batch):
            batch.append((end, 0))  # it was read before this follower came
        return batch

    def _record(self, batch: Batch) -> list[AnyEvent]:
        """Into the database; what it cannot take now (locked, full) is kept for the next time, and said when that lasts."""
        if self._recorder is None:
            return []
        self._unrecorded += [(event, offset) for event, offset in batch if offset]
        try:
            self._recorder.record(self.source.run, self._unrecorded)
        except LabError as error:
            if self._not_recorded_said or self._now() - self._recorded_at < _UNRECORDED_S:
                return []
            self._not_recorded_said = True
            _log.warning("%s is not recorded: %s", self.source.run, error)
            return [self._unlogged(Warned(step=self._step, code="not_recorded", text=f"{_said_once(error)} {_KEPT}"))]
        self._unrecorded, self._recorded_at, self._not_recorded_said = [], self._now(), False
        return []


def _said_once(error: LabError) -> str:
    return str(error).removesuffix(" Try again in a moment.")


def follow(
    source: RunSource,
    recorder: Recorder | None = None,
    on_events: Callable[[list[AnyEvent]], object] = lambda events: None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    should_leave: Callable[[], bool] = lambda: False,
    wait: Callable[[float], object] = time.sleep,
    limits: Limits | None = None,
) -> Finished | None:
    """Follow a started or attached source to its end; blocks.

    ``on_events`` gets each batch, at most every ``limits.look`` seconds, the last one ending with the
    `Finished`. ``should_leave`` lets go of a run that trains on: returns None then. ``wait`` may return
    early, for instance when a stop is pressed.
    """
    limits = limits or Limits()
    follower = Follower(source, recorder, limits=limits)
    _log.info("%s, attempt %d: followed", source.run, source.attempt)
    while follower.finished is None:
        if should_leave():
            return None
        if should_stop():
            follower.stop()
        events = follower.step()
        if events:
            on_events(events)
        if follower.finished is None:
            wait(limits.look)
    waited = 0.0
    while (
        follower.unrecorded and waited < _LEFT_UNRECORDED_S and not should_leave()
    ):  # else the next start reads the log
        wait(limits.look)
        waited += limits.look
        follower.record_rest()
    source.close()
    end = follower.finished
    level = logging.ERROR if end.outcome == "failed" else logging.INFO
    _log.log(level, "%s, attempt %d: %s at step %d. %s", source.run, source.attempt, end.outcome, end.step, end.message)
    return end
