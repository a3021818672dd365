"""Answers that nobody has compared yet: a list of them, or two columns without a verdict."""

from typing import Any

from rlhf_lab.core.records import Candidates, Completion
from rlhf_lab.data.build import Builder, prompt_turns, text, unreadable
from rlhf_lab.data.families.family import Family, is_text
from rlhf_lab.data.rows import Row

_QUESTION = ("prompt", "question", "instruction")
_LISTS = ("completions", "candidates", "responses", "answers")
_TEXTS = ("text", "response", "answer", "completion", "content")
_VERDICTS = {"preference", "preferred", "winner", "label", "choice", "verdict", "better"}
"""Columns that may say which answer is better: not to be passed over."""
_SOURCES = ("source", "model", "generator")


def _column(row: Row, names: tuple[str, ...]) -> str:
    return next((name for name in names if name in row), names[0])


def _is_list(row: Row) -> bool:
    found = row.get(_column(row, _LISTS))
    return (
        isinstance(row.get(_column(row, _QUESTION)), str | list)
        and isinstance(found, list)
        and len(found) > 1
        and all(isinstance(item, str) or (isinstance(item, dict) and bool({*_TEXTS} & item.keys())) for item in found)
    )


def _answer(item: Any, where: str) -> Completion:
    if isinstance(item, str):
        return Completion(text=item)
    if not isinstance(item, dict):
        unreadable(where, item, "an answer")
    source = item.get(_column(item, _SOURCES))
    return Completion(text=text(item, _column(item, _TEXTS)), source=source if isinstance(source, str) else "")


def _read_list(row: Row, build: Builder) -> Candidates:
    question, column = _column(row, _QUESTION), _column(row, _LISTS)
    found = row.get(column)
    if not isinstance(found, list):
        unreadable(column, found, "a list of answers")
    return build.candidates(prompt_turns(row.get(question), question), [_answer(item, column) for item in found])


def _read_two(row: Row, build: Builder) -> Candidates:
    question = _column(row, _QUESTION)
    answers = [Completion(text=text(row, "response_a")), Completion(text=text(row, "response_b"))]
    return build.candidates(prompt_turns(row.get(question), question), answers)


CANDIDATES = Family(
    "answers to rank",
    "candidates",
    (*_QUESTION, *_LISTS),
    "prompt as it is; the answers in a list, which nobody has compared yet",
    _is_list,
    _read_list,
)
CANDIDATES_TWO = Family(
    "two answers to rank",
    "candidates",
    (*_QUESTION, "response_a", "response_b"),
    "prompt and two answers as they are, which nobody has compared yet",
    lambda row: is_text(row, _column(row, _QUESTION), "response_a", "response_b") and not _VERDICTS & row.keys(),
    _read_two,
    flat=True,
)
