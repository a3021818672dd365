"""Recipes as TOML: read with errors in words, written so that they read back the same."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from rlhf_lab.core.config import STAGES
from rlhf_lab.core.config_toml import parse_config, problems_in_words, read_toml
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.recipe import NAME, Recipe, Scalar, Sweep
from rlhf_lab.core.resources import resource

ADVICE = "Write a commented one with: rlhf-lab config recipe"
EXAMPLE = """\
# A recipe: stages that run one after the other. Run it with: rlhf-lab run FILE.toml

# How its runs are called together: they get this as a tag.
name = "my experiment"

# What happens when a stage fails: stop, or continue with the stages that do not stand on it.
on_failure = "stop"

# Settings of every stage that has them and says nothing else.
[defaults]
seed = 0
max_prompt_tokens = 64
max_new_tokens = 80

# A stage has a name and the settings of its kind: rlhf-lab config sft (reward, ppo, rloo, dpo, best_of_n) lists them.
# Where the name is no kind, say it: stage = "ppo". title and about are shown while it runs.
[stages.sft]
title = "Supervised fine-tuning"
about = "Learns from demonstrations to answer."
dataset = "lab world demonstrations"
max_steps = 60
learning_rate = 3e-3

# start_from and reward_model name a stage above, or a run of the project such as "sft-3".
[stages.reward]
start_from = "sft"
dataset = "lab world pairs"
batch_size = 8
max_steps = 640
learning_rate = 1.5e-3

[stages.ppo]
start_from = "sft"
reward_model = "reward"
dataset = "lab world prompts"
updates = 22
kl_coef = 0.025

# Runs for several values: every combination, or with combine = "list" the first values together, then the second ones.
# "seed" is every stage's; a name in quotes with a stage before it is that stage's alone. What several combinations have
# in common is run once. A single config may have such a table too.
# [sweep]
# combine = "grid"
# seed = [0, 1, 2]
# "ppo.kl_coef" = [0.02, 0.05]
"""
"""What ``rlhf-lab config recipe`` prints."""
_SETTING = "a setting is a text, a finite number, true or false"


def bundled_recipe(name: str) -> Recipe:
    """One that comes with the lab, such as "guided"."""
    file = resource(f"recipes/{name}.toml")
    return parse_recipe(read_toml(file.read_text(encoding="utf-8"), str(file)), str(file))


def is_recipe(found: Mapping[str, Any]) -> bool:
    """Whether a TOML file is a recipe, or else a config."""
    return isinstance(found.get("stages"), dict)


def parse_recipe(found: Mapping[str, Any], where: str = "the recipe") -> Recipe:
    """Validate the plain values of a recipe, or of a config with a ``[sweep]``: a recipe of one stage.

    Raises `LabError` that names stage and field.
    """
    whole = dict(found)
    sweep = whole.pop("sweep", None)
    try:
        if sweep is not None:
            if not isinstance(sweep, dict):
                raise _words(where, "sweep must be a table: fields and lists of their values")
            fields = dict(sweep)
            combine = fields.pop("combine", "grid")
            for name, values in fields.items():
                if not isinstance(values, list):
                    raise _words(where, f"sweep: {name} must be a list of values; quote a name with a dot in it")
                if not all(map(_is_setting, values)):
                    raise _words(where, f"sweep: {name}: {_SETTING}")
            sweep = {"fields": fields, "combine": combine}
        defaults = whole.get("defaults")
        for name, value in defaults.items() if isinstance(defaults, dict) else ():
            if not _is_setting(value):
                raise _words(where, f"defaults: {name}: {_SETTING}")
        if not is_recipe(found):
            config = parse_config(whole, where)
            whole = {"on_failure": "continue", "stages": {config.stage: whole}}
        whole["stages"] = {name: _stage(name, stage, where) for name, stage in whole["stages"].items()}
        return Recipe.model_validate(whole | ({"sweep": sweep} if sweep else {}))
    except ValidationError as error:
        raise LabError(f"{where}: {'; '.join(_problems(error))}. {ADVICE}") from None


def changed(
    recipe: Recipe, changes: Mapping[str, Scalar], sweep: Mapping[str, list[Scalar]], combine: str | None = None
) -> Recipe:
    """With other settings and a sweep over these fields besides its own; raises `LabError`.

    ``combine``: "grid" or "list"; None: as the recipe has it.
    """
    try:
        found = recipe.changed(changes) if changes else recipe
        if not sweep:
            return found
        for name, values in sweep.items():
            if not all(map(_is_setting, values)):
                raise LabError(f"sweep: {name}: {_SETTING}.")
        fields = found.sweep.fields | {name: tuple(values) for name, values in sweep.items()}
        return found.swept(Sweep.model_validate({"fields": fields, "combine": combine or found.sweep.combine}))
    except ValidationError as error:
        raise LabError("; ".join(_problems(error)) + ".") from None
    except ValueError as error:
        raise LabError(f"{error}.") from None


def render_recipe(recipe: Recipe) -> str:
    """TOML that `parse_recipe` reads back to the same recipe."""
    lines = [f"name = {_value(recipe.name)}"] if recipe.name else []
    lines.append(f"on_failure = {_value(recipe.on_failure)}")
    if recipe.defaults:
        lines += ["", "[defaults]", *_lines(recipe.defaults)]
    for name, stage in recipe.stages.items():
        words = {key: text for key, text in (("title", stage.title), ("about", stage.about)) if text}
        settings = {key: value for key, value in stage.settings.items() if (key, value) != ("stage", name)}
        lines += ["", f"[stages.{name}]", *_lines(words | settings)]
    if recipe.sweep.fields:
        lines += ["", "[sweep]", f"combine = {_value(recipe.sweep.combine)}"]
        for name, values in recipe.sweep.fields.items():
            key = _value(name) if "." in name else name
            lines.append(f"{key} = [{', '.join(map(_value, values))}]")
    return "\n".join(lines) + "\n"


def _stage(name: str, found: Any, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _words(where, f"stages: {name} must be a table: [stages.{name}]")
    if not re.fullmatch(NAME, name):
        raise _words(where, f"stages: {name[:40]!r}: a name is letters, digits and _, and begins with a letter")
    for key, value in found.items():
        if not _is_setting(value):
            raise _words(where, f"{name}: {key}: {_SETTING}")
    settings = dict(found)
    title, about = settings.pop("title", ""), settings.pop("about", "")
    if "stage" not in settings and name in STAGES:
        settings["stage"] = name
    return {"title": title, "about": about, "settings": settings}


def _is_setting(value: object) -> bool:
    """TOML's own whole numbers have 64 bits, its reader takes any."""
    number = isinstance(value, int) and abs(value) < 2**63
    return number or isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _problems(error: ValidationError) -> list[str]:
    return [words.replace("stages.", "").replace(".settings.", ": ") for words in problems_in_words(error)]


def _words(where: str, problem: str) -> LabError:
    return LabError(f"{where}: {problem}. {ADVICE}")


def _lines(values: Mapping[str, Scalar]) -> list[str]:
    return [f"{name} = {_value(value)}" for name, value in values.items()]


def _value(value: Scalar) -> str:
    # JSON's scalars are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
