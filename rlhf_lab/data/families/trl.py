"""TRL's preference formats: with or without a prompt of its own, as text or as conversations."""

from rlhf_lab.core.records import Message, Pair
from rlhf_lab.data.build import Builder, Turns, Unreadable, answer, split_last, text, turns
from rlhf_lab.data.families.family import Family, is_list, is_text
from rlhf_lab.data.families.prefix import common_prefix
from rlhf_lab.data.mapping import QUESTIONS
from rlhf_lab.data.rows import Row


def _read_explicit(row: Row, build: Builder) -> Pair:
    prompt = (Message(role="user", content=text(row, "prompt")),)
    return build.pair(prompt, text(row, "chosen"), text(row, "rejected"))


def _is_implicit(row: Row) -> bool:
    """Beside a question of its own, what the answers happen to begin with ("The …") is none."""
    asked = any(name.lower() in QUESTIONS and isinstance(value, str | list) for name, value in row.items())
    return is_text(row, "chosen", "rejected") and not asked


def _read_implicit(row: Row, build: Builder) -> Pair:
    chosen, rejected = text(row, "chosen"), text(row, "rejected")
    if chosen == rejected:
        raise Unreadable("chosen and rejected are the same, expected two different answers")
    # As TRL does it: the space before the first different word belongs to the answers.
    prompt = common_prefix(chosen, rejected)
    cut = len(prompt) - prompt.endswith(" ")
    if not prompt.strip():
        raise Unreadable("no prompt: chosen and rejected begin differently, expected the same words first")
    return build.pair((Message(role="user", content=prompt[:cut]),), chosen[cut:], rejected[cut:])


def _read_conversational(row: Row, build: Builder) -> Pair:
    prompt = turns(row.get("prompt"), "prompt")
    return build.pair(prompt, _last(row, "chosen", prompt), _last(row, "rejected", prompt))


def _last(row: Row, column: str, prompt: Turns) -> str:
    """The answer; some files repeat the prompt before it."""
    value = row.get(column)
    if isinstance(value, list) and len(value) == len(prompt) + 1:
        found = turns(value, column)
        if found[:-1] == prompt:
            return split_last(found, column)[1]
    return answer(value, column)


def read_conversations(row: Row, build: Builder, *, margin: float | None = None, tie: bool = False) -> Pair:
    """Chosen and rejected as whole conversations with the same turns but the last."""
    asked, chosen = split_last(turns(row.get("chosen"), "chosen"), "chosen")
    asked_too, rejected = split_last(turns(row.get("rejected"), "rejected"), "rejected")
    if asked != asked_too:
        raise Unreadable("chosen and rejected differ before their last message, expected one prompt for both")
    return build.pair(asked, chosen, rejected, margin=margin, tie=tie)


TRL_EXPLICIT = Family(
    "TRL",
    "pair",
    ("prompt", "chosen", "rejected"),
    "prompt, chosen and rejected as they are",
    lambda row: is_text(row, "prompt", "chosen", "rejected"),
    _read_explicit,
    flat=True,
)
TRL_IMPLICIT = Family(
    "TRL, implicit prompt",
    "pair",
    ("chosen", "rejected"),
    "prompt = the words that chosen and rejected begin with",
    _is_implicit,
    _read_implicit,
    flat=True,
)
TRL_CONVERSATIONAL = Family(
    "TRL, conversational",
    "pair",
    ("prompt", "chosen", "rejected"),
    "prompt = its messages, answers = the assistant's message in chosen and rejected",
    lambda row: is_list(row, "prompt", "chosen", "rejected"),
    _read_conversational,
    flat=True,
)
TRL_CONVERSATIONAL_IMPLICIT = Family(
    "TRL, conversational, implicit prompt",
    "pair",
    ("chosen", "rejected"),
    "prompt = the messages before the last, answers = the last message of chosen and rejected",
    lambda row: is_list(row, "chosen", "rejected") and "prompt" not in row,
    read_conversations,
)
