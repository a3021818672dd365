"""A file that a person dropped: opened without trusting it, unpacked and read in bounded pieces."""

import codecs
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self, cast

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.unpack import PACKED, Overfull, unpacked

LINE_LIMIT = 16 * 2**20
"""Bytes of one line or one record; longer ones are problems, so that memory stays bounded."""
_CHUNK = 2**20

ACCEPTED = (
    "JSON Lines, a JSON array of records, CSV or TSV with a header line, plain text with one prompt a line "
    "(each also as .gz or .zst), Parquet and Arrow"
)
_TABLES = {b"PAR1": "Parquet", b"ARROW1": "Arrow", b"\xff\xff\xff\xff": "Arrow stream"}
_OTHERS = {
    b"PK\x03\x04": "a zip archive or an office document",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"FEA1": "a Feather file of the old version 1",
    b"SQLite format 3\x00": "a SQLite database",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GGUF": "a model (GGUF)",
    b"\x80\x04": "a pickled Python object",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


class ImportCancelled(LabError):  # noqa: N818 - asked for, not an error
    """The person cancelled; nothing of the file in hand was stored."""


class BreaksOff(LabError):  # noqa: N818 - a finding about a file, not a fault of the program
    """Nothing after ``line`` can be read; what came before it can."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"{reason}; nothing after it could be read")
        self.line = line


class Source:
    """An open regular file. ``with Source.open(path) as source``; `lines` and `chunks` start at the beginning.

    ``packer`` is "" or what packed it, ``table`` is "" or the kind of columnar table that it is.
    """

    def __init__(self, path: Path, file: BinaryIO, size: int, head: bytes) -> None:
        self.path = path
        self.name = printable(path.name)
        self.size = size
        self.packer = next((packer for magic, packer in PACKED.items() if head.startswith(magic)), "")
        self.table = next((kind for magic, kind in _TABLES.items() if head.startswith(magic)), "")
        self.done: int | None = None
        """Set by readers that do not read from the front to the back: the part that is done, in bytes of the file."""
        self.taken = 0
        """Bytes of content that such a reader has given."""
        self._file = file
        self._content = file

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
            head = file.read(16)
            source = cls(path, file, os.fstat(file.fileno()).st_size, head)
            source._check(head)
        except BaseException:
            file.close()
            raise
        return source

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        """Bytes of the file that were read so far (the reader's buffer included), of ``size``."""
        return self._file.tell() if self.done is None else self.done

    @property
    def unpacked_position(self) -> int:
        """Bytes of content that were read so far: more than ``position`` where the file is packed."""
        return self._content.tell() if self.done is None else self.taken

    @property
    def file_position(self) -> int:
        """Where the file stands, whatever a reader says is done."""
        return self._file.tell()

    @property
    def file(self) -> BinaryIO:
        """The file itself, for readers that need all of it at hand."""
        self._file.seek(0)
        return self._file

    def head(self) -> str:
        """The first 64 KB as text, as far as it is text."""
        try:
            return self._begin().read(2**16).decode("utf-8-sig", errors="replace")
        except Overfull as found:
            raise LabError(f"{self.name} cannot be read: {found}. Fetch it again.") from None

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Line numbers from 1 and the lines with their ends; ``None`` for one over the limit.

        Raises `BreaksOff` where a packed file cannot be unpacked any further.
        """
        read, number = self._begin().readline, 1
        try:
            while line := read(LINE_LIMIT):
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if len(line) == LINE_LIMIT and not line.endswith(b"\n"):
                    while (rest := read(_CHUNK)) and not rest.endswith(b"\n"):
                        pass
                    yield number, None
                else:
                    yield number, line
                number += 1
        except Overfull as found:
            raise BreaksOff(number, str(found)) from None

    def chunks(self) -> Iterator[str]:
        """The whole text in pieces; a byte that is not UTF-8 becomes a lone surrogate, so that it can be found.

        Raises `Overfull`.
        """
        content = self._begin()
        decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        while data := content.read(_CHUNK):
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)

    def sha256(self, cancelled: Callable[[], bool]) -> str:
        """The hash of the file as it lies there."""
        self._file.seek(0)
        digest = hashlib.sha256()
        while data := self._file.read(_CHUNK):
            digest.update(data)
            if cancelled():
                raise ImportCancelled(f"The import of {self.name} was cancelled; nothing of it was stored.")
        return digest.hexdigest()

    def _begin(self) -> BinaryIO:
        self._file.seek(0)
        if self.packer:
            self._content = cast("BinaryIO", unpacked(self._file, self.packer))
        return self._content

    def _check(self, head: bytes) -> None:
        if not head:
            raise LabError(f"{self.name} is empty. {_accepted()}")
        if self.packer:
            try:
                head = self._begin().read(16)
            except Overfull as found:
                raise LabError(f"{self.name} cannot be read: {found}. Fetch it again.") from None
            if not head:
                raise LabError(f"{self.name} is a {self.packer} archive of nothing. {_accepted()}")
            if any(head.startswith(magic) for magic in (*PACKED, *_TABLES)):
                raise LabError(f"{self.name} is an archive or a table inside an archive. Unpack it first.")
        for magic, what in _OTHERS.items():
            if head.startswith(magic):
                raise LabError(f"{self.name} is {what}, which the lab cannot import. {_accepted()}")


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


def _accepted() -> str:
    return f"Accepted are {ACCEPTED}; text in UTF-8."
