"""A sweep as it is put together in the window: fields, values as they are typed, seeds; how many runs, how long. No Qt."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from rlhf_lab.core.config import RunConfig, total_steps
from rlhf_lab.core.config_toml import problems_in_words
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import STAGE_NAMES, Stage
from rlhf_lab.core.recipe import Recipe, RecipeStage, Scalar, Sweep, expand
from rlhf_lab.gui.models.form import Question, questions
from rlhf_lab.store import Store

_SWITCH = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_MOST_WHOLE = 2**53
"""From here on not every whole number is a float; none of the settings goes so far."""
_LONGEST_SHOWN = 40
_KINDS = ("whole", "real", "switch", "choice")


@dataclass(frozen=True)
class Estimate:
    """How long some runs take together, after what a run of before took."""

    seconds: float
    after: str
    """The run that it was reckoned from."""


def sweepable(stage: Stage) -> list[Question]:
    """The settings whose values can be listed; seeds are counted, not listed."""
    return [question for question in questions(stage) if question.kind in _KINDS and question.name != "seed"]


def parse_values(question: Question, text: str) -> tuple[Scalar, ...]:
    """What stands between the commas; raises `LabError` for what is no value of the setting."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise LabError(f"{question.label}: enter values with commas between them, such as {_example(question)}.")
    return tuple(_value(question, part) for part in parts)


def sweep_recipe(config: RunConfig, fields: Mapping[str, Sequence[Scalar]], seeds: int, *, paired: bool) -> Recipe:
    """One stage, repeated for the values and, beginning with the config's own, for so many seeds.

    Raises `LabError` in words where a run could not be.
    """
    settings = {name: value for name, value in config.model_dump().items() if value is not None}
    lists: dict[str, tuple[Scalar, ...]] = {name: tuple(values) for name, values in fields.items()}
    drawn: tuple[Scalar, ...] = tuple(range(config.seed, config.seed + seeds))
    paired = paired and len(lists) > 1
    counts = {len(values) for values in lists.values()}
    if paired and len(counts) == 1:  # each pair of values for each seed; where they are no pairs, the recipe says so
        lists = {name: tuple(value for value in values for _ in drawn) for name, values in lists.items()}
        lists["seed"] = drawn * counts.pop()
    elif seeds > 1 and not paired:
        lists["seed"] = drawn
    try:
        return Recipe(
            name=sweep_name(config.stage, tuple(fields), seeds),
            on_failure="continue",
            stages={config.stage: RecipeStage(settings=settings)},
            sweep=Sweep(fields=lists, combine="list" if paired else "grid"),
        )
    except ValidationError as error:
        raise LabError("; ".join(problems_in_words(error)).rstrip(".") + ".") from None


def sweep_name(stage: Stage, fields: Sequence[str], seeds: int) -> str:
    """How its runs are called together; they get it as a tag."""
    what = " × ".join(fields)
    return f"{STAGE_NAMES[stage]} " + (f"{what}, {seeds} seeds" if what and seeds > 1 else what or f"{seeds} seeds")


def estimate(store: Store, recipe: Recipe) -> Estimate | None:
    """From the newest run of the stage that is done, by its seconds a step; None where there is none."""
    configs = [step.planned for step in expand(recipe)]
    for row in reversed(store.runs()):
        if row.stage == configs[0].stage and row.outcome == "done" and row.step:
            seconds = store.run_seconds(row.run)
            if seconds:
                return Estimate(seconds / row.step * sum(map(total_steps, configs)), row.run)
    return None


def _value(question: Question, part: str) -> Scalar:
    if question.kind == "choice":
        if part not in question.choices:
            raise LabError(f"{question.label}: “{part}” is none of {', '.join(question.choices)}.")
        return part
    if question.kind == "switch":
        if part.casefold() not in _SWITCH:
            raise LabError(f"{question.label}: “{part}” is neither yes nor no.")
        return _SWITCH[part.casefold()]
    try:
        number = float(part.replace("−", "-"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LabError(f"{question.label}: {_short(part)} is no number.")
    whole = question.kind == "whole" and number.is_integer() and abs(number) < _MOST_WHOLE
    return int(number) if whole else number


def _short(typed: str) -> str:
    return f"“{typed}”" if len(typed) <= _LONGEST_SHOWN else f"“{typed[:_LONGEST_SHOWN]}…”"


def _example(question: Question) -> str:
    if question.kind == "choice":
        return ", ".join(question.choices[:2])
    if question.kind == "switch":
        return "yes, no"
    return f"{question.default}, {2 * question.default}" if question.default else "1, 2"
