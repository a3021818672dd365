"""A JSON array of any length, read element by element in bounded memory; a broken element does not end it."""

import json
import re
from collections.abc import Iterator
from typing import Any

from rlhf_lab.data.json_text import JsonText
from rlhf_lab.data.source import LINE_LIMIT, BreaksOff, Source
from rlhf_lab.data.unpack import Overfull

_SPACE = re.compile(r"[ \t\n\r]*")
_OUTSIDE = re.compile(r'["\[\]{},]')
_TOO_LONG = f"the record is longer than {LINE_LIMIT // 2**20} MB"
_QUOTED = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


def elements(source: Source) -> Iterator[tuple[int, Any, str]]:
    """Line number, value, and flaw or "" of each element.

    Raises `BreaksOff` where nothing tells where the next element begins.
    """
    cursor = _Cursor(source)
    cursor.mark()
    cursor.go_to(cursor.at + 1)
    while cursor.mark() != "]":
        line = cursor.line
        value, flaw = cursor.element()
        yield line, value, flaw
        mark = cursor.mark()
        if mark == ",":
            cursor.go_to(cursor.at + 1)
        elif mark != "]":
            raise cursor.broken("a comma is missing before the text on this line" if mark else "the array never ends")
    cursor.go_to(cursor.at + 1)
    if cursor.mark():
        raise cursor.broken("there is more text after the end of the array")


class _Cursor:
    """A place in the text; what lies before it is forgotten as more is read."""

    def __init__(self, source: Source) -> None:
        self.at = 0
        self.line = 1
        self._text = ""
        self._chunks = source.chunks()
        self._parser = JsonText()

    def go_to(self, place: int) -> None:
        self.line += self._text.count("\n", self.at, place)
        self.at = place

    def mark(self) -> str:
        """Go to the next character that is no space and return it; "" at the end of the file."""
        while True:
            self.go_to(_end(_SPACE, self._text, self.at))
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more():
                return ""

    def element(self) -> tuple[Any, str]:
        """The value that begins here and its flaw, and go to its end."""
        while True:
            try:
                value, end, flaw = self._parser.read_at(self._text, self.at)
            except json.JSONDecodeError as error:
                # What the end of the text so far cut off looks like an error near it, or in the string that is open there.
                if error.pos < len(self._text) - 16 and not error.msg.startswith("Unterminated string"):
                    return self._skip(f"no valid JSON: {error.msg}")
            except RecursionError:
                return self._skip("nested too deep")
            else:
                # At the end of what was read so far, a number may be cut in two.
                if end < len(self._text):
                    long = end - self.at > LINE_LIMIT
                    self.go_to(end)
                    return (None, _TOO_LONG) if long else (value, flaw)
            if len(self._text) - self.at > LINE_LIMIT:
                return self._skip(_TOO_LONG)
            if not self._more():
                return self._skip("no valid JSON")

    def broken(self, what: str) -> BreaksOff:
        return BreaksOff(self.line, f"no valid JSON: {what}")

    def _skip(self, flaw: str) -> tuple[None, str]:
        """Go to the end of an element that cannot be read: where its brackets are closed, or to the next comma."""
        line, depth, quoted = self.line, 0, False
        place = self.at
        while True:
            if quoted:
                place = _end(_QUOTED, self._text, place)
                found = self._text[place : place + 1]
            else:
                match = _OUTSIDE.search(self._text, place)
                place, found = (match.start(), match[0]) if match else (len(self._text), "")
            if found in ("", "\\"):  # what was read so far ends here, perhaps between the two characters of an escape
                self.go_to(place)
                if not self._more():
                    raise BreaksOff(line, "the file breaks off in the record that begins on this line")
                place = self.at
                continue
            if not depth and not quoted and found in ",]":
                self.go_to(place)
                return None, flaw
            place += 1
            if found == '"':
                quoted = not quoted
            elif found in "[{":
                depth += 1
            elif found in "]}" and depth:
                depth -= 1
                if not depth:
                    self.go_to(place)
                    return None, flaw

    def _more(self) -> bool:
        """Read on, as much again as is left, so that a long element is not parsed anew for every chunk of it."""
        left = len(self._text) - self.at
        parts, added = [self._text[self.at :]], 0
        try:
            for chunk in self._chunks:
                parts.append(chunk)
                added += len(chunk)
                if added > left:
                    break
        except Overfull as found:
            raise BreaksOff(self.line, str(found)) from None
        self._text, self.at = "".join(parts), 0
        return added > 0


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a pattern that fits everywhere ends."""
    match = pattern.match(text, start)
    assert match is not None
    return match.end()
