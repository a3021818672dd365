"""The text for a bug report: it has what helps, and nothing that is the person's."""

from pathlib import Path

import pytest

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Completion, Message, Pair, Prompt
from rlhf_lab.runs.diagnostics import checkup, diagnostics
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.project_log import logging_to
from tests.runs.test_project_log import LOG

SECRET = "hf_" + "q" * 30


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "people" / "ada"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    folder = home / "project"
    with Project.open(folder) as project:
        with project.store.new_dataset("patients of Mrs Smith", "lab", "pair") as writer:
            prompt = Prompt(messages=(Message(role="user", content="Who is ill?"),))
            writer.add([Pair(prompt=prompt, chosen=Completion(text="Smith."), rejected=Completion(text="Jones."))])
        key = project.store.page("patients of Mrs Smith")[0].id
        project.store.judge(
            "patients of Mrs Smith", key, Judgement(who="Ada L", when=1.0, verdict="ranked", ranks=(1, 2))
        )
        run = RunFolder(project.runs_folder / "ppo-1")
        run.path.mkdir()
        run.write_config(
            PpoConfig(dataset="patients of Mrs Smith", note="ask Dr Jones", kl_coef=0.3, missing_eos="replace")
        )
        run.child_log_path.write_text(
            f"Traceback (most recent call last):\n  File \"{home}/x.py\", line 3\nKeyError: 'Jones' with {SECRET}\n"
        )
    with logging_to(folder):
        LOG.info("imported %r from %s", "Smith.jsonl", home / "lists" / "Smith.jsonl")
        try:
            int("Smith")
        except ValueError:
            LOG.exception("it fell")
    return folder


def test_it_has_figures_settings_and_logs_but_nothing_of_the_persons(folder: Path) -> None:
    found = {
        "devices": [{"device": "cuda:0", "name": "A GPU, 80 GiB", "bf16": True}],
        "findings": [{"name": "Project folder", "grade": "ok", "text": f"{folder}: 3 GiB free", "todo": ""}],
    }
    text = diagnostics(folder, found)
    for wanted in (
        "device cuda:0: A GPU, 80 GiB, bf16",
        "ok: Project folder: <project>: 3 GiB free",
        "data sets: 1 pair; 1 records",
        "verdicts: 1 of 1 people",
        "ppo-1: attempt 0, kl_coef 0.3, missing_eos replace",
        "it fell",
        "tests/runs/test_diagnostics.py",
        "ValueError: invalid literal for int() with base 10: '…'",
        "KeyError: '…' with <token>",
        "torch 2",
        "PySide6-Essentials 6",
    ):
        assert wanted in text, text
    for unwanted in ("Smith", "Jones", "ada", "Ada", SECRET, str(folder), str(Path.home())):
        assert unwanted not in text, text


def test_a_project_that_is_broken_or_not_there_still_has_diagnostics(folder: Path, tmp_path: Path) -> None:
    (folder / "lab.sqlite").write_bytes(b"scratched" * 1000)
    (folder / "runs" / "ppo-1" / "config.json").write_text("{")
    text = diagnostics(folder, None)
    assert "database: <project>/lab.sqlite is not a database of this lab" in text
    assert "ppo-1: <project>/runs/ppo-1/config.json is damaged" in text
    assert "no answer" in text
    assert "backups: 0" in diagnostics(tmp_path / "nowhere", None)
    assert not (tmp_path / "nowhere").exists()


def test_the_doctor_is_asked_in_a_process_of_its_own(folder: Path) -> None:
    found = checkup(folder)
    assert found is not None
    assert found["project"] == str(folder)
    assert {finding["name"] for finding in found["findings"]} >= {"Python", "Packages", "Devices"}
    assert checkup(folder, seconds=0.01) is None
