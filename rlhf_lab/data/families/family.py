"""What a format is to the importer."""

from collections.abc import Callable
from dataclasses import dataclass

from rlhf_lab.core.records import Candidates, Demonstration, Pair, PromptOnly, Ranking, Rated, Unpaired
from rlhf_lab.data.build import Builder
from rlhf_lab.data.rows import Row

AnyKind = PromptOnly | Demonstration | Unpaired | Pair | Candidates | Ranking | Rated


@dataclass(frozen=True)
class Family:
    """One format. ``matches`` looks at columns and types of a row; ``read`` may still raise `Unreadable`."""

    name: str
    kind: str
    columns: tuple[str, ...]
    """The columns that are read, for people and to tell which others are not."""
    mapping: str
    """How columns become a record, in a sentence."""
    matches: Callable[[Row], bool]
    read: Callable[[Row, Builder], AnyKind]
    note: str = ""
    """What a person should know before opening the data."""


def is_text(row: Row, *columns: str) -> bool:
    """Whether all these columns hold text."""
    return all(isinstance(row.get(column), str) for column in columns)


def is_list(row: Row, *columns: str) -> bool:
    """Whether all these columns hold lists."""
    return all(isinstance(row.get(column), list) for column in columns)
