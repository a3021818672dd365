"""A recipe: stages in order, each a run that may start from those before it, and settings to sweep over.

A sweep over one config is a recipe of one stage; repeats over seeds are a sweep over ``seed``. `expand` gives the runs:
those that several combinations have in common (SFT, where only PPO's β is swept) are one run.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from rlhf_lab.core.config import CONFIG, STAGES, RunConfig
from rlhf_lab.core.config_toml import parse_config, problems_in_words
from rlhf_lab.core.naming import Stage
from rlhf_lab.core.settings import BaseRun

Scalar = bool | int | float | str
NAME = r"^[A-Za-z][A-Za-z0-9_]{0,39}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]
"""Of a stage; no run is called like that: their ids have a hyphen."""

REFERENCES: dict[str, tuple[Stage, ...]] = {"start_from": ("sft", "ppo", "rloo", "dpo"), "reward_model": ("reward",)}
"""The settings that name another run, and the stages that it may be of."""
MOST_RUNS = 1000
MOST_STAGES = 50


class Sweep(BaseModel):
    """Fields (``kl_coef``: in every stage that has it; ``ppo.kl_coef``: in that stage) and their values.

    grid: every combination; list: the first values of all fields together, then the second ones, and so on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    fields: dict[str, tuple[Scalar, ...]] = {}
    combine: Literal["grid", "list"] = "grid"

    @model_validator(mode="after")
    def _values_are_there(self) -> Self:
        lengths = {name: len(values) for name, values in self.fields.items()}
        for name, values in self.fields.items():
            if not values:
                raise ValueError(f"{name}: give at least one value")
            if len(set(map(repr, values))) < len(values) and self.combine == "grid":
                raise ValueError(f"{name}: a value stands there twice")
        if self.combine == "list" and len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ValueError(f"as a list all fields need equally many values, but {counts}")
        return self

    def combinations(self) -> Iterator[dict[str, Scalar]]:
        """The values of one repetition after the other; one without any where nothing is swept."""
        if not self.fields:
            yield {}
            return
        values = self.fields.values()
        for chosen in itertools.product(*values) if self.combine == "grid" else zip(*values, strict=True):
            yield dict(zip(self.fields, chosen, strict=True))


class RecipeStage(BaseModel):
    """One stage as it was written: its settings, of which ``start_from`` and ``reward_model`` may name earlier stages."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    title: str = Field(default="", max_length=200)
    about: str = Field(default="", max_length=2000)
    """What a person is told while it runs."""
    settings: dict[str, Scalar]
    """With "stage" among them."""

    @property
    def stage(self) -> Stage:
        """Which of the lab's stages it is."""
        return self.settings["stage"]  # type: ignore[return-value] # the recipe's validation saw to it

    @property
    def model(self) -> type[BaseRun]:
        """The config model of the stage."""
        return STAGES[self.stage]

    @property
    def alone(self) -> dict[str, Scalar]:
        """Its settings without those that name other runs."""
        return {name: value for name, value in self.settings.items() if name not in REFERENCES}


class Recipe(BaseModel):
    """Everything that a file says; raises `ValidationError` with stage and field in words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    name: str = Field(default="", max_length=100)
    on_failure: Literal["stop", "continue"] = "stop"
    """continue: what does not stand on what failed runs all the same."""
    defaults: dict[str, Scalar] = {}
    """Settings of every stage that has them and says nothing else."""
    stages: dict[Name, RecipeStage]
    sweep: Sweep = Sweep()

    @model_validator(mode="after")
    def _it_can_run(self) -> Self:
        if not 1 <= len(self.stages) <= MOST_STAGES:
            raise ValueError(f"a recipe has 1 to {MOST_STAGES} stages, this one {len(self.stages)}")
        for name, stage in self.stages.items():
            if stage.settings.get("stage") not in STAGES:
                found = stage.settings.get("stage")
                raise ValueError(f"{name}: stage: it must be one of {', '.join(STAGES)}, not {found!r}")
        fields = {field for stage in self.stages.values() for field in stage.model.model_fields}
        for name in self.defaults:
            if name not in fields or name == "stage" or name in REFERENCES:
                raise ValueError(f"defaults: {name}: no stage takes such a setting from here")
        for name in self.sweep.fields:
            if name == "stage" or not any(_reached(name, stage, self.stages[stage].model) for stage in self.stages):
                raise ValueError(f"sweep: {name}: no stage of this recipe has such a setting")
        count = sum(1 for _ in itertools.islice(self.sweep.combinations(), MOST_RUNS + 1)) * len(self.stages)
        if count > MOST_RUNS:
            raise ValueError(f"sweep: these are more than {MOST_RUNS:,} runs; leave some values out")
        expand(self)
        return self

    def changed(self, changes: Mapping[str, Scalar]) -> "Recipe":
        """With other settings, named as in a sweep; raises `ValidationError`, and `ValueError` for what no stage has."""
        stages = {name: stage.settings for name, stage in self.stages.items()}
        for field, value in changes.items():
            reached = [name for name, stage in self.stages.items() if _reached(field, name, stage.model)]
            if not reached or field.rpartition(".")[2] == "stage":
                raise ValueError(f"{field}: no stage of this recipe has such a setting")
            for name in reached:
                stages[name] = stages[name] | {field.rpartition(".")[2]: value}
        parts = {name: self.stages[name].model_copy(update={"settings": found}) for name, found in stages.items()}
        return Recipe.model_validate({**dict(self), "stages": parts})

    def swept(self, sweep: Sweep) -> "Recipe":
        """With another sweep."""
        return Recipe.model_validate({**dict(self), "sweep": sweep})


@dataclass(frozen=True)
class Step:
    """One run of a recipe."""

    key: str
    """Its name among the recipe's runs, and how people call it: "ppo, kl_coef 0.02, seed 1"."""
    stage: str
    """The name of its stage in the recipe."""
    settings: Mapping[str, Scalar]
    needs: Mapping[str, str]
    """The settings that name a run of this recipe, and the key of that run."""
    varied: Mapping[str, Scalar]
    """What the sweep set in it or in what it stands on."""
    digest: str
    """The same for the same settings on the same grounds: such a run need not be done again."""

    def config(self, runs: Mapping[str, str]) -> RunConfig:
        """Of the run, once those that it needs have ids: ``runs`` by key."""
        return parse_config(dict(self.settings) | {name: runs[key] for name, key in self.needs.items()}, self.key)

    @property
    def planned(self) -> RunConfig:
        """Its config while the runs that it needs are not there: these are called by the names of their stages."""
        return parse_config(dict(self.settings), self.key)


