"""The micro-batch of a run that leaves it to the machine."""

from pathlib import Path

import torch

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.lengths import FULL
from rlhf_lab.core.memory import Shape, estimate
from rlhf_lab.core.small_files import read_json
from rlhf_lab.engine.machine import free_memory
from rlhf_lab.engine.sized import USUAL, sized

CPU = torch.device("cpu")
ASKED = SftConfig(batch_size=16, micro_batch_size=0, device="cpu")


def test_it_takes_what_fits_on_any_device(tiny_model: Path) -> None:
    shape = Shape.of(read_json(tiny_model / "config.json"))
    for device in (CPU, torch.device("cuda")):
        four = estimate(ASKED.model_copy(update={"micro_batch_size": 4}), shape, cpu=device == CPU).total
        assert sized(ASKED, tiny_model, FULL, device, int(four / 0.8) + 2).micro_batch_size == 4
        assert sized(ASKED, tiny_model, FULL, device, 2**50).micro_batch_size == 16
    own = ASKED.model_copy(update={"micro_batch_size": 3, "gradient_checkpointing": "off"})
    assert sized(own, tiny_model, FULL, CPU, 0) == own


def test_a_model_that_names_no_sizes_gets_the_usual_one(tmp_path: Path) -> None:
    for content in ("{}", "[]"):
        (tmp_path / "config.json").write_text(content)
        assert sized(ASKED, tmp_path, FULL, CPU, 2**50).micro_batch_size == USUAL
    assert sized(ASKED, tmp_path / "none", FULL, CPU, 2**50).micro_batch_size == USUAL


def test_free_memory_is_that_of_this_machine() -> None:
    assert 2**24 < free_memory(CPU) < 2**50
