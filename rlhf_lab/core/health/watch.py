"""Events of a run in, verdicts out."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.events import Event, Health, Metrics, Samples
from rlhf_lab.core.health.history import History
from rlhf_lab.core.health.rule import HELD_OUT, Rule
from rlhf_lab.core.health.rules import RULES


class Watch:
    """Looks at one run. Give it every event of the run in order; it depends on nothing else."""

    def __init__(self, config: RunConfig, rules: Sequence[Rule] = RULES) -> None:
        self._history = History(config)
        self._states = [_State(rule) for rule in rules if config.stage in rule.stages]

    def take(self, event: Event) -> list[Health]:
        """The verdicts that this event brings, or takes back."""
        if not isinstance(event, Metrics | Samples):
            return []
        self._history.take(event)
        found = (state.look(self._history) for state in self._states if _concerns(event, state.rule))
        return [verdict for verdict in found if verdict is not None]


def standing(events: Iterable[Event]) -> list[Health]:
    """The verdicts that hold after all these events: those that stop first, then as they appeared.

    The events are those that count; see `rlhf_lab.core.events.superseded_after`.
    """
    found: dict[str, Health] = {}
    for event in events:
        if isinstance(event, Health):
            if event.on:
                found[event.code] = event
            else:
                found.pop(event.code, None)
    return sorted(found.values(), key=lambda verdict: verdict.level != "stop")


def as_json(verdict: Health) -> dict[str, Any]:
    """For machines: what was found, since which step, and what to do."""
    return verdict.model_dump(include={"code", "level", "step", "title", "seen", "cause", "advice"})


class _State:
    """Whether a rule's verdict stands, and what its last looks saw."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._seen: deque[bool] = deque(maxlen=rule.often[1])
        self._on = False

    def look(self, history: History) -> Health | None:
        rule = self.rule
        if history.step < rule.first_step:
            return None
        words = rule.judge(history, rule)
        self._seen.append(words is not None)
        if words is not None and not self._on and sum(self._seen) >= rule.often[0]:
            self._on = True
            return self._say(history.step, words)
        gone = len(self._seen) == rule.often[1] and not any(self._seen)
        if self._on and gone and rule.level != "stop":
            self._on = False
            return self._say(history.step, "It is no longer so.")
        return None

    def _say(self, step: int, words: str) -> Health:
        rule = self.rule
        return Health(
            step=step,
            code=rule.code,
            level=rule.level,
            on=self._on,
            title=rule.title,
            seen=words,
            cause=rule.cause,
            advice=rule.advice,
            metrics=rule.metrics,
        )


def _concerns(event: Metrics | Samples, rule: Rule) -> bool:
    if isinstance(event, Samples):
        return rule.follows == HELD_OUT and event.name == "heldout"
    return rule.follows == "" or rule.follows in event.values
