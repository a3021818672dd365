"""Alpaca: an instruction with an optional input, answered once (demonstration) or twice (ranking)."""

from rlhf_lab.core.records import Demonstration, Message, Pair
from rlhf_lab.data.build import Builder, Turns, optional_text, text, unreadable, with_system
from rlhf_lab.data.families.family import Family, is_text
from rlhf_lab.data.rows import Row


def _prompt(row: Row) -> Turns:
    instruction, given = text(row, "instruction"), optional_text(row, "input")
    asked = f"{instruction}\n{given}" if given.strip() else instruction
    return with_system(optional_text(row, "system"), (*_history(row), Message(role="user", content=asked)))


def _history(row: Row) -> Turns:
    history = row.get("history") or []
    if not isinstance(history, list):
        unreadable("history", history, "a list of question and answer")
    found: list[Message] = []
    for item in history:
        if not isinstance(item, list) or len(item) != 2 or not all(isinstance(said, str) for said in item):
            unreadable("history", item, "question and answer as two texts")
        found += (Message(role="user", content=item[0]), Message(role="assistant", content=item[1]))
    return tuple(found)


def _read(row: Row, build: Builder) -> Demonstration:
    return build.demonstration(_prompt(row), text(row, "output"))


def _read_ranking(row: Row, build: Builder) -> Pair:
    return build.pair(_prompt(row), text(row, "chosen"), text(row, "rejected"))


def _is_judged(row: Row) -> bool:
    """Whether it says that the answer was liked or not: one that was not is nothing to imitate."""
    return "kto_tag" in row or isinstance(row.get("label"), bool)


ALPACA = Family(
    "Alpaca",
    "demonstration",
    ("instruction", "input", "output", "system", "history"),
    "prompt = instruction, and input on the next line; answer = output",
    lambda row: is_text(row, "instruction", "output") and not _is_judged(row),
    _read,
)
ALPACA_RANKING = Family(
    "Alpaca ranking",
    "pair",
    ("instruction", "input", "chosen", "rejected", "system", "history"),
    "prompt = instruction, and input on the next line; chosen and rejected as they are",
    lambda row: is_text(row, "instruction", "chosen", "rejected"),
    _read_ranking,
)
