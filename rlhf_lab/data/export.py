"""A data set as a file, in the lab's own format or another tool's; importing it gives the same records back."""

import csv
import difflib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import RecordKind, Split, dump_record
from rlhf_lab.data import export_rows
from rlhf_lab.data.export_rows import CannotHold
from rlhf_lab.data.families.family import AnyKind
from rlhf_lab.data.families.lab_table import COLUMNS, flat_row, harmless
from rlhf_lab.data.source import ImportCancelled
from rlhf_lab.store import Store

Form = Literal["native", "trl", "trl-conversational", "hh", "ultrafeedback", "argilla", "csv", "parquet"]

_ALL = frozenset[RecordKind](("prompt", "demonstration", "unpaired", "pair", "candidates", "ranking", "rated"))
_TRL = frozenset[RecordKind](("prompt", "demonstration", "unpaired", "pair"))
KINDS: dict[Form, frozenset[RecordKind]] = {
    "native": _ALL,
    "trl": _TRL,
    "trl-conversational": _TRL,
    "hh": frozenset(("pair",)),
    "ultrafeedback": frozenset(("pair", "rated")),
    "argilla": frozenset(("pair", "ranking")),
    "csv": _ALL,
    "parquet": _ALL,
}
"""The kinds of records that a form has a place for; of these, it may still not hold every record."""

_ONE_KIND: frozenset[Form] = frozenset(("trl", "trl-conversational", "ultrafeedback"))
"""Forms whose rows have other columns for other kinds: a file of them holds one."""

_WHOLE: tuple[Form, ...] = ("native", "csv", "parquet")
"""Forms that hold every record, but for a text that is too long for a cell."""

_BATCH = 1000
_LONGEST_CELL = 2**20


@dataclass(frozen=True)
class ExportResult:
    """How many records were written, and how many were not, by the reason: what the form cannot hold."""

    records: int
    left_out: dict[str, int] = field(default_factory=dict)
    fitting: tuple[Form, ...] = ()
    """Other tools' forms that hold what was left out; judged by the first record of each reason."""
    form: Form = "native"
    """That of the file."""

    @property
    def note(self) -> str:
        """What was left out, and which forms hold it, in words; "" where nothing was."""
        said = "; ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        forms = ", ".join(self.fitting or (form for form in _WHOLE if form != self.form))
        return f"Left out, since this form cannot hold them: {said}. Forms that hold them: {forms}." if said else ""


