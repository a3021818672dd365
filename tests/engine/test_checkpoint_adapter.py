"""The adapter inside a checkpoint is the one that the run would have left."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rlhf_lab.core.config import PpoConfig, RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import adapters, checkpoint_adapter
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.parts import Parts
from tests.engine.conftest import ON_POLICY, demonstrations
from tests.engine.stage_runs import parts, run
from tests.engine.test_sft import CONFIG as SFT

PPO = PpoConfig(**(ON_POLICY | {"value_learning_rate": 3e-3}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run of each stage is kept, trained once."""
    return tmp_path_factory.mktemp("finished")


@pytest.fixture(params=[SFT, PPO], ids=lambda config: config.stage)
def trained(
    request: pytest.FixtureRequest, finished: Path, given: Callable[..., Parts], tiny_model: Path, tmp_path: Path
) -> Path:
    """The folder of a finished run, with its config; the test's own."""
    config: RunConfig = request.param
    kept = finished / config.stage
    if not kept.exists():
        with_parts = given() if config is PPO else parts(tmp_path / "run", tiny_model, demonstrations())
        (with_parts.folder / "config.json").write_text(config.model_dump_json())
        run(config, with_parts)
        with_parts.folder.rename(kept)
    return Path(shutil.copytree(kept, tmp_path / "run"))


def last_save(folder: Path) -> Path:
    return max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name.partition("-")[2]))


def test_the_last_save_holds_what_the_run_left(trained: Path, load: Callable[..., Backbone]) -> None:
    place = last_save(trained)
    assert checkpoint_adapter.is_checkpoint(place)
    assert not checkpoint_adapter.is_checkpoint(trained / "adapter")
    saved, left = checkpoint_adapter.read(place), adapters.read(trained / "adapter")
    assert (saved.r, saved.alpha, saved.scale) == (left.r, left.alpha, left.scale)
    assert saved.layers.keys() == left.layers.keys()
    for name, (a, b) in left.layers.items():
        assert torch.equal(saved.layers[name][0], a)
        assert torch.equal(saved.layers[name][1], b)
    backbone = load()
    backbone.load_adapter("saved", place)
    backbone.load_adapter("left", trained / "adapter")
    ids, mask = torch.tensor([[5, 20, 33, 60]]), torch.ones(1, 4, dtype=torch.long)
    saved_says, left_says, base_says = (backbone.hidden(ids, mask, name) for name in ("saved", "left", None))
    assert torch.equal(saved_says, left_says)
    assert not torch.equal(saved_says, base_says)


def test_an_earlier_save_is_another_model(trained: Path) -> None:
    earlier = min((trained / "checkpoints").iterdir(), key=lambda path: int(path.name.partition("-")[2]))
    first, last = checkpoint_adapter.read(earlier), checkpoint_adapter.read(last_save(trained))
    assert any(not torch.equal(first.layers[name][1], b) for name, (_, b) in last.layers.items())


@pytest.mark.parametrize("trained", [SFT], indirect=True)
def test_what_was_changed_lost_or_of_another_base_is_refused_in_words(
    trained: Path, load: Callable[..., Backbone], tmp_path: Path
) -> None:
    place = last_save(trained)
    with pytest.raises(LabError, match=r"There is no step-99 of run any more.*newest 2 saves"):
        checkpoint_adapter.read(place.with_name("step-99"))
    other = load()
    with torch.no_grad():
        other.model.get_input_embeddings().weight.add_(1)
    other.__dict__["base_hash"] = "another"
    with pytest.raises(LabError, match="trained on other weights"):
        other.load_adapter("saved", place)
    config = (trained / "config.json").read_text()
    (trained / "config.json").write_text("{}")
    with pytest.raises(LabError, match="step-6 of run cannot be used"):
        checkpoint_adapter.read(place)
    (trained / "config.json").write_text(config)
    tensors = place / "tensors.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(content)
    with pytest.raises(LabError, match=r"tensors\.safetensors was changed or cut short"):
        checkpoint_adapter.read(place)
