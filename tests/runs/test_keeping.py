"""Backups of a whole project: when they are made, and what becomes of its runs when one is put back."""

import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Finished, Metrics, Progress, Started
from rlhf_lab.core.records import Completion, Demonstration, Message, Prompt
from rlhf_lab.runs.folder import Manifest, RunFolder
from rlhf_lab.runs.keeping import back_up_if_due, chosen_backup, restore_project, window_is_open
from rlhf_lab.runs.log import EventLog
from rlhf_lab.runs.project import Project
from rlhf_lab.store.backups import ASKED, BEFORE_RESTORE, back_up, backups


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Project.open(tmp_path / "project") as project:
        add_talks(project, "talks")
        add_run(project, "sft-1")
    return tmp_path / "project"


def add_talks(project: Project, name: str) -> None:
    with project.store.new_dataset(name, "lab", "demonstration") as writer:
        prompt = Prompt(messages=(Message(role="user", content="Hello?"),))
        writer.add([Demonstration(prompt=prompt, completion=Completion(text="Yes."))])


def add_run(project: Project, run: str, steps: int = 2) -> None:
    folder = RunFolder(project.runs_folder / run)
    folder.path.mkdir()
    folder.write_config(SftConfig(dataset="talks"))
    folder.write_manifest(
        Manifest(run=run, stage="sft", created=1.0, dataset="talks", data_sha256="", records=1, train=1, heldout=0)
    )
    project.store.add_run(run, "sft", f"runs/{run}", SftConfig().model_dump_json(), created=1.0)
    with EventLog(folder.events_path, 1) as log:
        log.append(Started(device="cpu", total_steps=steps))
        for step in range(1, steps + 1):
            log.append(Metrics(step=step, values={"train/loss": 1.0 / step}))
            log.append(Progress(step=step, done=step, total=steps))
        log.append(Finished(step=steps, outcome="done"))
    project.reindex()


def test_a_backup_is_made_when_due_and_not_of_nothing(folder: Path, tmp_path: Path) -> None:
    made = back_up_if_due(folder / "lab.sqlite")
    assert made is not None
    assert back_up_if_due(folder / "lab.sqlite") is None, "it is fresh"
    with Project.open(tmp_path / "empty") as empty:
        assert back_up_if_due(empty.store.path) is None
    assert back_up_if_due(tmp_path / "nowhere" / "lab.sqlite") is None


def test_runs_that_are_younger_than_the_backup_are_there_after_a_restore(folder: Path) -> None:
    back_up(folder / "lab.sqlite", ASKED)
    with Project.open(folder) as project:
        project.store.delete_dataset("talks")
        add_run(project, "sft-2", steps=3)
    restored = restore_project(folder, backups(folder / "lab.sqlite")[0])
    assert restored.runs == 2
    assert restored.aside is not None
    with Project.open(folder) as project:
        assert [row.name for row in project.store.datasets()] == ["talks"]
        assert [(row.run, row.outcome, row.step) for row in project.store.runs()] == [
            ("sft-1", "done", 2),
            ("sft-2", "done", 3),
        ]
        assert project.store.curves("sft-2")["train/loss"][0] == [1, 2, 3]


def test_a_project_whose_database_is_gone_or_damaged_comes_back_whole(folder: Path) -> None:
    copy = back_up(folder / "lab.sqlite", ASKED)
    (folder / "lab.sqlite").write_bytes(b"\0" * 4096 + b"scratched")
    with pytest.raises(LabError, match="rlhf-lab restore"):
        Project.open(folder)
    restore_project(folder, copy)
    with Project.open(folder) as project:
        assert [row.run for row in project.store.runs()] == ["sft-1"]


def test_a_backup_is_chosen_by_the_beginning_of_its_name(folder: Path) -> None:
    one, two = back_up(folder / "lab.sqlite", ASKED), back_up(folder / "lab.sqlite", BEFORE_RESTORE)
    assert chosen_backup(folder, one.name) == backups(folder / "lab.sqlite")[1]
    assert chosen_backup(folder, two.name[:-3]).path == two.path
    for name, words in (("20", "2 backups begin with '20'"), ("1999", "There is no backup '1999'"), ("", "begin with")):
        with pytest.raises(LabError, match=words):
            chosen_backup(folder, name)


def test_an_open_window_is_known_by_its_lock_not_by_its_file(folder: Path, tmp_path: Path) -> None:
    assert not window_is_open(folder)
    script = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from rlhf_lab.gui.single import SingleWindow
app = QCoreApplication([])
single = SingleWindow(Path(sys.argv[1]))
print(single.claim(), flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as window:
        assert window.stdout is not None
        assert window.stdout.readline() == "True\n"
        assert window_is_open(folder)
        copied = tmp_path / "copy"
        copied.mkdir()
        (copied / "window.lock").write_bytes((folder / "window.lock").read_bytes())
        assert not window_is_open(copied)
        window.kill()
    assert (folder / "window.lock").exists(), "it was killed"
    assert not window_is_open(folder)


def test_a_backup_that_cannot_be_made_says_so(folder: Path) -> None:
    (folder / "backups").write_text("a file is in the way")
    with pytest.raises(LabError, match=r"cannot be copied to .*backups"):
        back_up_if_due(folder / "lab.sqlite")
