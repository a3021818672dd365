"""Saving where there is no room: the limit on a file's size is a full disk, for root too."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from rlhf_lab.core.control import NoControl
from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import checkpoint

TENSORS = {"weight": torch.arange(100_000, dtype=torch.float32)}


@contextmanager
def room_for(most: int) -> Iterator[None]:
    """No file of this process may grow beyond."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Patient(NoControl):
    """Makes room when it is asked for the third time."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def held(self, why: str) -> bool:
        self.heard.append(why)
        if len(self.heard) == 3:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        return True


def test_a_save_waits_until_there_is_room_and_says_how_much_it_needs(tmp_path: Path) -> None:
    control = Patient()
    checkpoint.save(tmp_path, 1, TENSORS, {})
    with room_for(50_000):
        checkpoint.save(tmp_path, 2, TENSORS, {}, control)
    assert len(control.heard) == 3
    assert control.heard[0].startswith("Step 2 cannot be saved. ")
    assert "2 MB are needed in " in control.heard[0]
    assert "MB are free" in control.heard[0]
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found[0] == 2


def test_where_nobody_is_waited_for_the_save_fails_in_words_and_leaves_nothing(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, TENSORS, {})
    with room_for(50_000), pytest.raises(LabError, match=r"Step 2 could not be saved.*2 MB are needed"):
        checkpoint.save(tmp_path, 2, TENSORS, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found[0] == 1
