"""The memory estimate: sizes by hand, peaks that were measured, advice that fits."""

import json
from typing import Any

import pytest
from safetensors import safe_open

from rlhf_lab.core.config import STAGES, BestOfNConfig, DpoConfig, PpoConfig, RewardConfig, SftConfig
from rlhf_lab.core.lengths import Lengths
from rlhf_lab.core.memory import Memory, Shape, estimate, in_words, settled, smaller_micro_batch
from rlhf_lab.core.resources import resource

SMOL = Shape.of(
    {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
    }
)
TINY = Shape(width=64, layers=2, vocabulary=100, attention=64, kv=64, mlp=128, gated=True, tied=True)
PPO: dict[str, Any] = {
    "batch_size": 8,
    "micro_batch_size": 8,
    "max_prompt_tokens": 64,
    "max_new_tokens": 32,
    "lora_r": 16,
    "reward_model": "reward-1",
}
ONE_ROW = {"batch_size": 1, "micro_batch_size": 1, "max_prompt_tokens": 512, "max_new_tokens": 512}
PAIRS = {"batch_size": 8, "micro_batch_size": 8, "max_prompt_tokens": 256, "max_new_tokens": 256, "lora_r": 16}
GB = 2**30


def test_the_parameters_of_a_model_are_counted() -> None:
    assert SMOL.parameters == 134_515_008  # as its model card says
    config = json.loads((resource("model") / "config.json").read_text(encoding="utf-8"))
    with safe_open(resource("model") / "model.safetensors", "pt") as file:
        real = sum(_size(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - it is no mapping
    assert Shape.of(config).parameters == real


def test_older_names_in_a_config_are_read() -> None:
    shape = Shape.of({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257})
    assert (shape.mlp, shape.kv, shape.gated) == (3072, 768, False)
    assert shape.parameters == pytest.approx(124_439_808, rel=0.01)  # positions and biases apart


@pytest.mark.parametrize("damaged", [{}, {"hidden_size": "wide"}, {"hidden_size": 8, "num_attention_heads": True}])
def test_a_config_without_sizes_is_refused(damaged: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not say"):
        Shape.of(damaged)


@pytest.mark.parametrize(
    ("config", "measured_mb"),
    [
        # The second of two updates, as speed_ppo.py measured it.
        (PpoConfig(**PPO), 2656),
        (PpoConfig(**PPO, dtype="bf16"), 2093),
        (PpoConfig(**PPO, lora_layers=0.33), 1591),
        (PpoConfig(**PPO, lora_layers=0.33, dtype="bf16"), 1198),
        (SftConfig(**ONE_ROW), 2370),
        (DpoConfig(**PAIRS), 2467),
        (RewardConfig(**PAIRS), 2396),
    ],
)
def test_it_is_within_a_fifth_of_what_was_measured(config: Any, measured_mb: float) -> None:
    """On a CPU, 135M parameters; the benchmark measures anew."""
    assert estimate(config, SMOL).total / 2**20 == pytest.approx(measured_mb, rel=0.2)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_reckoned_and_less_of_anything_is_never_more(stage: Any) -> None:
    usual = STAGES[stage]()
    most = estimate(usual, SMOL)
    assert most.weights == 4 * SMOL.parameters
    assert (most.adapters == 0) is isinstance(usual, BestOfNConfig)
    for change in ({"micro_batch_size": 1}, {"max_new_tokens": 8}, {"lora_layers": 0.1}, {"dtype": "bf16"}):
        # Shorter rows may fill a micro-batch better.
        assert estimate(usual.model_copy(update=change), SMOL).total <= 1.03 * most.total
    assert estimate(usual, SMOL, lengths=Lengths((9,), ((9, 9),))).total < most.total


def test_batches_of_the_data_are_cut_up_as_the_engine_does() -> None:
    settings = {"batch_size": 4, "micro_batch_size": 4, "max_prompt_tokens": 64, "max_new_tokens": 1000}
    config = SftConfig(**settings)
    spread = Lengths((10,) * 4, ((300,), (10,), (10,), (10,)))
    assert spread.rows(config) == [310, 20, 20, 20]
    # The long row goes alone: three short ones beside it would be mostly padding.
    alike = Lengths((10,), ((300,),))
    assert estimate(config, TINY, lengths=spread).learning * 4 == estimate(config, TINY, lengths=alike).learning
    # Limits cut what is longer, and a pair is both of its answers behind one prompt.
    assert Lengths((99,), ((5000, 7),)).rows(config) == [1064]
    assert Lengths((99,), ((5000, 7),)).rows(DpoConfig(**settings)) == [1071]


def test_the_passes_that_are_kept_for_the_first_step_are_reckoned() -> None:
    """Of two adapters and one minibatch as many micro-batches as one may be long; beside small rows more fit."""
    settings = {"batch_size": 4, "micro_batch_size": 2, "max_prompt_tokens": 90, "max_new_tokens": 10}
    config = PpoConfig(**settings, dtype="bf16")  # whose rollouts leave no holes
    spread = Lengths((90, 10, 10, 10), ((10,),))
    alone = estimate(config.model_copy(update={"minibatches": 4}), TINY, lengths=spread).learning
    assert estimate(config, TINY, lengths=Lengths((90,), ((10,),))).learning == pytest.approx(2 * alone, abs=2)
    kept = 100 + 2 * 20 + 20 + 2 * 20  # the policy's three micro-batches, and what else fits into 200 of the critic's
    assert estimate(config, TINY, lengths=spread).learning * 100 == pytest.approx(kept * alone, abs=200)


def test_what_is_sampled_fills_the_cache_as_far_as_answers_are_known_to_go_on() -> None:
    config = PpoConfig(batch_size=3, max_prompt_tokens=10, max_new_tokens=50)
    assert Lengths().cached(config) == 3 * (10 + 50)
    assert Lengths((4,), ((30,), (2,), (2,))).cached(config) == 34  # one row to the end beats three for two tokens
    assert Lengths((4,), ((30,), (2,), (2,))).cached(SftConfig(batch_size=99, max_new_tokens=50)) == 16 * (4 + 50)
    scale = RewardConfig(batch_size=8, micro_batch_size=16, max_prompt_tokens=10, max_new_tokens=50)
    assert Lengths().cached(scale) == 64 * (10 + 50)
    assert Lengths().cached(scale.model_copy(update={"micro_batch_size": 999})) == 256 * (10 + 50)
    assert Lengths().cached(scale.model_copy(update={"normalise": False})) == 0


def test_the_device_decides_what_auto_means() -> None:
    auto = SftConfig(dtype="auto")
    assert estimate(auto, SMOL, bf16=True).weights * 2 == estimate(auto, SMOL, bf16=False).weights


def test_a_micro_batch_on_the_cpu_is_bounded_and_on_a_gpu_it_is_not() -> None:
    large = SftConfig(batch_size=512, micro_batch_size=512)
    assert estimate(large, SMOL).learning < 1.2 * GB
    assert estimate(large, SMOL, cpu=False).learning > 100 * GB


def test_the_micro_batch_that_is_advised_fits_and_the_next_does_not() -> None:
    config = PpoConfig(**PPO, lora_layers=0.33)
    room = estimate(config.model_copy(update={"micro_batch_size": 2}), SMOL).total
    assert smaller_micro_batch(config, SMOL, room) == 2
    assert smaller_micro_batch(config, SMOL, 10 * GB) == 8
    assert smaller_micro_batch(config, SMOL, GB) is None


def test_a_micro_batch_that_is_left_to_the_memory_fits_with_a_fifth_to_spare() -> None:
    config = PpoConfig(**PPO | {"micro_batch_size": 0}, lora_layers=0.33)
    assert estimate(config, SMOL) == estimate(PpoConfig(**PPO, lora_layers=0.33), SMOL)  # all eight of the batch
    two = estimate(config.model_copy(update={"micro_batch_size": 2}), SMOL).total
    assert settled(config, SMOL, two, bf16=False).micro_batch_size == 1
    assert settled(config, SMOL, int(two / 0.8) + 2, bf16=False).micro_batch_size == 2
    assert settled(config, SMOL, 0, bf16=False).micro_batch_size == 1
    own = config.model_copy(update={"micro_batch_size": 7})
    assert settled(own, SMOL, 0, bf16=False).micro_batch_size == 7
    # A GPU keeps whatever a micro-batch needs; no bound of 1 GB cuts it.
    pairs = DpoConfig(**PAIRS | {"micro_batch_size": 0, "batch_size": 64})
    assert settled(pairs, SMOL, 20 * GB, bf16=True, cpu=False).micro_batch_size < 64
    assert settled(pairs, SMOL, 20 * GB, bf16=True).micro_batch_size == 128  # its activations are bounded
    assert settled(pairs, SMOL, 1000 * GB, bf16=True, cpu=False).micro_batch_size == 128


def test_gradients_are_checkpointed_where_not_even_one_row_surely_fits_without() -> None:
    # One that samples nothing: what sampling needs, checkpointing does not lower.
    config = RewardConfig(max_prompt_tokens=2048, max_new_tokens=2048, micro_batch_size=4, normalise=False)
    one = estimate(config.model_copy(update={"micro_batch_size": 1}), SMOL).total
    assert settled(config, SMOL, int(one / 0.8) + 2, bf16=False).gradient_checkpointing == "off"
    lean = settled(config, SMOL, int(one / 0.8) - 2, bf16=False)
    assert lean == config.model_copy(update={"gradient_checkpointing": "on"})
    assert estimate(lean, SMOL).total < 0.75 * one
    for own in ("on", "off"):
        asked = config.model_copy(update={"gradient_checkpointing": own})
        assert settled(asked, SMOL, 0, bf16=False) == asked
    assert settled(BestOfNConfig(), SMOL, 0, bf16=False).gradient_checkpointing == "off"  # it learns nothing


def test_the_words_say_what_to_do() -> None:
    needed = Memory(libraries=0, weights=3 * GB, adapters=0, learning=GB // 2, sampling=0)
    assert in_words(needed, 4 * GB, 8, 8) == "About 3.5 GB of memory; 4.0 GB are free."
    assert in_words(needed, 3 * GB, 2, 8).endswith("That is too little: with micro_batch_size = 2 it fits.")
    assert "choose a smaller model" in in_words(needed, GB // 2, None, 8)
    assert "512 MB are free" in in_words(needed, GB // 2, None, 8)


def _size(shape: list[int]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total
