"""Files as rows, each streamed and with its line number: JSON Lines, a JSON array, CSV, TSV, plain text, tables."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.csv_rows import csv_lines, delimiter_name, delimiter_of, header_of
from rlhf_lab.data.json_array import elements
from rlhf_lab.data.json_text import JsonFlaw, JsonText
from rlhf_lab.data.source import ACCEPTED, LINE_LIMIT, BreaksOff, Source

Row = dict[str, Any]
_LOOK_AT = 50
_NOT_PROSE = re.compile(r"#|<|\{|\[|%|//|---|\|")
"""How headings, markup, code and settings begin; none of these is a list of prompts."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row and the line on which it begins; with a ``flaw``, the row could not be read and has no values."""

    number: int
    row: Row
    flaw: str = ""


Reader = Callable[[Source], Iterator[Line]]


@dataclass(frozen=True)
class Container:
    """How a file holds its rows. ``header``: the columns, where they are named apart from the rows."""

    name: str
    read: Reader
    header: tuple[str, ...] = ()


def container_of(source: Source, names: Mapping[str, str]) -> Container:
    """What the file is, judged by its content, and how its rows are read.

    ``names``: the columns that some format has, by their lower-case spelling.
    """
    if source.table:
        from rlhf_lab.data.tables import columns_of, table_rows

        return Container(source.table, table_rows, columns_of(source))
    found = _text_container(source, names)
    return Container(f"{found.name}, {source.packer}", found.read, found.header) if source.packer else found


def _text_container(source: Source, names: Mapping[str, str]) -> Container:
    start = source.head().lstrip()
    if re.match(r"\[\s*[{\]]", start):
        return Container("JSON", json_array)
    flaws = []
    try:
        for number, line in islice(_filled(source.lines()), _LOOK_AT):
            found = _json_line(JsonText(), number, line)
            if not found.flaw:
                return Container("JSONL", json_lines)
            flaws.append(found.flaw)
    except BreaksOff as broken:
        raise LabError(f"{source.name} holds nothing that could be read: {broken}.") from None
    if start.startswith("{"):
        raise LabError(
            f"{source.name} begins like JSON, but none of its first lines is a whole record (line 1: {flaws[0]}). "
            f"Accepted are {ACCEPTED}."
        )
    if delimiter := delimiter_of(start, names):
        return Container(
            delimiter_name(delimiter),
            lambda source: (Line(*found) for found in csv_lines(source, delimiter, names)),
            header_of(source, delimiter, names),
        )
    if not _is_prose(start):
        raise LabError(f"{source.name} is not a data set that the lab knows. Accepted are {ACCEPTED}.")
    return Container("plain text", text_lines, ("prompt",))


def _is_prose(start: str) -> bool:
    """Whether a text can be a list of prompts: printable lines, with none empty between them."""
    lines = start.rstrip().split("\n")[:_LOOK_AT]
    text = "".join(lines).replace("\t", " ").replace("\r", "")
    return bool(text) and text.isprintable() and all(map(str.strip, lines)) and not _NOT_PROSE.match(lines[0])


def json_lines(source: Source) -> Iterator[Line]:
    """One object a line."""
    parser = JsonText()
    for number, line in _filled(source.lines()):
        yield _json_line(parser, number, line)


def _json_line(parser: JsonText, number: int, line: bytes | None) -> Line:
    text = _decoded(number, line)
    if isinstance(text, Line):
        return text
    try:
        row = parser.read(text)
    except JsonFlaw as flaw:
        return Line(number, {}, str(flaw))
    if not isinstance(row, dict):
        return Line(number, {}, f"found {kind_of(row)}, expected an object in braces")
    return Line(number, row)


def text_lines(source: Source) -> Iterator[Line]:
    """One prompt a line."""
    for number, line in _filled(source.lines()):
        text = _decoded(number, line)
        yield text if isinstance(text, Line) else Line(number, {"prompt": text.strip()})


def _filled(lines: Iterator[tuple[int, bytes | None]]) -> Iterator[tuple[int, bytes | None]]:
    return ((number, line) for number, line in lines if line is None or not line.isspace())


def _decoded(number: int, line: bytes | None) -> str | Line:
    if line is None:
        return Line(number, {}, f"the line is longer than {LINE_LIMIT // 2**20} MB")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        return Line(number, {}, f"byte {error.start + 1} of the line is not UTF-8")


def json_array(source: Source) -> Iterator[Line]:
    """The elements of one array."""
    for number, value, flaw in elements(source):
        if not flaw and not isinstance(value, dict):
            flaw = f"found {kind_of(value)}, expected an object in braces"
        yield Line(number, {} if flaw else value, flaw)


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
    if isinstance(value, bytes):
        return "bytes"
    return "a list" if isinstance(value, list) else "an object"
