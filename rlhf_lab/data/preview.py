"""What an import would do: the detected format, the first records as they would be stored, the first problems."""

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from rlhf_lab.data.detect import MOST_LOOKED_AT, detect
from rlhf_lab.data.families.family import AnyKind
from rlhf_lab.data.folders import dataset_name
from rlhf_lab.data.importer import Problem, Rows
from rlhf_lab.data.mapping import Mapping
from rlhf_lab.data.source import Source

_ROWS = 200


@dataclass(frozen=True)
class Preview:
    """What the import dialog shows of a file.

    ``container``: "JSONL", "CSV, gzip", …; ``mapping``: in words, how columns become a record; ``roles``: the
    column of each role, to begin a mapping with (empty where a format is more than its columns).
    ``unused``: columns that no record will hold. ``rating_choices``: where answers have several ratings, all
    of them, and ``rating`` the one that counts. ``records`` and ``problems``: of the first rows; ``duplicates``
    counts those of the problems that repeat or reverse an earlier judgement; ``rows``: how many were looked at.
    """

    name: str
    format: str
    kind: str
    mapping: str
    columns: tuple[str, ...]
    unused: tuple[str, ...]
    note: str
    records: list[AnyKind]
    problems: list[Problem]
    size: int
    container: str = ""
    roles: AnyMapping[str, str] = field(default_factory=dict)
    rating_choices: tuple[str, ...] = ()
    rating: str = ""
    duplicates: int = 0
    rows: int = 0


def preview(path: Path, mapping: Mapping | None = None, *, limit: int = 20, heldout: float = 0.1) -> Preview:
    """Read the first rows of a file and store nothing.

    Raises `LabError` as the import would; `rlhf_lab.data.mapping.NeedsMapping` where a mapping could help.
    ``limit``: how many rows are shown; duplicates and ties are looked for in the first 200.
    """
    with Source.open(path) as source:
        detected = detect(source, mapping)
        read = Rows(source, detected, heldout)
        rows: list[AnyKind | Problem] = []
        for row in islice(read, max(limit, _ROWS)):
            rows.append(row)
            if source.unpacked_position > MOST_LOOKED_AT:
                break
        shown = rows[:limit]
        kinds = {row.kind for row in rows if not isinstance(row, Problem)}
        return Preview(
            name=dataset_name(path.name),
            format=detected.format,
            kind=kinds.pop() if len(kinds) == 1 else detected.family.kind,
            mapping=detected.family.mapping,
            columns=detected.columns,
            unused=detected.unused,
            note=detected.note,
            records=[row for row in shown if not isinstance(row, Problem)],
            problems=[row for row in shown if isinstance(row, Problem)],
            size=source.size,
            container=detected.container.name,
            roles=detected.roles,
            rating_choices=detected.rating_choices,
            rating=detected.rating,
            duplicates=sum(row.duplicate for row in rows if isinstance(row, Problem)),
            rows=len(rows),
        )
