"""The command that exports what a run left."""

from pathlib import Path

import pytest

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.events import Finished, Metrics
from rlhf_lab.core.records import Completion, Demonstration, Message, Prompt
from rlhf_lab.runs.log import EventLog
from rlhf_lab.runs.project import Project
from tests.app.conftest import Lab, last_object

pytestmark = pytest.mark.usefixtures("warm_children")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a run that has said two numbers and left no adapter."""
    folder = tmp_path / "mine"
    asked = Prompt(messages=(Message(role="user", content="Why?"),))
    with Project.open(folder) as opened:
        with opened.store.new_dataset("talks", "lab", "demonstration") as writer:
            writer.add([Demonstration(prompt=asked, completion=Completion(text="So."), split="train")])
        run = opened.create_run(SftConfig(dataset="talks"))
    with EventLog(run.events_path, 1) as log:
        log.append(Metrics(step=1, values={"train/loss": 2.0}))
        log.append(Metrics(step=2, values={"train/loss": 1.0}))
        log.append(Finished(step=2, outcome="done"))
    return folder


def test_curves_are_exported(lab: Lab, project: Path, tmp_path: Path) -> None:
    ended = lab("export-run", "sft-1", "out/curves.csv", "--as", "csv", "--project", project, "--json")
    assert ended.returncode == 0, ended.stderr
    file = tmp_path / "out" / "curves.csv"
    assert last_object(ended) == {
        "run": "sft-1",
        "form": "csv",
        "place": str(file),
        "bytes": file.stat().st_size,
        "notes": [],
    }
    assert file.read_text().splitlines()[0] == "step,time,train/loss"


def test_a_picture_needs_no_display(lab: Lab, project: Path, tmp_path: Path) -> None:
    without = {"DISPLAY": None, "WAYLAND_DISPLAY": None, "QT_QPA_PLATFORM": None}
    ended = lab("export-run", "sft-1", "curves.png", "--as", "png", "--project", project, env=without)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert f"sft-1 is in {tmp_path / 'curves.png'}" in ended.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--as", "merged"], "SFT 1 has left no adapter yet"),
        (["--as", "gguf"], "--as gguf: choose one of adapter,"),
        (["--as", "merged", "--dtype", "int4"], "--dtype int4: choose fp32 or bf16"),
        (["--as", "csv", "--head", "2"], "A head can be chosen for a reward model alone"),
    ],
)
def test_what_cannot_be_is_said(lab: Lab, project: Path, tmp_path: Path, options: list[str], said: str) -> None:
    ended = lab("export-run", "sft-1", "out", *options, "--project", project, "--json")
    assert ended.returncode == 1
    assert said in last_object(ended)["error"]
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over(lab: Lab, project: Path, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear Ada")
    for form in ("csv", "png"):
        ended = lab("export-run", "sft-1", "letter", "--as", form, "--project", project)
        assert "is there already, and nothing is written over" in ended.stderr
    assert (tmp_path / "letter").read_text() == "Dear Ada"
