"""The list of models: what each is, how large, who uses it, and what can be removed."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import run_title
from rlhf_lab.core.resources import resource
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.hub import hub_cache, hub_folder
from rlhf_lab.runs.model_facts import ModelFacts, facts_of
from rlhf_lab.runs.model_shelf import (
    Shelved,
    add_folder,
    count_in_words,
    find,
    in_words,
    removal,
    remove,
    shelf,
    usable_names,
)
from rlhf_lab.runs.plan import model_reasons
from rlhf_lab.runs.project import Project


def fill(folder: Path, kind: str = "llama", dtype: torch.dtype = torch.bfloat16) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    save_file({"a": torch.zeros(3, 4, dtype=dtype), "b": torch.zeros(2, dtype=dtype)}, folder / "model.safetensors")
    return folder


def downloaded(name: str, kind: str = "llama") -> Path:
    place = hub_folder(name)
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc123")
    fill(place / "snapshots" / "abc123", kind)
    return place


def test_a_download_that_is_not_whole_says_what_it_lacks(project: Project) -> None:
    name = "someone/some-model"
    version = downloaded(name) / "snapshots" / "abc123"
    assert model_reasons(name) == []
    (version / "model.safetensors").rename(version / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (version / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (lacks,) = model_reasons(name)
    assert "model: downloaded only in part: model-00002-of-00002.safetensors is missing" in lacks
    assert "rlhf-lab models download someone/some-model" in lacks
    (shelved,) = (model for model in shelf(project) if model.kind == "hub")
    assert shelved.quick_problem.startswith("Downloaded only in part: ")
    fill(version / "rest")
    (version / "rest" / "model.safetensors").rename(version / "model-00002-of-00002.safetensors")
    assert model_reasons(name) == []
    for lost in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        (version / lost).unlink()
    (version / "model.safetensors.index.json").write_text("[]")
    assert "model.safetensors is missing" in "".join(model_reasons(name))
    (version / "pytorch_model.bin").write_bytes(b"pickle")
    assert "has no .safetensors file; other weight files are refused" in "".join(model_reasons(name))
    (version / "pytorch_model.bin").unlink()
    (version / "config.json").unlink()
    assert "config.json is missing" in "".join(model_reasons(name))
    (hub_folder(name) / "refs" / "main").unlink()
    assert "downloaded only in part. Go on" in "".join(model_reasons(name))


def by_title(project: Project) -> dict[str, Shelved]:
    return {model.title: model for model in shelf(project)}


def test_what_a_folder_says_of_itself(tmp_path: Path) -> None:
    assert facts_of(fill(tmp_path / "one")) == ModelFacts("llama", 14, "bf16")
    assert facts_of(tmp_path / "none") == ModelFacts()
    bundled = facts_of(resource("model"))
    assert (bundled.architecture, bundled.dtype) == ("llama", "bf16")
    assert 2e6 < bundled.parameters < 3e6


@pytest.mark.parametrize(
    "header", [b"", b"\xff" * 8, b"\x02\x00\x00\x00\x00\x00\x00\x00[]", b"\x05\x00\x00\x00\x00\x00\x00\x00{}"]
)
def test_damaged_weights_say_nothing(tmp_path: Path, header: bytes) -> None:
    folder = fill(tmp_path / "one")
    (folder / "model.safetensors").write_bytes(header)
    assert facts_of(folder) == ModelFacts("llama", 0, "")


def test_all_kinds_are_listed_with_who_uses_them(
    project: Project, new_run: Callable[..., RunFolder], model: str, tmp_path: Path
) -> None:
    fill(project.models_folder / "tiny-0123")
    downloaded("someone/some-model")
    downloaded("someone/strange", "sorcerer")
    mine = add_folder(project, fill(tmp_path / "mine", dtype=torch.float32))
    run = new_run("done")
    run.adapter.mkdir()
    (run.adapter / "adapter_config.json").write_text('{"r": 8}')
    save_file({"x": torch.zeros(5)}, run.adapter / "adapter_model.safetensors")
    project.create_run(PpoConfig(dataset="talks", model=model, start_from="sft-1", length_weight=1.0))
    found = by_title(project)
    assert {title: one.kind for title, one in found.items()} == {
        "bundled": "bundled",
        "tiny-0123": "import",
        "mine": "folder",
        "model": "folder",
        "someone/some-model": "hub",
        "someone/strange": "hub",
        "sft-1": "run",
    }
    assert found["model"].used_by == ("sft-1", "ppo-1")
    assert found["sft-1"].used_by == ("ppo-1",)
    assert found["sft-1"].facts == ModelFacts("LoRA, rank 8", 5, "fp32")
    assert found["mine"].name == mine
    assert "sorcerer" in found["someone/strange"].quick_problem
    assert found["someone/some-model"].quick_problem == ""
    assert (
        found["someone/some-model"].bytes
        >= found["someone/some-model"].folder.joinpath("model.safetensors").stat().st_size
    )
    names = usable_names(project)
    assert {"bundled", mine, "someone/some-model"} <= set(names)
    assert "someone/strange" not in names
    cells = in_words(found["mine"], "")
    assert cells == ["mine", "folder", "llama", "0.0 K", "fp32", cells[5], "–", "can be used"]
    assert [in_words(found[title])[6] for title in ("model", "sft-1")] == ["sft-1 and 1 more", "ppo-1"]
    called = in_words(found["sft-1"], run_called=run_title)
    assert (called[0], called[6]) == ("SFT 1", "PPO 1")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"XDG_CACHE_HOME": "~/elsewhere"},
        {"HF_HOME": "/far/$USER", "XDG_CACHE_HOME": "/near"},
        {"HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/far"},
        {"HF_HUB_CACHE": "~/new", "HUGGINGFACE_HUB_CACHE": "/old"},
        {"HF_HOME": "~nobody-of-this-name/there"},
    ],
)
def test_downloads_are_looked_for_where_the_hubs_own_library_puts_them(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str]
) -> None:
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (said | {"USER": "someone"}).items():
        monkeypatch.setenv(name, value)
    assert str(hub_cache()) == runpy.run_path(constants.__file__)["HF_HUB_CACHE"]


def test_a_cache_that_cannot_be_looked_into_is_an_empty_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "/" + 300 * "x")
    assert set(by_title(project)) == {"bundled"}
    assert usable_names(project) == ["bundled"]


def test_a_folder_that_is_no_model_is_not_added(project: Project, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is no folder"):
        add_folder(project, tmp_path / "none")
    with pytest.raises(LabError, match=r"no config\.json"):
        add_folder(project, tmp_path)
    with pytest.raises(LabError, match="is of type 'sorcerer'"):
        add_folder(project, fill(tmp_path / "strange", "sorcerer"))


def test_a_folder_is_taken_off_the_list_and_stays_on_the_disk(project: Project, tmp_path: Path) -> None:
    folder = fill(tmp_path / "mine")
    add_folder(project, folder)
    add_folder(project, folder)
    model = find(project, "mine")
    assert "Its files stay" in removal(project, model)
    remove(project, model)
    assert folder.is_dir()
    assert "mine" not in by_title(project)
    with pytest.raises(LabError, match="No model is called 'mine'"):
        find(project, "mine")


def test_files_of_imports_and_downloads_are_deleted(project: Project) -> None:
    imported, place = fill(project.models_folder / "tiny-0123"), downloaded("someone/some-model")
    assert "cache is shared: other projects and programs" in removal(project, find(project, "someone/some-model"))
    assert removal(project, find(project, "tiny-0123")).endswith("Whether other projects use it is not looked at.")
    for title in ("tiny-0123", "someone/some-model"):
        remove(project, find(project, title))
    assert not imported.exists()
    assert not place.exists()


def test_what_is_needed_cannot_be_removed(
    project: Project, new_run: Callable[..., RunFolder], model: str, tmp_path: Path
) -> None:
    imported = fill(project.models_folder / "tiny-0123")
    with pytest.raises(LabError, match="comes with the lab"):
        removal(project, find(project, "bundled"))
    run = new_run("waits")
    with pytest.raises(LabError, match="SFT 1 trains on model or waits for it"):
        removal(project, find(project, model))
    project.store.set_run_state(run.run, "stopped")
    with pytest.raises(LabError, match="as long as they are in the project"):
        removal(project, find(project, model))
    listed = find(project, "tiny-0123")
    project.create_run(run.config.model_copy(update={"model": str(imported)}))
    with pytest.raises(LabError, match="SFT 2 trains on tiny-0123 or waits for it"):
        remove(project, listed)
    assert imported.is_dir()
    project.store.set_run_state("sft-2", "stopped")
    assert "SFT 2 stands on it" in removal(project, find(project, "tiny-0123"))


@pytest.mark.parametrize(
    ("number", "words"), [(0, "–"), (5000, "5.0 K"), (134_515_008, "134.5 M"), (7_241_732_096, "7.24 B")]
)
def test_counts_in_words(number: int, words: str) -> None:
    assert count_in_words(number) == words
