"""Which column plays which role, where a person says so: for files whose columns no format has."""

import json
from collections import abc
from dataclasses import dataclass, field
from typing import Any, Literal

from rlhf_lab.core.errors import LabError

Verdict = Literal["a", "b", "tie"]

ROLES: dict[str, str] = {
    "prompt": "The question: text, or a list of messages",
    "system": "A system message before it",
    "chosen": "The better answer",
    "rejected": "The worse answer",
    "response_a": "The first of two answers",
    "response_b": "The second of two answers",
    "preference": "Which of the two is better",
    "completion": "The answer to imitate or to judge",
    "label": "Whether it was liked",
    "annotator": "Who judged",
    "source": "Where the record comes from",
    "language": "The language it is in",
}
"""Every role that a column can play, and what it holds."""

COMPLETE: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(needed.split()), what)
    for needed, what in (
        ("prompt chosen rejected", "pairs"),
        ("chosen rejected", "pairs whose prompt is what both begin with"),
        ("prompt response_a response_b preference", "pairs by verdict"),
        ("prompt response_a response_b", "answers to rank"),
        ("prompt completion label", "answers that were liked or not"),
        ("prompt completion", "demonstrations"),
        ("prompt", "prompts"),
    )
)
"""What can be made of which roles; the first whose roles are all there is made."""

_OFTEN: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "query", "input", "context", "post", "text", "history", "user"),
    "system": ("system", "system_prompt"),
    "chosen": ("chosen", "preferred", "better", "accepted", "good", "win", "winner_response", "positive", "best"),
    "rejected": ("rejected", "dispreferred", "worse", "bad", "lose", "loser_response", "negative", "worst"),
    "response_a": ("response_a", "answer_a", "response_1", "answer_1", "output_1", "response1", "answer1", "a"),
    "response_b": ("response_b", "answer_b", "response_2", "answer_2", "output_2", "response2", "answer2", "b"),
    "preference": ("preference", "winner", "choice", "verdict", "label", "better", "preferred"),
    "completion": ("completion", "response", "answer", "output", "reply", "target"),
    "label": ("label", "kto_tag", "liked", "thumbs_up", "is_good"),
    "annotator": ("annotator", "worker", "user_id", "annotator_id", "rater"),
    "source": ("source", "dataset", "domain"),
    "language": ("language", "lang"),
}

QUESTIONS = frozenset(_OFTEN["prompt"])
"""Names of columns that may hold the question: a format without one is not to pass over them."""


class NeedsMapping(LabError):  # noqa: N818 - a question to the person, not a fault of the program
    """The columns fit no format; a `Mapping` can say what they hold. ``guess`` is a start."""

    def __init__(self, message: str, columns: tuple[str, ...], rows: abc.Sequence[abc.Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.columns = columns
        self.rows = tuple(rows)
        self.guess = guessed(columns)


@dataclass(frozen=True)
class Mapping:
    """What a person said of a file.

    ``columns`` names the column of each role (`ROLES`; "a.b" is b inside a); empty: as detected.
    ``verdicts`` reads the values of the preference column, where they are not a, b, 0, 1, 2 and the like.
    ``rating`` is the rating that counts, where answers have several.
    """

    columns: abc.Mapping[str, str] = field(default_factory=dict)
    verdicts: abc.Mapping[str, Verdict] = field(default_factory=dict)
    rating: str | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.columns) - set(ROLES))
        if unknown:
            raise LabError(f"{unknown[0]!r} is no role of a column. There are: {', '.join(ROLES)}.")

    @property
    def key(self) -> str:
        """The same for the same mapping, "" for none: a file read in another way is another data set."""
        if self == Mapping():
            return ""
        return json.dumps([dict(self.columns), dict(self.verdicts), self.rating], sort_keys=True)

    def missing(self) -> str:
        """What still has to be said before records can be made, or ""."""
        if not self.columns or any(needed <= self.columns.keys() for needed, _ in COMPLETE):
            return ""
        return "Say which column holds the prompt, and which the answers (or chosen and rejected)."

    def verdict(self, value: Any) -> Any:
        """What a value of the preference column says, where ``verdicts`` reads it; else the value."""
        said = {str(value).strip().lower()}
        if isinstance(value, float):
            said.add(f"{value:g}")  # tables turn a column of 0 and 1 into 0.0 and 1.0
        return next((verdict for given, verdict in self.verdicts.items() if given.strip().lower() in said), value)

    def row(self, row: abc.Mapping[str, Any]) -> dict[str, Any]:
        """A row under the names of its roles; columns without a role are left out."""
        found = {role: at_path(row, column) for role, column in self.columns.items()}
        return {role: value for role, value in found.items() if value is not None}


def at_path(row: abc.Mapping[str, Any], column: str) -> Any:
    """The value of a column, or of "a.b" inside one; None where there is none."""
    if column in row:
        return row[column]
    value: Any = row
    for name in column.split("."):
        if not isinstance(value, abc.Mapping):
            return None
        value = value.get(name)
    return value


def guessed(columns: abc.Iterable[str]) -> Mapping:
    """Roles by the names that such columns often have; no column twice."""
    names = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in columns}
    found: dict[str, str] = {}
    for role, often in _OFTEN.items():
        if role == "preference" and not {"chosen", "rejected"} <= found.keys():
            found.pop("chosen", None)  # "better" alone says which of two answers, and is none itself
            found.pop("rejected", None)
        if role == "preference" and not {"response_a", "response_b"} <= found.keys():
            found.pop("response_a", None)
            found.pop("response_b", None)
            continue
        name = next((names[word] for word in often if word in names and names[word] not in found.values()), None)
        if name is not None:
            found[role] = name
    return Mapping(columns=found)
