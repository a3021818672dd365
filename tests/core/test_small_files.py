"""Small files are read whole, up to their limit, in the room that they take."""

import sys
import tracemalloc
from pathlib import Path

import pytest

from rlhf_lab.core.small_files import read_bytes


def test_the_limit_is_the_last_size_that_is_read(tmp_path: Path) -> None:
    file = tmp_path / "small"
    file.write_bytes(b"x" * 10)
    assert read_bytes(file, 10) == b"x" * 10
    with pytest.raises(OSError, match="larger than"):
        read_bytes(file, 9)
    file.write_bytes(b"")
    assert read_bytes(file, 10) == b""


def test_no_more_room_is_taken_than_the_file_needs(tmp_path: Path) -> None:
    file = tmp_path / "small"
    file.write_bytes(b"x" * 1000)
    tracemalloc.start()
    try:
        assert len(read_bytes(file, 16 * 2**20)) == 1000
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="a file of no stated size")
def test_a_file_whose_size_the_system_does_not_say_is_read_whole() -> None:
    status = Path("/proc/self/status")
    assert b"Threads:" in read_bytes(status, 2**20)
    with pytest.raises(OSError, match="larger than"):
        read_bytes(status, 100)
