"""Changes of records that are asked for one after the other, where one of them is refused."""

import pytest
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.record_changes import RecordChanges
from rlhf_lab.runs.project import Project


@pytest.fixture
def changes(lab: Lab) -> RecordChanges:
    return RecordChanges(lab, lab)


def ids(project: Project, count: int) -> list[int]:
    return [row.id for row in project.store.page_at("pairs", 0, count)]


def test_undo_behind_a_change_that_is_refused_leaves_the_step_before_it(
    qtbot: QtBot, changes: RecordChanges, project: Project
) -> None:
    first, second = ids(project, 2)
    other = project.store.page_at("pairs", 1, 1)[0].record
    with qtbot.waitSignal(changes.written):
        changes.remove_found("pairs", [first])
    with qtbot.waitSignals([changes.failed, changes.written]):
        changes.edit("pairs", first, other)  # it is gone
        changes.undo("pairs")
    assert project.store.edit_steps("pairs") == (1, 0)
    with qtbot.waitSignal(changes.written):
        changes.remove_found("pairs", [second])
        changes.undo("pairs")
        changes.undo("pairs")
    assert project.store.edit_steps("pairs") == (0, 2)


@pytest.mark.parametrize("last", [False, True])
def test_what_was_asked_for_after_one_that_is_refused_comes_after_it_unless_the_window_goes(
    qtbot: QtBot, changes: RecordChanges, project: Project, last: bool
) -> None:
    first, second, third = ids(project, 3)
    other = project.store.page_at("pairs", 5, 1)[0].record
    project.store.remove("pairs", [first])
    changes.edit("pairs", second, other)
    changes.edit("pairs", first, other)  # it is gone
    changes.undo("pairs")
    changes.remove_found("pairs", [third])
    assert changes.finish(50, last=last)
    assert project.store.count("pairs") == (38 if last else 39)
    with qtbot.waitSignals([changes.failed, changes.written]):
        pass
    assert project.store.count("pairs") == 38
    assert project.store.edit_steps("pairs") == (3, 0)
