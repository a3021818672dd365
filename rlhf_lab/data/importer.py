"""Import: each file becomes one data set, whole or not at all; what could not be read is listed by line."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.build import Builder, Unreadable
from rlhf_lab.data.detect import Detected, detect
from rlhf_lab.data.duplicates import Duplicate, Duplicates
from rlhf_lab.data.families.family import AnyKind
from rlhf_lab.data.folders import Dropped, dropped_files
from rlhf_lab.data.mapping import Mapping
from rlhf_lab.data.source import BreaksOff, ImportCancelled, Source, printable
from rlhf_lab.store import DatasetWriter, Store

Progress = Callable[[int, int], None]

PROBLEMS_SHOWN = 1000
_BATCH = 1000
_BATCH_BYTES = 4 * 2**20
_LONGEST_REASON = 500


@dataclass(frozen=True)
class Problem:
    """One line that is no record: what was found and what was expected. Line 0 is the file itself."""

    line: int
    reason: str
    duplicate: bool = False


@dataclass(frozen=True)
class ImportResult:
    """What became of a file. ``already``: the same content was imported before under this name, and was not again.

    A file of a folder that is no data set has no format, no records, and one problem that says why.
    """

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
    mapping: Mapping | None = None,
) -> list[ImportResult]:
    """Import files, each as one data set named after it; a folder stands for all files in it.

    All are looked at before the first is stored: `LabError` for one that cannot be a data set leaves the
    store as it was; in a folder it is a result with a problem. ``progress(done_bytes, total_bytes)`` and
    ``cancelled()`` are called every few thousand rows; cancelling raises `ImportCancelled` and leaves
    nothing of the file in hand. ``heldout`` is the share of prompts that training never sees; the lab's own
    files bring their split. ``mapping`` says which columns are which, in all of the files.
    """
    cancelled = cancelled or (lambda: False)
    files = dropped_files(paths)
    refused, total = {}, 0
    for file in files:
        if cancelled():
            raise ImportCancelled("The import was cancelled before anything was stored.")
        try:
            total += _looked_at(file, mapping)
        except LabError as error:
            if not file.inside:
                raise
            refused[file] = str(error)
    results, done = [], 0
    for file in files:
        if file in refused:
            results.append(ImportResult(file.name, "", "", 0, [Problem(0, refused[file])], 1))
            continue
        with Source.open(file.path) as source:
            report = _Report(progress, cancelled, source, done, total)
            try:
                results.append(_import(file, source, store, heldout, mapping, report))
            except ImportCancelled:
                raise
            except LabError as error:
                if not file.inside:
                    raise
                results.append(ImportResult(file.name, "", "", 0, [Problem(0, str(error))], 1))
            done += source.size
    return results


def _looked_at(file: Dropped, mapping: Mapping | None) -> int:
    """The size of a file that is a data set; raises `LabError` for any other."""
    if file.leads_out:
        name = printable(file.path.name)
        raise LabError(f"{name} is a link to a place outside the folder. Choose the file itself to import it.")
    with Source.open(file.path) as source:
        found = detect(source, mapping)
        if file.inside and found.container.name.startswith("plain text"):
            raise LabError(f"{source.name} is plain text. Choose it by itself to import its lines as prompts.")
        return source.size


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


def _import(
    file: Dropped, source: Source, store: Store, heldout: float, mapping: Mapping | None, report: _Report
) -> ImportResult:
    detected = detect(source, mapping)
    sha256 = _identity(source.sha256(report.cancelled), mapping)
    already = next((row for row in store.datasets() if row.sha256 == sha256), None)
    if already is not None:
        listed, count = store.problems(already.name, PROBLEMS_SHOWN)
        problems = [Problem(*found) for found in listed]
        note = f"{source.name} is already here as {already.name!r}; nothing was imported again."
        return ImportResult(
            already.name, already.format, already.kind, already.records, problems, count, note, already.name
        )
    with store.new_dataset(
        file.name, detected.format, detected.family.kind, source=source.name, sha256=sha256, note=detected.note
    ) as writer:
        rows = Rows(source, detected, heldout)
        problems = _fill(writer, rows, report)
        if not writer.records:
            first = f"line {problems[0].line}: {problems[0].reason}" if problems else "it has no rows"
            raise LabError(
                f"No record of {source.name} could be read as {detected.format}; {first}. Nothing was imported."
            )
        writer.note = " ".join(filter(None, (writer.note, rows.note)))
    return ImportResult(
        writer.name, detected.format, writer.kind, writer.records, problems, writer.problems, writer.note
    )


def _identity(sha256: str, mapping: Mapping | None) -> str:
    """The same for the same content read in the same way."""
    return hashlib.sha256(f"{sha256}{mapping.key}".encode()).hexdigest() if mapping and mapping.key else sha256


def _fill(writer: DatasetWriter, rows: "Rows", report: _Report) -> list[Problem]:
    """Store all rows in batches; the first problems."""
    shown: list[Problem] = []
    for batch in _batches(rows):
        records = [item for item in batch if not isinstance(item, Problem)]
        problems = [item for item in batch if isinstance(item, Problem)]
        writer.add(records)
        if problems:
            writer.problems_found((problem.line, problem.reason) for problem in problems)
            shown += problems[: PROBLEMS_SHOWN - len(shown)]
        report()
    return shown


def _batches(rows: "Rows") -> Iterator[list[AnyKind | Problem]]:
    batch: list[AnyKind | Problem] = []
    source, begun = rows.source, 0
    for item in rows:
        batch.append(item)
        # A few very long lines make a batch too: memory and the time to notice a cancel stay bounded.
        if len(batch) >= _BATCH or (len(batch) % 4 == 0 and source.unpacked_position - begun > _BATCH_BYTES):
            yield batch
            batch, begun = [], source.unpacked_position
    yield batch


class Rows:
    """Every row of a file as the records that it is, or as the problem that it has."""

    def __init__(self, source: Source, detected: Detected, heldout: float) -> None:
        self.source = source
        self._detected = detected
        self._build = Builder(heldout, detected.rating)
        self._seen = Duplicates()
        self._ties = 0
        self._left_out: Counter[str] = Counter()

    @property
    def note(self) -> str:
        """What must be said of the records read so far: ties, repetitions, and what was left out of them."""
        said = []
        if self._ties:
            said.append(f"Records with ties (equally good answers): {self._ties:,}.")
        if self._seen.repeated:
            said.append(f"Records that repeat an earlier one: {self._seen.repeated:,}.")
        left_out = [f"{count:,} {what}" for what, count in self._left_out.items() if count]
        if left_out:
            said.append(f"Left out: {'; '.join(left_out)}.")
        return " ".join(said)

    def __iter__(self) -> Iterator[AnyKind | Problem]:
        read, build, check = self._detected.read, self._build, self._seen.check
        lines = self._detected.rows(self.source)
        while True:
            try:
                line = next(lines)
            except StopIteration:
                return
            except BreaksOff as broken:
                yield Problem(broken.line, str(broken))
                return
            if line.flaw:
                yield Problem(line.number, line.flaw)
                continue
            build.ties = 0
            build.left_out.clear()
            try:
                records = read(line.row, build)
            except Unreadable as found:
                yield Problem(line.number, _short(str(found)))
                continue
            except ValidationError as error:
                yield Problem(line.number, _short(error.errors(include_url=False)[0]["msg"]))
                continue
            self._ties += build.ties
            if build.left_out:
                self._left_out.update(build.left_out)
            for record in records:
                try:
                    check(record)
                except Duplicate as found:
                    yield Problem(line.number, str(found), duplicate=True)
                else:
                    yield record


def _short(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
