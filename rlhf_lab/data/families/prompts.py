"""Prompts without answers."""

from rlhf_lab.core.records import PromptOnly
from rlhf_lab.data.build import Builder, prompt_turns
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.rows import Row

_ABOUT = {"id", "prompt_id", "index", "source", "category", "topic", "tags", "lang", "language", "split", "type", "lab"}
"""Columns that may stand beside a prompt; any other might be its answer, and is not passed over."""


def _matches(row: Row) -> bool:
    return isinstance(row.get("prompt"), str | list) and row.keys() <= _ABOUT | {"prompt"}


def _read(row: Row, build: Builder) -> PromptOnly:
    return build.prompt_only(prompt_turns(row.get("prompt"), "prompt"))


PROMPTS = Family("prompts", "prompt", ("prompt",), "prompt as it is", _matches, _read, flat=True)
