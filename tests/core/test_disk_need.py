"""The estimate of the disk: by hand, and too little in words."""

import pytest

from rlhf_lab.core.config import BestOfNConfig, PpoConfig, RunConfig, SftConfig
from rlhf_lab.core.disk_need import disk_need, in_words, save_bytes
from tests.core.test_memory import SMOL

ONE = 4 * 16 * 30 * SMOL.in_and_out


@pytest.mark.parametrize(
    ("config", "save"),
    [
        (SftConfig(lora_r=16), 3 * ONE),
        (SftConfig(lora_r=16, lora_layers=0.5), 3 * ONE // 2),
        (PpoConfig(lora_r=16), 6 * ONE),
        (BestOfNConfig(), 0),
    ],
)
def test_a_save_holds_weights_and_both_moments_of_what_is_trained(config: RunConfig, save: int) -> None:
    assert save_bytes(config, SMOL) == save
    assert (
        disk_need(config, SMOL, 1000)
        == 3 * save + (0 if not save else save // (6 if config.stage == "ppo" else 3)) + 1000
    )


def test_too_little_room_is_said_with_what_would_help() -> None:
    config = PpoConfig(lora_r=16)
    assert "too little: make room there" in in_words(config, SMOL, 0, 10 * 2**20)
    assert "too little" not in in_words(config, SMOL, 0, 10 * 2**30)
    assert "2 saves of" in in_words(config, SMOL, 0, 10 * 2**30)
    assert "saves" not in in_words(BestOfNConfig(), SMOL, 0, 10 * 2**30)
