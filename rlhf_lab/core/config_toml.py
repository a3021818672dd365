"""Configs as TOML: read with errors in words, written with every field explained."""

import json
import re
import tomllib
from typing import Any

from pydantic import ValidationError

from rlhf_lab.core.config import CONFIG, STAGES, UNUSED, RunConfig, is_basic
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import Stage
from rlhf_lab.core.settings import BaseRun

_LONGEST = 2**17
_LONGEST_SHOWN = 100
_MOST_PHRASES = 20
_MOST_DOTS = 100
"""In one key: Python's parser takes gigabytes for tens of thousands."""
_PARTS = re.compile(r"[={,\n]")


def parse_toml(text: str, where: str = "the config") -> RunConfig:
    """Read a config; raises `LabError` that names the field, what it held and what it may hold."""
    return parse_config(read_toml(text, where), where)


def read_toml(text: str, where: str = "the config") -> dict[str, Any]:
    """The plain values of a config, not yet validated; raises `LabError` for what is no TOML."""
    if len(text) > _LONGEST:
        raise LabError(f"{where} is longer than any config can be. Write one with: rlhf-lab config STAGE")
    try:
        if any(part.count(".") > _MOST_DOTS for part in _PARTS.split(text)):
            raise RecursionError
        return tomllib.loads(text.removeprefix("\ufeff"))  # which editors on Windows put before a file
    except RecursionError:
        raise LabError(f"{where} is nested too deep for a config. Write one with: rlhf-lab config STAGE") from None
    except ValueError as error:  # no TOML, or a number of thousands of digits
        raise LabError(f"{where} is not valid TOML: {error}. Write one with: rlhf-lab config STAGE") from None


def parse_config(found: dict[str, Any], where: str = "the config") -> RunConfig:
    """Validate plain values; raises `LabError` as `parse_toml` does."""
    stage = found.get("stage")
    if not isinstance(stage, str) or stage not in STAGES:
        raise LabError(
            f"{where}: stage must be one of {', '.join(STAGES)}, not {_shown(stage)}. "
            "Write a commented config with: rlhf-lab config STAGE"
        )
    try:
        return CONFIG.validate_python(found)
    except ValidationError as error:
        raise LabError(f"{where}: " + "; ".join(problems_in_words(error))) from None


def problems_in_words(error: ValidationError) -> list[str]:
    """One phrase per wrong field: its name, what was wrong, what it held."""
    phrases = []
    for problem in error.errors(include_url=False):
        names = [str(part) for part in problem["loc"] if part not in STAGES]
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            phrases.append(f"{'.'.join(names)[:_LONGEST_SHOWN]}: there is no such setting")
        elif names:
            phrases.append(f"{'.'.join(names)}: {message} (it is {_shown(problem['input'])})")
        else:
            phrases.append(message)
    more = len(phrases) - _MOST_PHRASES
    return [*phrases[:_MOST_PHRASES], f"and {more} more"] if more > 0 else phrases


def _shown(value: object) -> str:
    """A value as it was found, if it is short."""
    found = repr(value)
    return found if len(found) <= _LONGEST_SHOWN else f"{found[:_LONGEST_SHOWN]}…"


def default_toml(stage: Stage) -> str:
    """A default config of the stage, each field that it uses with its help as a comment."""
    return render_toml(STAGES[stage](), comments=True, without=UNUSED.get(stage, frozenset()))


def render_toml(config: BaseRun, *, comments: bool = False, without: frozenset[str] = frozenset()) -> str:
    """TOML that `parse_toml` reads back to the same config, but for fields ``without``; basic fields first."""
    model = type(config)
    names = [name for name in model.model_fields if name != "stage" and name not in without]
    names.sort(key=lambda n: not is_basic(n, model))
    lines = [f'stage = "{config.model_dump()["stage"]}"']
    for name in names:
        field, value = model.model_fields[name], getattr(config, name)
        if comments:
            lines.append(f"\n# {field.title}: {field.description}")
        if value is None:
            lines.extend([f'# {name} = ""'] if comments else [])
        else:
            lines.append(f"{name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: str | int | float | bool) -> str:
    # JSON's scalars are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
