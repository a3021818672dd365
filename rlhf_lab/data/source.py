"""A file that a person dropped: opened without trusting it, read in bounded pieces."""

import codecs
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from rlhf_lab.core.errors import LabError

LINE_LIMIT = 16 * 2**20
"""Bytes of one line or one record; longer ones are problems, so that memory stays bounded."""
_CHUNK = 2**20

ACCEPTED = "JSON Lines, a JSON array of records, and CSV or TSV with a header line"
_MAGIC = {
    b"\x1f\x8b": "a gzip archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"PK\x03\x04": "a zip archive or an office document",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3\x00": "a SQLite database",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GGUF": "a model (GGUF)",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


class ImportCancelled(LabError):  # noqa: N818 - asked for, not an error
    """The person cancelled; nothing of the file in hand was stored."""


class Source:
    """An open regular file. ``with Source.open(path) as source``; `lines` and `chunks` start at the beginning."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self.path = path
        self.name = printable(path.name)
        self.size = size
        self._file = file

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file for reading; `LabError` in words for what is missing, empty, no file, or of another format."""
        try:
            # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise LabError(_cannot_open(path, error)) from error
        file = os.fdopen(handle, "rb", buffering=_CHUNK) if stat.S_ISREG(os.fstat(handle).st_mode) else None
        if file is None:
            folder = stat.S_ISDIR(os.fstat(handle).st_mode)
            os.close(handle)
            what = "a folder; choose the files in it" if folder else "a pipe or a device, not a file"
            raise LabError(f"{printable(path.name)} is {what}. {_accepted()}")
        try:
            _check_magic(path, file.read(16))
        except BaseException:
            file.close()
            raise
        return cls(path, file, os.fstat(file.fileno()).st_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        """Bytes read so far (the reader's buffer included)."""
        return self._file.tell()

    def head(self) -> str:
        """The first 64 KB as text, as far as it is text."""
        self._file.seek(0)
        return self._file.read(2**16).decode("utf-8-sig", errors="replace")

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Line numbers from 1 and the lines with their ends, empty ones left out; ``None`` for one over the limit."""
        self._file.seek(0)
        read, number = self._file.readline, 0
        while line := read(LINE_LIMIT):
            number += 1
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if len(line) == LINE_LIMIT and not line.endswith(b"\n"):
                while (rest := read(_CHUNK)) and not rest.endswith(b"\n"):
                    pass
                yield number, None
            elif not line.isspace():
                yield number, line

    def chunks(self) -> Iterator[str]:
        """The whole text in pieces; a byte that is not UTF-8 becomes a lone surrogate, so that it can be found."""
        self._file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        while data := self._file.read(_CHUNK):
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)

    def sha256(self, cancelled: Callable[[], bool]) -> str:
        """The hash of the content."""
        self._file.seek(0)
        digest = hashlib.sha256()
        while data := self._file.read(_CHUNK):
            digest.update(data)
            if cancelled():
                raise ImportCancelled(f"The import of {self.name} was cancelled; nothing of it was stored.")
        return digest.hexdigest()


def printable(name: str) -> str:
    """A file's name without line ends, bidirectional controls and bytes that are no text."""
    return "".join(c if c.isprintable() else "�" for c in name)


def _cannot_open(file: Path, error: OSError) -> str:
    path = printable(str(file))
    if isinstance(error, FileNotFoundError):
        return f"There is no file {path}. Check the path."
    if isinstance(error, PermissionError):
        return f"{path} cannot be read: no permission. Change its permissions or copy it elsewhere."
    if error.errno == errno.ELOOP:
        return f"{path} is a link that leads back to itself. Choose the file that it should point to."
    return f"{path} cannot be opened: {error.strerror}. Check the path and the disk."


def _check_magic(path: Path, head: bytes) -> None:
    name = printable(path.name)
    if not head:
        raise LabError(f"{name} is empty. {_accepted()}")
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise LabError(f"{name} is {what}, which the lab cannot import. {_accepted()}")


def _accepted() -> str:
    return f"Accepted are {ACCEPTED}, in UTF-8."