def export(
    store: Store,
    name: str,
    path: Path,
    form: Form = "native",
    *,
    split: Split | None = None,
    escape_formulas: bool = True,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ExportResult:
    """Write a data set, or one split of it; the file appears when it is complete.

    ``escape_formulas`` puts an apostrophe before cells of a CSV file that a spreadsheet would run; importing
    takes it away. ``progress(done, total)`` counts records. Cancelling raises `ImportCancelled` and leaves no
    file; `LabError` where nothing could be written.
    """
    if form not in KINDS:
        near = "".join(f" Did you mean {one}?" for one in difflib.get_close_matches(str(form).lower(), KINDS, 1))
        raise LabError(f"There is no form {form!r}.{near} There are: {', '.join(KINDS)}.")
    if path.is_dir():
        raise LabError(f"{path} is a folder. Name the file to write.")
    row = next((row for row in store.datasets() if row.name == name), None)
    total = store.count(name) if row is None or split is None else row.train if split == "train" else row.heldout
    held = KINDS[form]
    if form in _ONE_KIND and row is not None and row.kind == "mixed":
        held = _most_frequent(store, name, split, held)
    chosen = _Chosen(store.records(name, split), form, held)
    part = path.with_name(f".{path.name}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                for _ in _WRITERS[form](chosen, file, escape_formulas):
                    if cancelled is not None and cancelled():
                        raise ImportCancelled("The export was cancelled; no file was written.")
                    if progress is not None:
                        progress(chosen.seen, total)
                file.flush()
                os.fsync(file.fileno())
            result = ExportResult(chosen.written, dict(chosen.left_out), chosen.fitting, form)
            if not result.records:
                raise LabError(f"No record of {name!r} can be written in this form. {result.note}".rstrip())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise LabError(f"{path} cannot be written: {error.strerror}. Choose another place.") from error
    return result


def _most_frequent(store: Store, name: str, split: Split | None, held: frozenset[RecordKind]) -> frozenset[RecordKind]:
    kinds = Counter(record.kind for record in store.records(name, split) if record.kind in held)
    return frozenset(kind for kind, _ in kinds.most_common(1))


class _Chosen:
    """The records that a form can hold, in batches; counts them and the others."""

    def __init__(self, records: Iterator[AnyKind], form: Form, held: frozenset[RecordKind]) -> None:
        self.seen = self.written = 0
        self.left_out: Counter[str] = Counter()
        self.fitting: tuple[Form, ...] = tuple(_ROWS)
        self._records = records
        self._form = form
        self._held = held

    def batches(self, make: Callable[[AnyKind], Any]) -> Iterator[list[Any]]:
        """What ``make`` makes of each; `CannotHold` leaves a record out."""
        while records := list(islice(self._records, _BATCH)):
            rows = []
            for record in records:
                try:
                    if record.kind not in self._held:
                        beside = " beside others" if record.kind in KINDS[self._form] else ""
                        raise CannotHold(f"records of kind {record.kind!r}{beside}")
                    rows.append(make(record))
                except CannotHold as found:
                    if str(found) not in self.left_out:
                        self.fitting = tuple(form for form in self.fitting if self._would_fit(form, record))
                    self.left_out[str(found)] += 1
            self.seen += len(records)
            self.written += len(rows)
            yield rows

    def _would_fit(self, form: Form, record: AnyKind) -> bool:
        if form in _ONE_KIND and record.kind in KINDS[self._form] and record.kind not in self._held:
            return False  # it has no place beside others there either
        try:
            _ROWS[form](record)
        except CannotHold:
            return False
        return True


def _write_native(chosen: _Chosen, file: IO[bytes], _: bool) -> Iterator[None]:
    for lines in chosen.batches(lambda record: dump_record(record) + b"\n"):
        file.writelines(lines)
        yield


def _json_lines(make: Callable[[AnyKind], export_rows.Row]) -> "_Writer":
    def write(chosen: _Chosen, file: IO[bytes], _: bool) -> Iterator[None]:
        for rows in chosen.batches(make):
            file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
            yield

    return write


def _write_csv(chosen: _Chosen, file: IO[bytes], escape: bool) -> Iterator[None]:
    def make(record: AnyKind) -> Sequence[str]:
        cells = flat_row(record)
        if max(map(len, cells.values())) >= _LONGEST_CELL:
            raise CannotHold("records with a text of more than a million characters")
        return [harmless(cells.get(name, ""), escape) for name in COLUMNS]

    file.write(",".join(COLUMNS).encode() + b"\r\n")
    for rows in chosen.batches(make):
        lines = _Lines()
        csv.writer(lines).writerows(rows)
        file.writelines(lines)
        yield


class _Lines(list[bytes]):
    """What `csv.writer` writes into, as bytes."""

    def write(self, line: str) -> None:
        """Called by the writer, a row a time."""
        self.append(line.encode())


def _write_parquet(chosen: _Chosen, file: IO[bytes], _: bool) -> Iterator[None]:
    from rlhf_lab.data.tables_out import write_batches

    return write_batches(chosen.batches(lambda record: record.model_dump()), file)


_Writer = Callable[[_Chosen, IO[bytes], bool], Iterator[None]]
_ROWS: dict[Form, Callable[[AnyKind], export_rows.Row]] = {
    "trl": export_rows.trl,
    "trl-conversational": export_rows.trl_conversational,
    "hh": export_rows.hh,
    "ultrafeedback": export_rows.ultrafeedback,
    "argilla": export_rows.argilla,
}
"""Other tools' forms."""
_WRITERS: dict[Form, _Writer] = {
    "native": _write_native,
    "csv": _write_csv,
    "parquet": _write_parquet,
    **{form: _json_lines(make) for form, make in _ROWS.items()},
}
