"""What an import would do: the detected format, the first records as they would be stored, the first problems."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rlhf_lab.data.build import Builder
from rlhf_lab.data.detect import detect
from rlhf_lab.data.duplicates import Duplicates
from rlhf_lab.data.families.family import AnyKind
from rlhf_lab.data.importer import Problem, dataset_name, read_rows
from rlhf_lab.data.source import Source


@dataclass(frozen=True)
class Preview:
    """What the import dialog shows of a file. ``unused``: columns that no record will hold."""

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


def preview(path: Path, *, limit: int = 20, heldout: float = 0.1) -> Preview:
    """Read the first rows of a file and store nothing; raises `LabError` as the import would."""
    with Source.open(path) as source:
        detected = detect(source)
        rows = list(islice(read_rows(source, detected, Builder(heldout), Duplicates()), limit))
        return Preview(
            name=dataset_name(path),
            format=detected.format,
            kind=detected.family.kind,
            mapping=detected.family.mapping,
            columns=detected.columns,
            unused=detected.unused,
            note=detected.note,
            records=[row for row in rows if not isinstance(row, Problem)],
            problems=[row for row in rows if isinstance(row, Problem)],
            size=source.size,
        )
