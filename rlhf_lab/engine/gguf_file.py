"""The header of a GGUF file, looked through before a library reads it: counts and sizes that lie are found here."""

import math
import os
import struct
from pathlib import Path
from typing import IO, Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.small_files import MOST_BYTES

_SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_MOST_ENTRIES = 100_000
_LONGEST_LIST = 2**22
_MOST_HEADER = 8 * MOST_BYTES
_MOST_DIMENSIONS = 4
_MOST_NUMBERS_A_BYTE = 8
"""The densest quantisation that there is writes five."""
_SIZED = ("embedding_length", "feed_forward_length", "vocab_size")


class _Lies(Exception):  # noqa: N818 - a finding about a file, not a fault of the program
    """What is wrong with the header."""


def check(file: Path) -> int:
    """How many numbers its tensors hold; raises `LabError` where the header cannot be true."""
    try:
        with file.open("rb") as opened:
            return _look_through(_Reader(opened, os.fstat(opened.fileno()).st_size))
    except OSError as error:
        raise LabError(f"The model file {file} could not be read: {error.strerror}.") from None
    except (_Lies, struct.error, UnicodeDecodeError) as error:
        raise LabError(f"The model in {file} could not be read: its header is damaged ({error}).") from None


class _Reader:
    """A place in the header."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self.size = size

    def take(self, count: int) -> bytes:
        if self._file.tell() + count > min(self.size, _MOST_HEADER):
            raise _Lies("it goes on beyond the end of the file")
        return self._file.read(count)

    def number(self, form: str) -> Any:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        """A value; of a list only its length."""
        if kind in _SIZES:
            return self.number(_SIZES[kind])
        if kind == _TEXT:
            return self.text()
        if kind != _LIST:
            raise _Lies(f"a value of the unknown kind {kind}")
        inner, count = self.number("I"), self.number("Q")
        if count > _LONGEST_LIST:
            raise _Lies(f"a list of {count} entries")
        if inner in _SIZES:
            self.take(count * struct.calcsize(f"<{_SIZES[inner]}"))
        elif inner == _TEXT:
            for _ in range(count):
                self.take(self.number("Q"))
        else:
            raise _Lies("a list of lists")
        return count


def _look_through(reader: _Reader) -> int:
    reader.take(4)
    version, tensors, entries = reader.number("I"), reader.number("Q"), reader.number("Q")
    if version not in (2, 3):
        raise _Lies(f"it is of version {version}")
    if max(tensors, entries) > _MOST_ENTRIES:
        raise _Lies(f"it names {tensors} tensors and {entries} settings")
    found: dict[str, Any] = {}
    for _ in range(entries):
        name = reader.text()
        found[name] = reader.value(reader.number("I"))
    dimensions: set[int] = set()
    numbers = 0
    for _ in range(tensors):
        reader.text()
        shape = [reader.number("Q") for _ in range(_within(reader.number("I")))]
        reader.number("I"), reader.number("Q")
        dimensions.update(shape)
        numbers += math.prod(shape)
    if numbers > _MOST_NUMBERS_A_BYTE * reader.size:
        raise _Lies("its tensors are larger than the file")
    kind = found.get("general.architecture")
    if not isinstance(kind, str):
        raise _Lies("it does not say what it is")
    if not 1 <= _whole(found, f"{kind}.block_count") <= tensors:
        raise _Lies("it has fewer tensors than blocks")
    for name in _SIZED:
        if f"{kind}.{name}" in found and _whole(found, f"{kind}.{name}") not in dimensions:
            raise _Lies(f"no tensor is as wide as its {name}")
    return numbers


def _within(count: int) -> int:
    if count > _MOST_DIMENSIONS:
        raise _Lies(f"a tensor of {count} dimensions")
    return count


def _whole(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int):
        raise _Lies(f"it does not say its {name}")
    return value
