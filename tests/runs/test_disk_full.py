"""A full disk: the run waits with its heart beating, and goes on when there is space."""

import errno
from pathlib import Path

import pytest

from rlhf_lab.core.events import Event, Finished, Phase
from rlhf_lab.runs.child import Voice
from rlhf_lab.runs.folder import RunFolder


class FullDisk:
    """A log whose first so many writes find no space."""

    def __init__(self, path: Path, refusals: int, on_refusal: list[str], folder: RunFolder) -> None:
        self.path, self.written = path, []
        self._refusals, self._seen, self._folder = refusals, on_refusal, folder

    def append(self, event: Event) -> None:
        if self._refusals:
            self._refusals -= 1
            self._seen.append(self._folder.heartbeat_path.read_text().strip())
            raise OSError(errno.ENOSPC, "No space left on device")
        self.written.append(event)


def test_a_run_waits_for_space(tmp_path: Path) -> None:
    folder, doing = RunFolder(tmp_path), []
    log = FullDisk(folder.events_path, 2, doing, folder)
    voice = Voice(log, folder, 1)
    voice.say(Phase(name="training"))
    assert doing[0] == "starting"
    assert doing[1].startswith("waiting: the disk of ")
    assert [event.name for event in log.written] == ["training"]
    assert folder.heartbeat_path.read_text().strip() == "training"
    voice.control.close()


def test_a_stop_does_not_wait_for_space_but_the_end_does(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    log = FullDisk(folder.events_path, 2, [], folder)
    voice = Voice(log, folder, 1)
    voice.control.stop()
    with pytest.raises(OSError, match="No space"):
        voice.say(Phase(name="training"))
    voice.say(Finished(outcome="stopped"))
    assert [event.outcome for event in log.written] == ["stopped"]
    voice.control.close()
