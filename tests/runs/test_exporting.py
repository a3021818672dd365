"""Exporting what a run left: whole or not at all, never over anything, in words where it cannot be."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf_lab.core.config import BestOfNConfig, DpoConfig, SftConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Finished, Metrics, Started
from rlhf_lab.runs.export_child import in_words, require_room
from rlhf_lab.runs.exporting import ENTRY, ExportCancelled, Wish, check, export_run, offers
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.log import EventLog
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter

SAYS = "import json, sys, os; out = lambda **said: print(json.dumps(said), flush=True); "


def child(code: str) -> tuple[str, ...]:
    """A child that behaves so; its folder is the last argument."""
    return (sys.executable, "-c", SAYS + code)


WRITES = child(
    "sys.stdin.readline(); open(os.path.join(sys.argv[-1], 'model'), 'w').write('weights'); out(kind='done', notes=['x'])"
)


@pytest.fixture
def run(project: Project, new_run: Callable[..., RunFolder]) -> RunFolder:
    """A run with a result, as far as can be seen from outside."""
    folder = new_run("")
    leave_adapter(folder)
    with EventLog(folder.events_path, 1) as log:
        log.append(Started(device="cpu, fp32, 1 thread"))
        log.append(Metrics(step=1, values={"train/loss": 0.5}))
        log.append(Finished(step=1, outcome="done"))
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where to; the folder it is in does not exist yet."""
    return tmp_path / "out" / "mine"


def left(place: Path) -> list[str]:
    """What lies where the export was to go."""
    return sorted(found.name for found in place.parent.iterdir()) if place.parent.exists() else []


def test_what_is_whole_is_put_in_its_place(run: RunFolder, place: Path) -> None:
    done = export_run(Wish(run=run.path, form="merged", place=place), entry=WRITES)
    assert (done.place, done.bytes, done.notes) == (place, len("weights"), ("x",))
    assert left(place) == ["mine"]
    assert (place / "model").read_text() == "weights"


def test_nobody_else_can_read_it(run: RunFolder, place: Path) -> None:
    export_run(Wish(run=run.path, form="merged", place=place), entry=WRITES)
    assert os.name == "nt" or place.stat().st_mode & 0o077 == 0


def test_an_empty_folder_may_wait_for_it(run: RunFolder, place: Path) -> None:
    place.mkdir(parents=True)
    export_run(Wish(run=run.path, form="merged", place=place), entry=WRITES)
    assert (place / "model").is_file()


@pytest.mark.parametrize("form", ["merged", "csv"])
def test_nothing_is_written_over(run: RunFolder, place: Path, form: str) -> None:
    place.parent.mkdir()
    place.write_text("a letter")
    with pytest.raises(LabError, match="is there already, and nothing is written over"):
        export_run(Wish(run=run.path, form=form, place=place), entry=WRITES)
    assert place.read_text() == "a letter"


def test_what_appears_meanwhile_is_not_written_over(run: RunFolder, place: Path) -> None:
    code = "sys.stdin.readline(); p = {!r}; os.mkdir(p); open(p + '/letter', 'w').close(); out(kind='done', notes=[])"
    with pytest.raises(LabError, match="is there already"):
        export_run(Wish(run=run.path, form="merged", place=place), entry=child(code.format(str(place))))
    assert left(place) == ["mine"]
    assert [file.name for file in place.iterdir()] == ["letter"]


def test_a_cancelled_export_leaves_nothing(run: RunFolder, place: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    waits = child(
        "open(os.path.join(sys.argv[-1], 'half'), 'w').close(); out(kind='progress', what='writing', done=1, total=4); "
        "sys.stdin.read()"
    )
    with pytest.raises(ExportCancelled, match="cancelled"):
        export_run(
            Wish(run=run.path, form="merged", place=place),
            progress=lambda *said: heard.append(said),
            cancelled=lambda: bool(heard),
            entry=waits,
        )
    assert heard == [("writing", 1, 4)]
    assert left(place) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os.kill(os.getpid(), 9)", "was killed.*memory ran out"),
        ("sys.exit(3)", "ended with status 3.*export.log"),
        ("out(kind='error', message='The base is gone.')", "^The base is gone.$"),
    ],
)
def test_an_export_that_fails_says_why_and_leaves_nothing(run: RunFolder, place: Path, code: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        export_run(Wish(run=run.path, form="merged", place=place), entry=child(code))
    assert left(place) == []


def test_a_disk_that_cannot_take_it_is_said(run: RunFolder, place: Path) -> None:
    """The real child, in a process whose files may have 20 bytes; its log is a file too."""
    limited = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)); "
        f"os.execv({ENTRY[0]!r}, [*{ENTRY!r}, sys.argv[-1]])"
    )
    with pytest.raises(LabError, match="takes no file of that size"):
        export_run(Wish(run=run.path, form="csv", place=place), entry=(sys.executable, "-c", limited))
    assert left(place) == []


