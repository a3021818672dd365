"""KTO: one answer to a prompt, and whether it was liked."""

from rlhf_lab.core.records import Unpaired
from rlhf_lab.data.build import Builder, answer, prompt_turns, split_last, turns, unreadable, word
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.rows import Row

_LABELS = {"true": True, "1": True, "false": False, "0": False}


def _label(row: Row, column: str) -> bool:
    value = row.get(column)
    known = value if isinstance(value, bool) else _LABELS.get(word(value))
    if known is None:
        unreadable(column, value, "true or false")
    return known


def _read_completion(row: Row, build: Builder) -> Unpaired:
    asked, given = prompt_turns(row.get("prompt"), "prompt"), answer(row.get("completion"), "completion")
    return build.unpaired(asked, given, _label(row, "label"))


def _read_messages(row: Row, build: Builder) -> Unpaired:
    asked, given = split_last(turns(row.get("messages"), "messages"), "messages")
    return build.unpaired(asked, given, _label(row, "label"))


def _read_conversations(row: Row, build: Builder) -> Unpaired:
    asked, given = split_last(turns(row.get("conversations"), "conversations"), "conversations")
    return build.unpaired(asked, given, _label(row, "kto_tag"))


KTO = Family(
    "KTO",
    "unpaired",
    ("prompt", "completion", "label"),
    "prompt and completion as they are; label = liked or not",
    lambda row: {"prompt", "completion", "label"} <= row.keys(),
    _read_completion,
    flat=True,
)
KTO_MESSAGES = Family(
    "KTO, messages",
    "unpaired",
    ("messages", "label"),
    "prompt = the messages before the last; answer = the last; label = liked or not",
    lambda row: {"messages", "label"} <= row.keys() and "chosen" not in row,
    _read_messages,
)
KTO_CONVERSATIONS = Family(
    "KTO, conversations",
    "unpaired",
    ("conversations", "kto_tag"),
    "prompt = the conversation before its last turn; answer = that turn; kto_tag = liked or not",
    lambda row: {"conversations", "kto_tag"} <= row.keys(),
    _read_conversations,
)
