"""Which format a file has: judged by the columns and types of its first rows, never by its name."""

from dataclasses import dataclass
from itertools import islice

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.families.alpaca import ALPACA, ALPACA_RANKING
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.families.generic import GENERIC, GENERIC_FROM_ONE, GENERIC_FROM_ZERO
from rlhf_lab.data.families.hh import HH
from rlhf_lab.data.families.kto import KTO, KTO_CONVERSATIONS, KTO_MESSAGES
from rlhf_lab.data.families.messages import MESSAGES, PROMPT_COMPLETION
from rlhf_lab.data.families.native import NATIVE
from rlhf_lab.data.families.prompts import PROMPTS
from rlhf_lab.data.families.sharegpt import SHAREGPT, SHAREGPT_RANKING
from rlhf_lab.data.families.trl import TRL_CONVERSATIONAL, TRL_CONVERSATIONAL_IMPLICIT, TRL_EXPLICIT, TRL_IMPLICIT
from rlhf_lab.data.families.ultrafeedback import ULTRAFEEDBACK
from rlhf_lab.data.rows import Line, Reader, reader_of
from rlhf_lab.data.source import Source

FAMILIES: tuple[Family, ...] = (
    NATIVE,
    HH,
    ULTRAFEEDBACK,
    SHAREGPT_RANKING,
    ALPACA_RANKING,
    TRL_CONVERSATIONAL,
    TRL_CONVERSATIONAL_IMPLICIT,
    TRL_EXPLICIT,
    TRL_IMPLICIT,
    GENERIC,
    GENERIC_FROM_ONE,
    GENERIC_FROM_ZERO,
    KTO,
    KTO_MESSAGES,
    KTO_CONVERSATIONS,
    PROMPT_COMPLETION,
    ALPACA,
    SHAREGPT,
    MESSAGES,
    PROMPTS,
)
"""The narrower first: where two formats fit equally many rows, the first is taken."""

_KNOWN = {name for family in FAMILIES for name in family.columns}
_ROWS_LOOKED_AT = 200
_COLUMNS_SHOWN = 20


@dataclass(frozen=True)
class Detected:
    """What a file is, as the import dialog says it."""

    family: Family
    container: str
    reader: Reader
    columns: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def format(self) -> str:
        """Format and container in words."""
        return f"{self.family.name} ({self.container})"

    @property
    def note(self) -> str:
        """What the person should know: about this kind of data, and about columns that are left out."""
        left_out = f"Columns that are not used: {_listed(self.unused)}." if self.unused else ""
        return " ".join(filter(None, (self.family.note, left_out)))


def detect(source: Source) -> Detected:
    """The format that fits most of the first rows; `LabError` names the columns where none fits any."""
    container, reader = reader_of(source)
    seen: list[Line] = list(islice(reader(source), _ROWS_LOOKED_AT))
    rows = [line.row for line in seen if not line.flaw]
    columns = tuple(dict.fromkeys(name for line in seen for name in line.row))
    votes = [(sum(map(family.matches, rows)), family) for family in FAMILIES]
    most = max(count for count, _ in votes)
    if not rows and (not columns or _KNOWN & set(columns)):
        first = f" (line {seen[0].number}: {seen[0].flaw})" if seen else ""
        raise LabError(f"{source.name} holds no record that could be read{first}. Nothing of it was imported.")
    if most == 0:
        raise LabError(
            f"{source.name} has the columns {_listed(columns)}, which fit no format that the lab knows. "
            f"Rename them to one of: {expected_columns()}."
        )
    family = next(family for count, family in votes if count == most)
    unused = tuple(name for name in columns if name not in family.columns)
    return Detected(family, container, reader, columns, unused)


def expected_columns() -> str:
    """What a person can name columns, by what the data is for."""
    return (
        "prompt, chosen, rejected (pairs); question, response_a, response_b, winner (pairs by verdict); "
        "prompt, completion or instruction, input, output or messages (demonstrations); "
        "prompt, completion, label (liked or not); prompt alone (prompts)"
    )


def _listed(columns: tuple[str, ...]) -> str:
    shown = ", ".join(repr(name[:40]) for name in columns[:_COLUMNS_SHOWN])
    more = len(columns) - _COLUMNS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown or "(none)"
