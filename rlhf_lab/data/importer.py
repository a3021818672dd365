"""Import: each file becomes one data set, whole or not at all; what could not be read is listed by line."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.build import Builder, Unreadable
from rlhf_lab.data.detect import Detected, detect
from rlhf_lab.data.duplicates import Duplicates
from rlhf_lab.data.families.family import AnyKind
from rlhf_lab.data.source import ImportCancelled, Source, printable
from rlhf_lab.store import DatasetWriter, Store

Progress = Callable[[int, int], None]

PROBLEMS_SHOWN = 1000
_BATCH = 1000
_BATCH_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Problem:
    """One line that is no record: what was found and what was expected."""

    line: int
    reason: str


@dataclass(frozen=True)
class ImportResult:
    """What became of a file. ``already``: the same content was imported before under this name, and was not again."""

    name: str
    format: str
    kind: str
    records: int
    problems: list[Problem] = field(default_factory=list)
    problems_total: int = 0
    note: str = ""
    already: str | None = None


def import_files(
    paths: Sequence[Path],
    store: Store,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    heldout: float = 0.1,
) -> list[ImportResult]:
    """Import files, each as one data set named after it.

    All are looked at before the first is stored: `LabError` for one that cannot be a data set leaves the
    store as it was. ``progress(done_bytes, total_bytes)`` and ``cancelled()`` are called every few
    thousand rows; cancelling raises `ImportCancelled` and leaves nothing of the file in hand.
    ``heldout`` is the share of prompts that training never sees; the lab's own files bring their split.
    """
    total = 0
    for path in paths:
        with Source.open(path) as source:
            detect(source)
            total += source.size
    results, done = [], 0
    for path in paths:
        with Source.open(path) as source:
            report = _Report(progress, cancelled or (lambda: False), source, done, total)
            results.append(_import(source, store, heldout, report))
            done += source.size
    return results


@dataclass(frozen=True)
class _Report:
    """Says how far the import is and whether it should go on."""

    progress: Progress | None
    cancelled: Callable[[], bool]
    source: Source
    before: int
    total: int

    def __call__(self) -> None:
        if self.cancelled():
            raise ImportCancelled(f"The import of {self.source.name} was cancelled; nothing of it was stored.")
        if self.progress is not None:
            self.progress(self.before + self.source.position, self.total)


def _import(source: Source, store: Store, heldout: float, report: _Report) -> ImportResult:
    detected = detect(source)
    sha256 = source.sha256(report.cancelled)
    already = next((row for row in store.datasets() if row.sha256 == sha256), None)
    if already is not None:
        listed, count = store.problems(already.name, PROBLEMS_SHOWN)
        problems = [Problem(*found) for found in listed]
        note = f"{source.name} is already here as {already.name!r}; nothing was imported again."
        return ImportResult(
            already.name, already.format, already.kind, already.records, problems, count, note, already.name
        )
    name = dataset_name(source.path)
    with store.new_dataset(
        name, detected.format, detected.family.kind, source=source.name, sha256=sha256, note=detected.note
    ) as writer:
        problems, repeated = _fill(writer, source, detected, heldout, report)
        if not writer.records:
            first = f"line {problems[0].line}: {problems[0].reason}" if problems else "it has no rows"
            raise LabError(
                f"No record of {source.name} could be read as {detected.format}; {first}. Nothing was imported."
            )
        if repeated:
            writer.note = f"{writer.note} Records that repeat an earlier one: {repeated:,}.".strip()
    return ImportResult(
        writer.name, detected.format, writer.kind, writer.records, problems, writer.problems, writer.note
    )


def _fill(
    writer: DatasetWriter, source: Source, detected: Detected, heldout: float, report: _Report
) -> tuple[list[Problem], int]:
    """Store all rows in batches; the first problems and how many records were repeated."""
    shown: list[Problem] = []
    seen = Duplicates()
    for batch in _batches(source, detected, Builder(heldout), seen):
        records = [item for item in batch if not isinstance(item, Problem)]
        problems = [item for item in batch if isinstance(item, Problem)]
        writer.add(records)
        if problems:
            writer.problems_found((problem.line, problem.reason) for problem in problems)
            shown += problems[: PROBLEMS_SHOWN - len(shown)]
        report()
    return shown, seen.repeated


def _batches(source: Source, detected: Detected, build: Builder, seen: Duplicates) -> Iterator[list[AnyKind | Problem]]:
    batch: list[AnyKind | Problem] = []
    begun = 0
    for item in read_rows(source, detected, build, seen):
        batch.append(item)
        # A few very long lines make a batch too: memory and the time to notice a cancel stay bounded.
        if len(batch) >= _BATCH or (len(batch) % 16 == 0 and source.position - begun > _BATCH_BYTES):
            yield batch
            batch, begun = [], source.position
    yield batch


def read_rows(source: Source, detected: Detected, build: Builder, seen: Duplicates) -> Iterator[AnyKind | Problem]:
    """Every row of a file as the record that it is, or as the problem that it has."""
    read = detected.family.read
    for line in detected.reader(source):
        if line.flaw:
            yield Problem(line.number, line.flaw)
            continue
        try:
            record = read(line.row, build)
            seen.check(record)
        except Unreadable as found:
            yield Problem(line.number, str(found))
        except ValidationError as error:
            yield Problem(line.number, error.errors(include_url=False)[0]["msg"])
        else:
            yield record


def dataset_name(path: Path) -> str:
    """A name for the data set of a file."""
    return printable(path.stem).strip()[:180] or "data"
