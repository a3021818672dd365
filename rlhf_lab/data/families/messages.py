"""Answers to imitate as chat messages, or as a prompt and its completion."""

from rlhf_lab.core.records import Demonstration
from rlhf_lab.data.build import Builder, answer, prompt_turns, split_last, turns
from rlhf_lab.data.families.family import Family, is_list
from rlhf_lab.data.rows import Row

_JUDGED = {"chosen", "rejected", "label", "kto_tag"}


def _read_messages(row: Row, build: Builder) -> Demonstration:
    return build.demonstration(*split_last(turns(row.get("messages"), "messages"), "messages"))


def _read_completion(row: Row, build: Builder) -> Demonstration:
    return build.demonstration(prompt_turns(row.get("prompt"), "prompt"), answer(row.get("completion"), "completion"))


def _is_completion(row: Row) -> bool:
    return isinstance(row.get("prompt"), str | list) and isinstance(row.get("completion"), str | list)


MESSAGES = Family(
    "messages",
    "demonstration",
    ("messages",),
    "prompt = the messages before the last; answer = the last, of the assistant",
    lambda row: is_list(row, "messages") and not _JUDGED & row.keys(),
    _read_messages,
)
PROMPT_COMPLETION = Family(
    "prompt and completion",
    "demonstration",
    ("prompt", "completion"),
    "prompt and completion as they are",
    lambda row: _is_completion(row) and not _JUDGED & row.keys(),
    _read_completion,
    flat=True,
)