def test_a_full_disk_is_said_before_and_while_writing(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"needs 1048576\.0 GB, and only .* are free"):
        require_room(tmp_path, 2**50)
    require_room(tmp_path, 1)
    for error in (
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ):
        assert "is full" in in_words(error, tmp_path / "x")


def test_a_place_among_the_runs_is_refused(run: RunFolder) -> None:
    with pytest.raises(LabError, match="lies among the runs"):
        export_run(Wish(run=run.path, form="merged", place=run.path / "mine"), entry=WRITES)


def test_what_cannot_be_exported_says_why(project: Project, run: RunFolder, model: str) -> None:
    def reasons(folder: RunFolder) -> dict[str, str]:
        return {offer.form: offer.reason for offer in offers(folder)}

    assert [form for form, why in reasons(run).items() if why] == ["reward"]
    bare = project.create_run(SftConfig(dataset="talks", model=model))
    assert "has left no adapter yet" in reasons(bare)["merged"]
    best = project.create_run(BestOfNConfig(dataset="talks", model=model, length_weight=1.0))
    assert "trained none" in reasons(best)["adapter"]
    assert reasons(best)["csv"] == ""

    later = project.create_run(DpoConfig(dataset="pairs", model=model, start_from=run.run))
    shutil.copytree(run.adapter, later.adapter)
    assert reasons(later)["merged"] == ""
    assert run.title in next(offer.what for offer in offers(later) if offer.form == "adapter")
    shutil.rmtree(run.adapter)
    assert f"started from {run.title}, whose adapter is gone" in reasons(later)["merged"]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"form": "merged", "head": 2}, "for a reward model alone"),
        ({"form": "adapter", "precision": "bf16"}, "precision can be chosen"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(run: RunFolder, place: Path, wish: dict[str, object], said: str) -> None:
    with pytest.raises(LabError, match=said):
        check(Wish.model_validate({"run": run.path, "place": place, **wish}))


def test_the_real_child_exports_a_model_with_its_card(
    project: Project, place: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from rlhf_lab.core.resources import resource
    from rlhf_lab.engine.backbone import Backbone

    base = tmp_path / "a-base"
    shutil.copytree(resource("model"), base)
    (base / "LICENSE").write_text("Do what you like.")
    folder = project.create_run(SftConfig(dataset="talks", model=str(base), note="for my eyes"))
    backbone = Backbone.load(base, device="cpu")
    backbone.add_adapter("mine", r=2, alpha=4, seed=0)
    backbone.save_adapter("mine", folder.adapter, {"stage": "sft"})
    with EventLog(folder.events_path, 1) as log:
        log.append(Finished(step=1, outcome="done"))
    steps: list[int] = []
    done = export_run(
        Wish(run=folder.path, form="merged", place=place, precision="bf16"),
        progress=lambda what, n, total: steps.append(n),
    )
    files = {file.name for file in place.iterdir()}
    assert files >= {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "README.md",
        "LICENSE",
    }
    assert {"curves.csv", "curves.svg", "generation_config.json"} <= files
    assert json.loads((place / "config.json").read_text())["dtype"] == "bfloat16"
    assert steps == [0, 1, 2, 3, 4]
    assert any("rounded to bf16" in note for note in done.notes)
    text = (place / "README.md").read_text()
    assert "a-base" in text
    assert str(tmp_path) not in text
    assert "for my eyes" not in text

    request.getfixturevalue("warm_children")  # how one starts has been seen
    weights = bytearray((base / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (base / "model.safetensors").write_bytes(weights)
    with pytest.raises(LabError, match="trained on other weights"):
        export_run(Wish(run=folder.path, form="adapter", place=tmp_path / "again"))
    shutil.rmtree(base)
    with pytest.raises(LabError, match="There is no model at"):
        export_run(Wish(run=folder.path, form="adapter", place=tmp_path / "again"))
    assert not [found for found in tmp_path.iterdir() if "again" in found.name]
