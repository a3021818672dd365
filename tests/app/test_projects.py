"""Other projects in the same window: runs go on, locks are let go of and taken, the next start knows where it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.app import BUSY_MS, Sitting, _last
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.gui.widgets.message_bar import MessageBar
from rlhf_lab.runs.project import Project


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(tmp_path / "settings.ini")
    made.put("warm", value=False)
    return made


@pytest.fixture
def sitting(qtbot: QtBot, tmp_path: Path, settings: Settings) -> Iterator[Sitting]:
    first = tmp_path / "first"
    first.mkdir()
    single = SingleWindow(first)
    assert single.claim()
    made = Sitting(Project.open(first, busy_ms=BUSY_MS), settings, single)
    yield made
    made.session.window.close()
    made.session.close()
    made.forget_crashes()


def test_a_new_project_is_made_and_the_first_one_comes_back(
    qtbot: QtBot, sitting: Sitting, tmp_path: Path, settings: Settings
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    second.mkdir()
    assert not SingleWindow(first).claim()
    with qtbot.waitSignal(sitting.reopened):
        sitting.session.projects.make(second)
    assert sitting.session.project.folder == second
    assert sitting.session.window.windowTitle().startswith("second")
    assert sitting.session.window.isVisible()
    assert settings.projects == [str(second), str(first)]
    assert _last(settings) == second
    free = SingleWindow(first)
    assert free.claim()
    free.close()
    assert not SingleWindow(second).claim()

    (offer,) = [o for o in sitting.session.lab.actions.offers() if o.name.startswith("project:")]
    assert offer.title == "Open project first"
    with qtbot.waitSignal(sitting.reopened):
        offer.act()
    assert sitting.session.project.folder == first
    names = [action.text() for action in _filled(sitting)]
    assert names == ["Open project…", "New project…", "Open before", "second"]


def _filled(sitting: Sitting) -> list:
    menu = sitting.session.projects.menu
    menu.aboutToShow.emit()
    return menu.actions()


def test_what_cannot_be_opened_leaves_this_one_open(qtbot: QtBot, sitting: Sitting, tmp_path: Path) -> None:
    projects, said = sitting.session.projects, sitting.session.window.messages
    (tmp_path / "other").mkdir()
    projects.open(tmp_path / "other")
    assert "holds no project" in _text(said)
    projects.make(tmp_path)
    assert "is not empty" in _text(said)
    projects.open(tmp_path / "first")
    assert "is the project that is open" in _text(said)
    taken = tmp_path / "taken"
    Project.open(taken).close()
    holder = SingleWindow(taken)
    assert holder.claim()
    projects.open(taken)
    assert "is open in another window" in _text(said)
    holder.close()
    assert projects.next is None
    assert sitting.session.window.isVisible()


def _text(bar: MessageBar) -> str:
    return " ".join(message.text for message in bar.messages())


def test_a_person_who_stays_keeps_the_project(
    qtbot: QtBot, sitting: Sitting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlhf_lab.gui.closing import CloseDialog

    window, lab = sitting.session.window, sitting.session.lab
    monkeypatch.setattr(lab, "live", lambda: ["sft-1"])
    monkeypatch.setattr(lab, "state", lambda run: type("State", (), {"title": "SFT 1"}))
    (tmp_path / "second").mkdir()
    sitting.session.projects.make(tmp_path / "second")
    assert sitting.session.projects.next is not None
    window.findChild(CloseDialog).stay.click()
    assert sitting.session.projects.next is None
    assert SingleWindow(tmp_path / "second").claim()
    monkeypatch.undo()


def test_a_new_project_that_nobody_wanted_leaves_an_empty_folder(
    qtbot: QtBot, sitting: Sitting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlhf_lab.gui.closing import CloseDialog

    window, lab = sitting.session.window, sitting.session.lab
    monkeypatch.setattr(lab, "under_way", lambda: ["Downloading someone/some-model."])
    second = tmp_path / "second"
    second.mkdir()
    sitting.session.projects.make(second)
    assert (second / "lab.sqlite").is_file()
    window.findChild(CloseDialog).stay.click()
    assert list(second.iterdir()) == []
    Project.open(tmp_path / "third").close()
    before = sorted((tmp_path / "third").iterdir())
    sitting.session.projects.open(tmp_path / "third")
    window.findChildren(CloseDialog)[-1].stay.click()
    assert sorted((tmp_path / "third").iterdir()) == before, "this one was there"
    monkeypatch.undo()


def test_a_folder_that_cannot_be_read_is_said(
    sitting: Sitting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse)
    sitting.session.projects.make(tmp_path / "closed")
    monkeypatch.undo()
    assert "closed cannot be read: Permission denied" in _text(sitting.session.window.messages)
