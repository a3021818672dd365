"""Compressed files, unpacked as they are read and no further than is sane: a small file can hold a very large one."""

import gzip
import io
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP, ZSTANDARD = "gzip", "zstandard"
PACKED = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTANDARD}
"""How a packed file begins, and what packed it."""

MOST_BYTES = 256 * 2**30
MOST_RATIO = 200
"""Text shrinks to a tenth or a twentieth; what grows two hundredfold on unpacking holds nothing to read."""
_SMALL = 64 * 2**20
_WINDOW = 2**27  # what `zstd --long` writes, and the most memory that one stream may ask for


class Overfull(Exception):  # noqa: N818 - a finding about a file, not a fault of the program
    """A packed file cannot be unpacked, or not any further; the message says why."""


def unpacked(packed: BinaryIO, packer: str) -> io.BufferedReader:
    """The content of a packed file, from the place where it stands; reading raises `Overfull`."""
    if packer == GZIP:
        opened = cast("BinaryIO", gzip.GzipFile(fileobj=packed, mode="rb"))
    else:
        import zstandard

        opened = cast(
            "BinaryIO",
            zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(
                packed, read_across_frames=True, closefd=False
            ),
        )
    return io.BufferedReader(_Capped(packed, opened, packer), 2**20)


class _Capped(io.RawIOBase):
    """Counts what comes out against what went in."""

    def __init__(self, packed: BinaryIO, opened: BinaryIO, packer: str) -> None:
        self._packed = packed
        self._opened = opened
        self._packer = packer
        self._given = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._given

    def readinto(self, buffer: "WriteableBuffer") -> int:
        try:
            count = cast("io.RawIOBase", self._opened).readinto(buffer)
        except (EOFError, OSError, zlib.error) as error:
            raise Overfull(f"the {self._packer} archive is damaged or cut off ({error})") from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":  # its module is imported only where it is needed
                raise
            raise Overfull(f"the {self._packer} archive is damaged or cut off ({error})") from error
        self._given += count or 0
        if self._given > MOST_BYTES:
            raise Overfull(f"the archive holds more than {MOST_BYTES // 2**30} GB")
        if self._given > _SMALL and self._given > MOST_RATIO * self._packed.tell():
            raise Overfull(f"the archive unpacks to more than {MOST_RATIO} times its size, which no text does")
        return count or 0
