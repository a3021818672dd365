"""The lab in a terminal: progress with live numbers on standard error, results on standard output.

Where standard error is no terminal, progress is plain lines, a few a minute.
"""

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from rlhf_lab.core.events import AnyEvent, Health, Metrics, Paused, Phase, Resumed, Started, Warned
from rlhf_lab.core.events import Progress as Steps
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.core.naming import Stage

LIVE: dict[Stage, tuple[str, ...]] = {
    "sft": ("train/loss", "eval/loss"),
    "reward": ("reward/loss", "reward/accuracy", "eval/accuracy"),
    "ppo": ("objective/scores", "objective/kl", "eval/gold"),
    "rloo": ("objective/scores", "objective/kl", "eval/gold"),
    "dpo": ("dpo/loss", "dpo/accuracy", "eval/gold"),
    "best_of_n": ("eval/score", "eval/kl", "eval/gold"),
}
"""What is shown beside the bar, by stage."""

_PLAIN_EVERY_S = 5.0
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Text from data or a model, with whatever could steer a terminal made visible."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def verdict_in_words(verdict: Health) -> str:
    """A verdict on one line: what was seen, what it may come from, what to do."""
    if not verdict.on:
        return f"no longer: {verdict.title}."
    first = "stopping" if verdict.level == "stop" else "check"
    return f"{first}: {verdict.title}. {verdict.seen} Likely: {verdict.cause} {verdict.advice}"


class StopAsked:
    """Whether Ctrl+C or SIGTERM asked the work to stop; a second Ctrl+C ends it at once.

    It is said when the work looks, not when the signal comes: that may be in the middle of a line, where nothing can
    be written.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self.noted = False
        self._tell = tell
        self._told = False

    @property
    def asked(self) -> bool:
        """The work looks at this again and again."""
        if self.noted and not self._told:
            self._told = True
            self._tell()
        return self.noted


class Terminal:
    """Says things to a person; with ``machine`` the one JSON object at the end is all that standard output gets."""

    def __init__(self, *, machine: bool = False) -> None:
        self.machine = machine
        self.interrupted = False
        """Whether Ctrl+C or SIGTERM asked some work to stop."""
        self._console = Console(stderr=True, markup=False, highlight=False, emoji=False)

    def say(self, text: str) -> None:
        """A line of progress, on standard error."""
        # Text, not a string: rich would wrap it at words only and keep its ends.
        self._console.print(Text(visible(text)), soft_wrap=True)

    def tell(self, text: str) -> None:
        """A line of the result, on standard output; machines get it as JSON instead."""
        if not self.machine:
            sys.stdout.write(visible(text) + "\n")

    def result(self, found: dict[str, Any]) -> None:
        """The last line of ``--json``: one object, ASCII alone, no NaN."""
        if self.machine:
            sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
            sys.stdout.flush()

    @contextmanager
    def bar(self, what: str, unit: str = "") -> Iterator[Callable[[int, int], None]]:
        """A progress bar for work that calls ``(done, total)``."""
        with self._progress(unit) as show:
            yield lambda done, total: show(what, done, total, "")

    @contextmanager
    def watching(self, run: str, stage: Stage) -> Iterator[Callable[[Sequence[AnyEvent]], None]]:
        """A bar with live numbers for a run; what it gives is called with each batch of events."""
        view = RunView(run, stage)
        with self._progress("update" if stage == "ppo" else "step") as show:

            def on_events(events: Sequence[AnyEvent]) -> None:
                for event in events:
                    if isinstance(event, Warned):
                        self.say(f"{run}: {event.text}")
                    elif isinstance(event, Paused) and event.reason:
                        self.say(f"{run} waits: {event.reason}")
                    elif isinstance(event, Health):
                        self.say(f"{run}: {verdict_in_words(event)}")
                    view.take(event)
                show(f"{run}: {view.phase}", view.done, view.total, view.numbers())

            yield on_events

    @contextmanager
    def stop_on_interrupt(self, what: str) -> Iterator[StopAsked]:
        """Ctrl+C and SIGTERM ask the work to stop and save; a second Ctrl+C raises `KeyboardInterrupt`."""
        stop = StopAsked(lambda: self.say(f"Stopping {what} and saving. Ctrl+C again ends it at once."))

        def ask(number: int, _: FrameType | None) -> None:
            if stop.noted and number == signal.SIGINT:
                raise KeyboardInterrupt
            stop.noted = self.interrupted = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _progress(self, unit: str) -> Iterator[Callable[[str, int, int, str], None]]:
        if not self._console.is_terminal:
            yield _PlainLines(self.say, unit)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}", markup=False),
        )
        with Progress(*columns, console=self._console, refresh_per_second=5) as progress:
            task = progress.add_task("", total=None, numbers="")

            def show(what: str, done: int, total: int, numbers: str) -> None:
                progress.update(
                    task, description=visible(what), completed=done, total=total or None, numbers=visible(numbers)
                )

            yield show


@dataclass
class RunView:
    """What a run last said, for a line of text."""

    run: str
    stage: Stage
    phase: str = "starting"
    done: int = 0
    total: int = 0
    values: dict[str, float] = field(default_factory=dict)

    def take(self, event: AnyEvent) -> None:
        """Remember what counts."""
        match event:
            case Started() | Resumed():
                self.phase, self.done, self.total = f"starting on {event.device}", event.step, event.total_steps
            case Phase():
                self.phase = event.name
            case Steps():
                self.done, self.total = event.done, event.total
            case Metrics():
                self.values |= event.values

    def numbers(self) -> str:
        """The live metrics of the stage, as far as they are known."""
        known = [(METRICS[name], self.values[name]) for name in LIVE[self.stage] if name in self.values]
        return ", ".join(
            f"{metric.label} {f'{value:.0%}' if metric.unit == 'share' else f'{value:.3g}'}" for metric, value in known
        )


class _PlainLines:
    """Progress without a terminal: a line at the beginning of each phase, then every few seconds, and at the end."""

    def __init__(self, say: Callable[[str], None], unit: str) -> None:
        self._say, self._unit = say, unit
        self._last_what, self._last_time, self._last_done = "", 0.0, -1

    def __call__(self, what: str, done: int, total: int, numbers: str) -> None:
        now = time.monotonic()
        moved = done != self._last_done
        due = moved and (now - self._last_time >= _PLAIN_EVERY_S or (done == total and total > 0))
        if what != self._last_what or due:
            count = f", {self._unit} {done}/{total}".replace(",  ", ", ") if total else ""
            self._say(f"{what}{count}{f', {numbers}' if numbers else ''}")
            self._last_what, self._last_time, self._last_done = what, now, done
