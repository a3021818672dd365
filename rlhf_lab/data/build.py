"""From the texts of a row to a record: what every family checks in the same way, and in the same words."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from rlhf_lab.core.records import (
    MOST_ANSWERS,
    Candidates,
    Completion,
    Demonstration,
    Message,
    Pair,
    Prompt,
    PromptOnly,
    Ranking,
    Rated,
    Role,
    Split,
    Tag,
    Unpaired,
    competition_ranks,
)
from rlhf_lab.data.rows import Row, kind_of

Turns = tuple[Message, ...]
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}


class Unreadable(Exception):  # noqa: N818 - a finding about a row, not a fault of the program
    """Why a row is no record: what was found and what was expected. It becomes a line of the problem list."""


def unreadable(where: str, value: object, expected: str) -> NoReturn:
    """Refuse a row for one of its values, which is shown where it is short."""
    short = isinstance(value, str | int | float) and not isinstance(value, bool) and len(str(value)) <= 40
    raise Unreadable(f"{where}: found {repr(value) if short else kind_of(value)}, expected {expected}")


def text(row: Row, column: str) -> str:
    """The text in a column."""
    if column not in row:
        raise Unreadable(f"{column}: not there, expected text")
    value = row[column]
    if not isinstance(value, str):
        unreadable(column, value, "text")
    return value


def optional_text(row: Row, column: str) -> str:
    """The text in a column, or "" where there is none."""
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        unreadable(column, value, "text")
    return value


def number(row: Row, column: str) -> float:
    """The number in a column; tables hold it as text."""
    found = as_number(row.get(column))
    if found is None:
        unreadable(column, row.get(column), "a number")
    return found


def as_number(value: object) -> float | None:
    """A finite number, or one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def word(value: object) -> str:
    """A short answer such as a label or a verdict, in lower case; "" for what is neither text nor a number."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, float):
        return f"{value:g}"  # tables turn a column of 0 and 1 into 0.0 and 1.0
    return str(value).strip().lower() if isinstance(value, str | int) else ""


def said_of(value: object) -> str:
    """Who judged, a source, a language: text, or a number that stands for one; "" for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # tables turn a column of 1 and 2 into 1.0 and 2.0 where a cell is empty
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def turns(value: object, where: str) -> Turns:
    """Messages from a list of {"role", "content"} or {"from", "value"}."""
    if not isinstance(value, list) or not value:
        unreadable(where, value, "a list of messages")
    return tuple(turn(item, where) for item in value)


def turn(value: object, where: str) -> Message:
    """One message from {"role", "content"} or {"from", "value"}."""
    if not isinstance(value, dict):
        unreadable(where, value, "a message with role and content")
    role = value.get("role", value.get("from"))
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        unreadable(f"{where}: role", role, "system, user or assistant")
    content = value.get("content", value.get("value"))
    if isinstance(content, list):
        content = _parts(content, where)
    if not isinstance(content, str):
        unreadable(f"{where}: content", content, "text")
    return Message(role=known, content=content)


def _parts(parts: list[Any], where: str) -> str:
    """Content in parts, as chat services write it; all must be text."""
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    for part, found in zip(parts, texts, strict=True):
        if not isinstance(found, str):
            kind = part.get("type") if isinstance(part, dict) else None
            if not isinstance(kind, str):
                unreadable(f"{where}: a part of the content", part, "text")
            raise Unreadable(f"{where}: found a part of type {kind[:40]!r}, expected text alone")
    return "".join(t for t in texts if isinstance(t, str))


def prompt_turns(value: object, where: str) -> Turns:
    """A prompt that is either text or a list of messages."""
    if isinstance(value, str):
        return (Message(role="user", content=value),)
    return turns(value, where)


def answer(value: object, where: str) -> str:
    """An answer that is text, one message, or a list of one assistant message."""
    if isinstance(value, str):
        return value
    found = (turn(value, where),) if isinstance(value, dict) else turns(value, where)
    if len(found) != 1:
        raise Unreadable(f"{where}: found {len(found)} messages, expected one")
    if found[0].role != "assistant":
        raise Unreadable(f"{where}: found a {found[0].role} message, expected an assistant message")
    return found[0].content


def split_last(found: Turns, where: str) -> tuple[Turns, str]:
    """A conversation as its prompt and the assistant's last answer."""
    if found[-1].role != "assistant":
        raise Unreadable(f"{where}: ends with a {found[-1].role} message, expected an answer of the assistant")
    return found[:-1], found[-1].content


def with_system(system: str, found: Turns) -> Turns:
    """Turns with a system message before them, unless it is empty."""
    return (Message(role="system", content=system), *found) if system else found


