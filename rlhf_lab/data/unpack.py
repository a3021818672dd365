"""Compressed files, unpacked as they are read and no further than is sane: a small file can hold a very large one."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP, ZSTANDARD = "gzip", "zstandard"
PACKED = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTANDARD}
"""How a packed file begins, and what packed it."""

MOST_BYTES = 256 * 2**30
MOST_RATIO = 200
"""Text shrinks to a tenth or a twentieth; what grows two hundredfold on unpacking holds nothing to read."""
_SMALL = 64 * 2**20
_PIECE = 2**17
_FED = 2**10  # of zstandard at a time: each four bytes of it can become 128 KB
_WINDOW = 2**27  # what `zstd --long` writes, and the most memory that one stream may ask for


class Overfull(Exception):  # noqa: N818 - a finding about a file, not a fault of the program
    """A packed file cannot be unpacked, or not any further; the message says why."""


def unpacked(packed: BinaryIO, packer: str) -> io.BufferedReader:
    """The content of a packed file, from the place where it stands; reading raises `Overfull`."""
    pieces = _gunzipped(packed) if packer == GZIP else _unzstd(packed)
    return io.BufferedReader(_Capped(packed, pieces), 2**20)


def _gunzipped(packed: BinaryIO) -> Iterator[bytes]:
    opened = gzip.GzipFile(fileobj=packed, mode="rb")
    try:
        # `read1` gives what there is: `read` would throw it away when the end is missing.
        while piece := opened.read1(_PIECE):
            yield piece
    except (EOFError, OSError, zlib.error) as error:
        raise Overfull(f"the gzip archive is damaged or cut off ({error})") from error


def _unzstd(packed: BinaryIO) -> Iterator[bytes]:
    import zstandard

    try:
        while given := packed.read(_FED):
            # A file may be several frames; only an object for each says whether the last one is whole.
            frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
            while given:
                if piece := frame.decompress(given):
                    yield piece
                if frame.eof:
                    packed.seek(-len(frame.unused_data), os.SEEK_CUR)
                    break
                given = packed.read(_FED)
            else:
                raise Overfull("the zstandard archive is damaged or cut off (its last frame has no end)")
    except zstandard.ZstdError as error:
        raise Overfull(f"the zstandard archive is damaged or cut off ({error})") from error


class _Capped(io.RawIOBase):
    """Pieces as a file; counts what comes out against what went in."""

    def __init__(self, packed: BinaryIO, pieces: Iterator[bytes]) -> None:
        self._packed = packed
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._given = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._given

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        target = memoryview(buffer)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._given += count
        if self._given > MOST_BYTES:
            raise Overfull(f"the archive holds more than {MOST_BYTES // 2**30} GB")
        if self._given > _SMALL and self._given > MOST_RATIO * self._packed.tell():
            raise Overfull(f"the archive unpacks to more than {MOST_RATIO} times its size, which no text does")
        return count
