"""A run's frozen data file as a sequence: only line offsets are held in memory."""

import errno
import stat
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from pydantic import ValidationError

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord, load_record


class RecordFile(Sequence[AnyRecord]):
    """Records of a JSON Lines file, read from disk each time they are asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets = array("Q")
        try:
            if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would be waited for, a link lead anywhere
                raise OSError(errno.EINVAL, "it is no regular file")
            with path.open("rb") as file:
                offset = 0
                for line in file:
                    if line.strip():
                        self._offsets.append(offset)
                    offset += len(line)
        except OSError as error:
            raise LabError(f"The run's data could not be read from {path}: {error.strerror}.") from None

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> AnyRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnyRecord]: ...
    def __getitem__(self, index: int | slice) -> AnyRecord | list[AnyRecord]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        with self._path.open("rb") as file:
            file.seek(self._offsets[index])
            return self._load(file.readline(), index)

    def __iter__(self) -> Iterator[AnyRecord]:
        with self._path.open("rb") as file:
            lines = (line for line in file if line.strip())
            for index, line in enumerate(lines):
                yield self._load(line, index)

    def _load(self, line: bytes, index: int) -> AnyRecord:
        try:
            return load_record(line)
        except ValidationError:
            raise LabError(
                f"{self._path} was changed after the run was made: record {index + 1} cannot be read. "
                "Start a new run from the data set."
            ) from None
