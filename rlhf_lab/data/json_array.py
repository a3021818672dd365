"""A JSON array of any length, read element by element in bounded memory."""

import json
import re
from collections.abc import Iterator
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.json_text import JsonText
from rlhf_lab.data.source import LINE_LIMIT, Source

_SPACE = re.compile(r"[ \t\n\r]*")


def elements(source: Source) -> Iterator[tuple[int, Any, str]]:
    """Line number, value, and flaw or "" of each element.

    Raises `LabError` where the array itself is broken, since nothing tells where the next element begins.
    """
    cursor = _Cursor(source)
    cursor.mark()
    cursor.go_to(cursor.at + 1)
    while cursor.mark() != "]":
        value, end, flaw = cursor.element()
        yield cursor.line, value, flaw
        cursor.go_to(end)
        mark = cursor.mark()
        if mark == ",":
            cursor.go_to(cursor.at + 1)
        elif mark != "]":
            raise cursor.broken("a comma is missing before the text")
    cursor.go_to(cursor.at + 1)
    if cursor.mark():
        raise cursor.broken("there is more text after the end of the array")


class _Cursor:
    """A place in the text; what lies before it is forgotten as more is read."""

    def __init__(self, source: Source) -> None:
        self.at = 0
        self.line = 1
        self._text = ""
        self._name = source.name
        self._chunks = source.chunks()
        self._parser = JsonText()

    def go_to(self, place: int) -> None:
        self.line += self._text.count("\n", self.at, place)
        self.at = place

    def mark(self) -> str:
        """Go to the next character that is no space and return it; "" at the end of the file."""
        while True:
            self.go_to(_past_space(self._text, self.at))
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more():
                return ""

    def element(self) -> tuple[Any, int, str]:
        """The value that begins here, where it ends, and its flaw."""
        while True:
            try:
                value, end, flaw = self._parser.read_at(self._text, self.at)
            except json.JSONDecodeError as error:
                reason = error.msg
            except RecursionError:
                raise self.broken("nested too deep in the record that begins") from None
            else:
                # At the end of what was read so far, a number may be cut in two.
                if end < len(self._text):
                    return value, end, flaw
                reason = "the file breaks off"
            if len(self._text) - self.at > LINE_LIMIT:
                raise self.broken(f"{reason} (or more than {LINE_LIMIT // 2**20} MB) in the record that begins")
            if not self._more():
                raise self.broken(f"{reason} in the record that begins")

    def broken(self, what: str) -> LabError:
        return LabError(
            f"{self._name} is no valid JSON: {what} on line {self.line}. "
            "Nothing of it was imported; repair the file or fetch it again."
        )

    def _more(self) -> bool:
        """Read on, as much again as is left, so that a long element is not parsed anew for every chunk of it."""
        left = len(self._text) - self.at
        parts, added = [self._text[self.at :]], 0
        for chunk in self._chunks:
            parts.append(chunk)
            added += len(chunk)
            if added > left:
                break
        self._text, self.at = "".join(parts), 0
        return added > 0


def _past_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    assert match is not None
    return match.end()
