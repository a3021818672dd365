"""How far a long task is, and when it may end."""

from pytestqt.qtbot import QtBot

from rlhf_lab.gui.widgets.task_bar import TaskBar


def test_it_says_how_much_is_done_and_then_how_long_it_takes(qtbot: QtBot, monkeypatch) -> None:
    bar = TaskBar("Progress", lambda done, total: f"{done:,} of {total:,}")
    qtbot.addWidget(bar)
    bar.begin()
    assert (bar.bar.minimum(), bar.bar.maximum()) == (0, 0), "nobody knows yet"
    bar.show_progress(2**40, 2**42)
    assert bar.bar.value() == 250
    assert bar.told.text().endswith("of 4,398,046,511,104"), "too early to say more"
    monkeypatch.setattr(bar._clock, "elapsed", lambda: 30_000)
    bar.show_progress(25, 100)
    assert bar.told.text() == "25 of 100, 1 m 30 s left"
    bar.show_progress(100, 100)
    assert bar.told.text() == "100 of 100"
    bar.begin()
    assert bar.told.text() == ""