class Builder:
    """Makes records; the split follows from the prompt alone, so that it is the same in every import.

    ``rating`` is the one that counts where answers have several. ``system`` goes before every prompt; the
    reader of mapped columns sets it for each row. ``ties`` and ``left_out`` count what is no problem of a
    row, but must be said.
    """

    def __init__(self, heldout: float, rating: str = "") -> None:
        self.rating = rating
        self.system = ""
        self.ties = 0
        self.left_out: Counter[str] = Counter()
        self._heldout_below = int(heldout * 2**64)

    def pair(
        self,
        prompt: Turns,
        chosen: str | Completion,
        rejected: str | Completion,
        *,
        margin: float | None = None,
        tie: bool = False,
        tags: Mapping[str, Tag] | None = None,
    ) -> Pair:
        """Two answers; they must be there and differ."""
        asked = self._prompt(prompt)
        better = chosen if isinstance(chosen, Completion) else Completion(text=chosen)
        worse = rejected if isinstance(rejected, Completion) else Completion(text=rejected)
        _filled(better.text, "the chosen answer")
        _filled(worse.text, "the rejected answer")
        if better.text == worse.text:
            raise Unreadable("the chosen and the rejected answer are the same, expected two different ones")
        self.ties += tie
        return Pair(
            prompt=asked,
            split=self.split(asked),
            chosen=better,
            rejected=worse,
            margin=margin,
            tie=tie,
            tags=dict(tags or {}),
        )

    def ranking(
        self,
        prompt: Turns,
        answers: Sequence[Completion],
        places: Sequence[float],
        tags: Mapping[str, Tag] | None = None,
    ) -> Ranking:
        """Answers and their places, counted from anywhere, lower is better, equal ones tied."""
        asked, kept = self._prompt(prompt), self._kept(answers)
        ranks = competition_ranks([places[n] for n in kept])
        self.ties += len(set(ranks)) < len(ranks)
        return Ranking(
            prompt=asked,
            split=self.split(asked),
            completions=tuple(answers[n] for n in kept),
            ranks=ranks,
            tags=dict(tags or {}),
        )

    def rated(
        self,
        prompt: Turns,
        answers: Sequence[Completion],
        ratings: Sequence[float],
        tags: Mapping[str, Tag] | None = None,
    ) -> Rated:
        """Answers and their ratings, higher is better."""
        asked, kept = self._prompt(prompt), self._kept(answers)
        return Rated(
            prompt=asked,
            split=self.split(asked),
            completions=tuple(answers[n] for n in kept),
            ratings=tuple(ratings[n] for n in kept),
            tags=dict(tags or {}),
        )

    def candidates(self, prompt: Turns, answers: Sequence[Completion]) -> Candidates:
        """Answers that nobody compared."""
        asked, kept = self._prompt(prompt), self._kept(answers)
        return Candidates(prompt=asked, split=self.split(asked), completions=tuple(answers[n] for n in kept))

    def demonstration(self, prompt: Turns, completion: str) -> Demonstration:
        """An answer to imitate."""
        asked = self._prompt(prompt)
        _filled(completion, "the answer")
        return Demonstration(prompt=asked, split=self.split(asked), completion=Completion(text=completion))

    def unpaired(self, prompt: Turns, completion: str, label: bool) -> Unpaired:
        """An answer that was liked or not."""
        asked = self._prompt(prompt)
        _filled(completion, "the answer")
        return Unpaired(prompt=asked, split=self.split(asked), completion=Completion(text=completion), label=label)

    def prompt_only(self, prompt: Turns) -> PromptOnly:
        """A question without an answer."""
        asked = self._prompt(prompt)
        return PromptOnly(prompt=asked, split=self.split(asked))

    def each(self, verdicts: Iterable[_Given], read: Callable[[_Given], _Made]) -> list[_Made]:
        """Several people's verdicts on one row: one that cannot be read is counted, and takes no other along.

        Raises `Unreadable` where none can be read.
        """
        made: list[_Made] = []
        flaws: list[Unreadable] = []
        for given in verdicts:
            try:
                made.append(read(given))
            except Unreadable as flaw:
                flaws.append(flaw)
        if flaws and not made:
            raise flaws[0]
        self.left_out["verdicts that could not be read, beside others on the same answers"] += len(flaws)
        return made

    def split(self, prompt: Prompt) -> Split:
        """The same for the same prompt, on every machine."""
        number = int.from_bytes(hashlib.blake2b(prompt.text.encode(), digest_size=8).digest(), "big")
        return "heldout" if number < self._heldout_below else "train"

    def _prompt(self, messages: Turns) -> Prompt:
        found = with_system(self.system, messages) if self.system else messages
        check_prompt(found)
        return Prompt(messages=found)

    def _kept(self, answers: Sequence[Completion]) -> list[int]:
        """Which answers to one prompt are stored: those that are there, each text once; there must be two."""
        kept: dict[str, int] = {}
        empty = 0
        for place, answer in enumerate(answers):
            if not answer.text or answer.text.isspace():
                empty += 1
            elif answer.text not in kept:
                _no_nul(answer.text, "an answer")
                kept[answer.text] = place
        if len(kept) < 2:
            raise Unreadable(f"found {len(kept)} different answers, expected at least two")
        if len(kept) > MOST_ANSWERS:
            raise Unreadable(f"found {len(kept)} answers to one prompt, expected no more than {MOST_ANSWERS}")
        self.left_out["empty answers"] += empty
        self.left_out["answers that repeat another one to the same prompt"] += len(answers) - empty - len(kept)
        return list(kept.values())


def check_prompt(messages: Turns) -> None:
    """A prompt ends with words of the user."""
    if not messages:
        raise Unreadable("the prompt: found nothing, expected a question")
    for message in messages[:-1]:
        _no_nul(message.content, "the prompt")
    if messages[-1].role != "user":
        raise Unreadable(f"the prompt: ends with a {messages[-1].role} message, expected one of the user")
    _filled(messages[-1].content, "the prompt")


def check_answers(answers: Iterable[str]) -> None:
    """Answers are not empty and hold no NUL."""
    for found in answers:
        _filled(found, "an answer")


def _filled(found: str, what: str) -> None:
    if not found or found.isspace():
        raise Unreadable(f"{what} is empty, expected text")
    _no_nul(found, what)


def _no_nul(found: str, what: str) -> None:
    if "\0" in found:
        raise Unreadable(f"{what} holds a NUL character, expected text")
