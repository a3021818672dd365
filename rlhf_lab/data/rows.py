"""Files as rows: JSON Lines, a JSON array, CSV and TSV, each streamed, each row with its line number."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.json_array import elements
from rlhf_lab.data.json_text import JsonFlaw, JsonText
from rlhf_lab.data.source import ACCEPTED, LINE_LIMIT, Source

Row = dict[str, Any]
_FIELD_LIMIT = 2**20
_LOOK_AT = 50


@dataclass(frozen=True, slots=True)
class Line:
    """One row and the line on which it begins; with a ``flaw``, the row could not be read and has no values."""

    number: int
    row: Row
    flaw: str = ""


Reader = Callable[[Source], Iterator[Line]]


def reader_of(source: Source) -> tuple[str, Reader]:
    """What the file is ("JSONL", "JSON", "CSV", "TSV"), judged by its content, and how its rows are read."""
    start = source.head().lstrip()
    if re.match(r"\[\s*[{\]]", start):
        return "JSON", json_array
    flaws = []
    for number, line in islice(source.lines(), _LOOK_AT):
        found = _json_line(JsonText(), number, line)
        if not found.flaw:
            return "JSONL", json_lines
        flaws.append(found.flaw)
    if start.startswith("{"):
        raise LabError(
            f"{source.name} begins like JSON, but none of its first lines is a whole record (line 1: {flaws[0]}). "
            f"Accepted are {ACCEPTED}."
        )
    header = start.partition("\n")[0]
    if start.startswith("[") or not header.strip() or not header.replace("\t", " ").strip().isprintable():
        raise LabError(f"{source.name} is not a data set that the lab knows. Accepted are {ACCEPTED}.")
    delimiter = max(",\t;", key=header.count)
    return delimiter_name(delimiter), lambda source: csv_rows(source, delimiter)


def json_lines(source: Source) -> Iterator[Line]:
    """One object a line."""
    parser = JsonText()
    for number, line in source.lines():
        yield _json_line(parser, number, line)


def _json_line(parser: JsonText, number: int, line: bytes | None) -> Line:
    if line is None:
        return Line(number, {}, f"the line is longer than {LINE_LIMIT // 2**20} MB")
    try:
        row = parser.read(line.decode())
    except UnicodeDecodeError as error:
        return Line(number, {}, f"byte {error.start + 1} of the line is not UTF-8")
    except JsonFlaw as flaw:
        return Line(number, {}, str(flaw))
    if not isinstance(row, dict):
        return Line(number, {}, f"found {kind_of(row)}, expected an object in braces")
    return Line(number, row)


def json_array(source: Source) -> Iterator[Line]:
    """The elements of one array; `LabError` where the array itself is broken."""
    for number, value, flaw in elements(source):
        if not flaw and not isinstance(value, dict):
            flaw = f"found {kind_of(value)}, expected an object in braces"
        yield Line(number, {} if flaw else value, flaw)


def csv_rows(source: Source, delimiter: str) -> Iterator[Line]:
    """Rows under a header line; column names are taken in lower case."""
    # The limit is the interpreter's; its default would refuse long answers.
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(_csv_lines(source), delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if not header:
                raise LabError(f"The header line of {source.name} cannot be read: {error}.") from None
            yield _unread(number, header, f"cannot be read as {delimiter_name(delimiter)}: {error}")
            continue
        if not cells:
            continue
        if not header:
            header = _header(source, cells)
        elif len(cells) != len(header):
            yield _unread(number, header, f"found {len(cells)} cells, expected {len(header)} as in the header")
        elif not _is_unicode(cells):
            yield _unread(number, header, "a byte that is not UTF-8")
        else:
            yield Line(number, dict(zip(header, cells, strict=True)))


def _unread(number: int, header: list[str], flaw: str) -> Line:
    return Line(number, dict.fromkeys(header), flaw)


def _csv_lines(source: Source) -> Iterator[str]:
    expected = 1
    for number, line in source.lines():
        # Empty lines count: they may lie within a quoted cell, and line numbers are for people.
        yield from repeat("\n", number - expected)
        expected = number + 1
        # One over the limit is handed on as a cell over the limit, which the reader then refuses.
        yield "x" * (_FIELD_LIMIT + 1) + "\n" if line is None else line.decode(errors="surrogateescape")


def _header(source: Source, cells: list[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabError(f"{source.name} has more than one column named {twice[0]!r}. Rename one in its header line.")
    return names


def _is_unicode(cells: list[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True


def delimiter_name(delimiter: str) -> str:
    """What a table with this delimiter is called."""
    return "TSV" if delimiter == "\t" else "CSV"


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
