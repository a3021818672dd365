"""Garbage is collected by the window's timer, not wherever Python allocates."""

import gc
import weakref

from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.collector import Collector
from rlhf_lab.gui.lab import Lab


class Cycle:
    def __init__(self) -> None:
        self.me = self


def test_cycles_go_on_the_timer_and_only_there(qtbot: QtBot, lab: Lab) -> None:
    assert not gc.isenabled()
    gone = weakref.ref(Cycle())
    assert gone() is not None
    # Far more than the threshold: what earlier tests free meanwhile counts against it.
    kept = [Cycle() for _ in range(20 * gc.get_threshold()[0])]
    qtbot.waitUntil(lambda: gone() is None)
    assert len(kept) > 0


def test_what_has_settled_is_not_walked_again(qtbot: QtBot) -> None:
    owner = QObject()
    collector = Collector(owner)
    before = gc.get_freeze_count()
    kept = [Cycle() for _ in range(1000)]
    collector.settle()
    assert gc.get_freeze_count() >= before + len(kept)
    collector.close()
    assert gc.get_freeze_count() == 0
    assert gc.isenabled()


def test_what_was_set_aside_before_stays_so_where_nothing_settled(qtbot: QtBot) -> None:
    gc.freeze()
    owner = QObject()
    Collector(owner).close()
    assert gc.get_freeze_count() > 1000  # some of it may have been freed by other means meanwhile
    assert gc.isenabled()
