"""What a form says of the disk, and a start that would fill it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlhf_lab.core.config import SftConfig
from rlhf_lab.runs.disk import data_bytes, disk_in_words
from rlhf_lab.runs.project import Project


def test_the_copy_of_the_data_is_foretold(project: Project) -> None:
    folder = project.create_run(SftConfig(dataset="talks"))
    assert data_bytes(project.store, "talks") == folder.data_path.stat().st_size
    assert data_bytes(project.store, "none") == 0


def test_words_where_the_model_is_known(project: Project, tmp_path: Path) -> None:
    assert disk_in_words(SftConfig(dataset="talks"), project.store, tmp_path).startswith("About ")
    assert disk_in_words(SftConfig(dataset="talks", model="some/where"), project.store, tmp_path) == ""


def test_a_run_that_would_fill_the_disk_does_not_start(
    project: Project, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"hidden_size": 2048, "num_attention_heads": 16, "num_hidden_layers": 24, "vocab_size": 50_000}
    (Path(model) / "config.json").write_text(json.dumps(sizes))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=300 << 20))
    assert project.check(SftConfig(dataset="talks", model=model, lora_r=1)) == []
    (reason,) = project.check(SftConfig(dataset="talks", model=model, lora_r=512))
    assert reason.startswith("Only 300 MB are free")
    assert "Delete something there" in reason
