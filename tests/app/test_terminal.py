"""The lab in a terminal."""

import io
import os
import signal

import pytest

from rlhf_lab.terminal import Terminal


class InterruptsWhoeverWrites(io.RawIOBase):
    """A terminal at which Ctrl+C is pressed while the first line arrives."""

    def __init__(self) -> None:
        self.written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        first = not self.written
        self.written += bytes(data)
        if first:
            os.kill(os.getpid(), signal.SIGINT)
        return len(data)


def test_ctrl_c_in_the_middle_of_a_line_is_heard_and_said_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = InterruptsWhoeverWrites()
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(io.BufferedWriter(screen), "utf-8", line_buffering=True))
    terminal = Terminal()
    with terminal.stop_on_interrupt("the import") as stop:
        terminal.say("reading line 1")
        assert screen.written == b"reading line 1\n"
        assert stop.asked
        assert stop.asked
        assert terminal.interrupted
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert screen.written.splitlines()[1:] == [b"Stopping the import and saving. Ctrl+C again ends it at once."]
