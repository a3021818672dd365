"""The estimate of a save against one that was written."""

import json
from collections.abc import Callable

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.disk_need import SAVES_KEPT, adapter_bytes, save_bytes
from rlhf_lab.core.memory import Shape
from rlhf_lab.engine import checkpoint
from rlhf_lab.engine.parts import Parts
from tests.engine.conftest import ON_POLICY
from tests.engine.stage_runs import run


def test_a_save_takes_what_was_foretold(given: Callable[..., Parts]) -> None:
    config = PpoConfig(**(ON_POLICY | {"lora_r": 32, "lora_alpha": 64, "epochs": 1, "value_warm_start": False}))
    parts = given()
    run(config, parts)
    shape = Shape.of(json.loads((parts.model / "config.json").read_text()))
    saves = sorted((parts.folder / "checkpoints").iterdir())
    assert len(saves) == checkpoint.KEEP == SAVES_KEPT
    written = sum(file.stat().st_size for file in saves[0].iterdir())
    assert 1.0 <= written / save_bytes(config, shape) < 1.15  # names and hashes come on top: the model is tiny
    left = sum(file.stat().st_size for file in (parts.folder / "adapter").iterdir())
    assert 1.0 <= left / adapter_bytes(config, shape) < 1.15
