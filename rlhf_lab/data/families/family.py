"""What a format is to the importer."""

from collections.abc import Callable, Hashable, Sequence
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
    read: Callable[[Row, Builder], AnyKind | Sequence[AnyKind]]
    """One record, or those of a row that holds several (a tree, the verdicts of several people)."""
    note: str = ""
    """What a person should know before opening the data."""
    instead_of: tuple[str, ...] = ()
    """Wider formats that its rows also fit: this one is meant where it fits half of the rows that they do."""
    own_cells: bool = False
    """Whether ``read`` reads the JSON in cells itself: all its columns are text."""
    flat: bool = False
    """Whether a `rlhf_lab.data.mapping.Mapping` of its columns says all that there is to say."""
    ratings: Callable[[Row], Sequence[str]] | None = None
    """The names of a row's ratings, the one that counts unless a person says otherwise first."""
    unclear: Callable[[Sequence[Row]], str] | None = None
    """Why rows that fit could be read in two ways that contradict each other; "" where they could not."""
    together: Callable[[Row], Hashable] | None = None
    """Rows that follow each other with the same key are one: ``read`` gets {"rows": [...]}."""


def is_text(row: Row, *columns: str) -> bool:
    """Whether all these columns hold text."""
    return all(isinstance(row.get(column), str) for column in columns)


def is_list(row: Row, *columns: str) -> bool:
    """Whether all these columns hold lists."""
    return all(isinstance(row.get(column), list) for column in columns)