class Place(BaseModel):
    """Which step of which recipe a run is: kept in its folder, so that what belongs together is found again."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)

    group: str = Field(min_length=1, max_length=100)
    """All runs of one start of a recipe have it in common."""
    recipe: str = Field(default="", max_length=100)
    """The name of the recipe."""
    step: str = Field(max_length=2000)
    stage: Name
    digest: str = Field(max_length=64)
    varied: dict[str, Scalar] = {}
    stands_on: dict[str, str] | None = None
    """The settings that name runs of this recipe, and those runs; None where an older version wrote it."""
    data: str = Field(default="", max_length=64)
    """`Store.data_state` of its data set when that was copied for it; "" before."""
    files: dict[str, str] = {}
    """What the files that its settings name were like then: `runs.file_state`."""


def expand(recipe: Recipe) -> list[Step]:
    """The runs, each after those that it needs; raises `ValueError` with stage and field for what cannot run."""
    steps: dict[str, Step] = {}
    for chosen in recipe.sweep.combinations():
        made: dict[str, Step] = {}
        for name, stage in recipe.stages.items():
            step = _step(recipe, name, stage, chosen, made)
            if step.key not in steps:
                _check(step, steps)
                steps[step.key] = step
            made[name] = steps[step.key]
    return list(steps.values())


def value_in_words(value: Scalar) -> str:
    """A swept value as a person writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _step(
    recipe: Recipe, name: str, stage: RecipeStage, chosen: Mapping[str, Scalar], made: Mapping[str, Step]
) -> Step:
    settings: dict[str, Scalar] = {k: v for k, v in recipe.defaults.items() if k in stage.model.model_fields}
    settings |= stage.settings
    own = {field: value for field, value in chosen.items() if _reached(field, name, stage.model)}
    for field in sorted(own, key=lambda field: "." in field):  # what names the stage counts more
        settings[field.rpartition(".")[2]] = own[field]
    grounds = _grounds(recipe, name, settings, made)
    below = {field for step in grounds.values() for field in step.varied}
    varied = {field: value for field, value in chosen.items() if field in own or field in below}
    said = [f"{field} {value_in_words(value)}" for field, value in varied.items()]
    digests = {field: step.digest for field, step in grounds.items()}
    digest = hashlib.sha256(json.dumps([settings | digests], sort_keys=True).encode()).hexdigest()[:16]
    needs = {field: step.key for field, step in grounds.items()}
    return Step(", ".join([name, *said]), name, settings, needs, varied, digest)


def _grounds(recipe: Recipe, name: str, settings: Mapping[str, Scalar], made: Mapping[str, Step]) -> dict[str, Step]:
    """By the settings that name them: the steps of the same combination that this one stands on."""
    grounds = {}
    for field, stages in REFERENCES.items():
        wanted = settings.get(field)
        if not wanted or wanted not in recipe.stages:
            if wanted and "-" not in str(wanted):
                raise ValueError(
                    f"{name}: {field}: there is no stage {wanted!r} in this recipe, and no run is called like that"
                )
            continue
        if wanted not in made:
            raise ValueError(f"{name}: {field}: {wanted} must stand before {name}")
        if recipe.stages[str(wanted)].stage not in stages:
            found = recipe.stages[str(wanted)].stage
            raise ValueError(f"{name}: {field}: {wanted} is a {found} stage, it must be {' or '.join(stages)}")
        grounds[field] = made[str(wanted)]
    return grounds


def _check(step: Step, others: Mapping[str, Step]) -> None:
    try:
        CONFIG.validate_python(dict(step.settings))
    except ValidationError as error:
        where = step.stage if not step.varied else step.key
        raise ValueError("; ".join(f"{where}: {words}" for words in problems_in_words(error))) from None
    if below := step.needs.get("start_from"):
        base, own = others[below].planned.model, step.planned.model
        if base != own:
            raise ValueError(
                f"{step.stage}: model: it starts from {others[below].stage}, whose base is {base!r}, and names {own!r}"
            )


def _reached(field: str, name: str, model: type[BaseRun]) -> bool:
    stage, _, setting = field.rpartition(".")
    return stage in ("", name) and setting in model.model_fields and setting != "stage"
