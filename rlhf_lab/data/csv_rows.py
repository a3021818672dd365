"""CSV and TSV as rows: under a header line, each with the line on which it begins."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.source import Source

DELIMITERS = ",\t;"
_FIELD_LIMIT = 2**20
_LOOK_AT = 50
_NAME_WORDS = 5


def csv_lines(source: Source, delimiter: str, names: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str], str]]:
    """Line number, cells by column and flaw or "" of each row; ``names`` gives columns the spelling that is known."""
    # The limit is the interpreter's; its default would refuse long answers.
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(_text_lines(source), delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if not header:
                raise _no_header(source, error) from None
            # A quotation mark that is never closed takes the lines after it along: say which.
            until = f" (up to line {reader.line_num:,}, where it ends)" if reader.line_num > number else ""
            yield number, {}, f"cannot be read as {delimiter_name(delimiter)}{until}: {error}"
            continue
        if not cells or (len(cells) == 1 and not cells[0].strip()):
            continue
        if not header:
            header = _header(source, cells, names)
        elif len(cells) != len(header):
            yield number, {}, f"found {len(cells)} cells, expected {len(header)} as in the header"
        elif not _is_unicode(cells):
            yield number, {}, "a byte that is not UTF-8"
        else:
            yield number, dict(zip(header, cells, strict=True)), ""


def header_of(source: Source, delimiter: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """The columns of a table, with or without rows under them."""
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(_text_lines(source), delimiter=delimiter)
    try:
        return tuple(_header(source, next((cells for cells in reader if cells), []), names))
    except csv.Error as error:
        raise _no_header(source, error) from None


def delimiter_of(head: str, names: Mapping[str, str]) -> str:
    """What separates the cells of this table; "" where the text is no table.

    A table has a column that is known, or as many cells in every row as the header has names.
    """
    for delimiter in sorted(DELIMITERS, key=head.partition("\n")[0].count, reverse=True):
        rows = _first_rows(head, delimiter)
        header = [cell.strip() for cell in rows[0]] if rows else []
        if any(cell.lower() in names for cell in header):
            return delimiter
        alike = len({len(row) for row in rows}) == 1 and len(rows) > 1
        if len(header) > 1 and alike and all(map(_is_name, header)):
            return delimiter
    return ""


def delimiter_name(delimiter: str) -> str:
    """What a table with this delimiter is called."""
    return "TSV" if delimiter == "\t" else "CSV"


def _first_rows(head: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(head.splitlines(keepends=True), delimiter=delimiter, strict=True):
            if row:
                rows.append(row)
            if len(rows) > _LOOK_AT:
                return rows
    except csv.Error:
        return rows
    return rows[:-1] if len(head) >= 2**15 else rows  # the last one may be cut off


def _is_name(cell: str) -> bool:
    return bool(cell) and cell.isprintable() and len(cell.split()) <= _NAME_WORDS and cell[-1] not in ".?!:"


def _text_lines(source: Source) -> Iterator[str]:
    for _, line in source.lines():
        # One over the limit is handed on as a cell over the limit, which the reader then refuses.
        yield "x" * (_FIELD_LIMIT + 1) + "\n" if line is None else line.decode(errors="surrogateescape")


def _header(source: Source, cells: list[str], names: Mapping[str, str]) -> list[str]:
    found = [names.get(cell.strip().lower(), cell.strip()) for cell in cells]
    twice = sorted(name for name, count in Counter(found).items() if count > 1)
    if twice:
        raise LabError(f"{source.name} has more than one column named {twice[0]!r}. Rename one in its header line.")
    return found


def _no_header(source: Source, error: csv.Error) -> LabError:
    # Python advises whoever called it, not whoever made the file.
    why = "its lines end as on old Macs (CR alone); save it with LF or CRLF" if "newline" in str(error) else str(error)
    return LabError(f"The header line of {source.name} cannot be read: {why}.")


def _is_unicode(cells: list[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True
