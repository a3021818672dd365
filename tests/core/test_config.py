"""Configs: one declaration, from which TOML, errors in words, defaults and the README's table follow."""

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from rlhf_lab.core.config import (
    CONFIG,
    STAGES,
    UNUSED,
    PpoConfig,
    RewardConfig,
    SftConfig,
    is_basic,
    steps_in_words,
    total_steps,
)
from rlhf_lab.core.config_toml import default_toml, parse_config, parse_toml, read_toml, render_toml
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import run_title, so_many
from rlhf_lab.core.reference import config_reference


@pytest.mark.parametrize("stage", STAGES)
def test_the_default_toml_is_the_default_config_and_explains_each_field(stage: str) -> None:
    text = default_toml(stage)
    assert parse_toml(text) == STAGES[stage]()
    for name, field in STAGES[stage].model_fields.items():
        used = name not in UNUSED.get(stage, ())
        explained = f"\n# {field.title}: {field.description}\n" in text and f"\n{name} = " in text.replace("\n# ", "\n")
        assert name == "stage" or explained == used


@given(
    st.builds(
        PpoConfig,
        dataset=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
        note=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
        start_from=st.none() | st.just("sft-1"),
        reward_model=st.none() | st.just("reward-2"),
        kl_coef=st.floats(0, 100),
        learning_rate=st.floats(1e-12, 1),
        seed=st.integers(0, 2**31 - 1),
        adaptive_kl=st.booleans(),
    )
)
def test_any_config_survives_toml_and_json(config: PpoConfig) -> None:
    assert parse_toml(render_toml(config)) == config
    assert CONFIG.validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stage = ", "not valid TOML"),
        ("", "stage must be one of sft, reward, ppo, rloo, dpo, best_of_n, not None"),
        ('stage = "rlhf"', "not 'rlhf'"),
        ('stage = "sft"\nseed = -1', "seed: Input should be greater than or equal to 0 (it is -1)"),
        ('stage = "sft"\nlearning_rate = nan', "learning_rate"),
        ('stage = "sft"\nupdates = 3', "updates: there is no such setting"),
        ('stage = "sft"\nbatch_size = "many"', "(it is 'many')"),
        ('stage = "ppo"\nbatch_size = 2\nminibatches = 3', "minibatches (3) must not exceed batch_size (2)"),
    ],
)
def test_what_is_wrong_is_said_in_words(text: str, words: str) -> None:
    with pytest.raises(LabError) as error:
        parse_toml(text, "my.toml")
    assert "my.toml" in str(error.value)
    assert words in str(error.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(LabError, match=r"seed.*; .*lora_r"):
        parse_config({"stage": "sft", "seed": -1, "lora_r": 0})


def test_plain_values_are_read_without_being_judged() -> None:
    assert read_toml('stage = "sft"\nseed = -1') == {"stage": "sft", "seed": -1}


@pytest.mark.parametrize("model", STAGES.values())
def test_every_field_has_a_label_a_help_and_finite_numbers(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        if name != "stage":
            assert field.title, name
            assert field.description, name
        if isinstance(field.default, float):
            assert math.isfinite(field.default), name


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SftConfig().seed = 1  # type: ignore[misc]


def test_steps_are_updates_for_ppo() -> None:
    assert [total_steps(c) for c in (SftConfig(max_steps=3), RewardConfig(max_steps=4), PpoConfig(updates=5))] == [
        3,
        4,
        5,
    ]


def test_a_mark_of_byte_order_before_a_config_is_passed_over() -> None:
    assert parse_toml('\ufeffstage = "sft"\r\nseed = 3\r\n').seed == 3


def test_basic_fields_come_first_in_the_toml() -> None:
    names = list(tomllib.loads(render_toml(PpoConfig(start_from="a", reward_model="b"))))[1:]
    basic = [is_basic(name, PpoConfig) for name in names]
    assert basic == sorted(basic, reverse=True)
    assert is_basic("kl_coef", PpoConfig)
    assert not is_basic("gamma", PpoConfig)


def test_the_reference_names_every_setting_with_its_bounds() -> None:
    table = config_reference()
    for model in STAGES.values():
        assert all(f"| `{name}` |" in table for name in model.model_fields if name != "stage")
    assert "| `gae_lambda` | `0.95` | number, ≥ 0, ≤ 1 | GAE λ. " in table
    assert '| `dtype` | `"fp32"` | `"fp32"`, `"bf16"`, `"auto"` |' in table
    assert table.count("`seed`") == 1


def test_counts_of_steps_are_said_as_people_say_them() -> None:
    assert [steps_in_words(stage, 1) for stage in STAGES] == [
        "1 step",
        "1 step",
        "1 update",
        "1 update",
        "1 step",
        "1 batch",
    ]
    assert [steps_in_words("ppo", 2000), steps_in_words("best_of_n", 3)] == ["2,000 updates", "3 batches"]
    assert [so_many(count, "run") for count in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]


@pytest.mark.parametrize(
    ("run", "title"),
    [("ppo-3", "PPO 3"), ("best_of_n-12", "Best of n 12"), ("my-model", "my-model"), ("bundled", "bundled"), ("", "")],
)
def test_a_run_is_called_by_its_stage_and_number_and_nothing_else_is(run: str, title: str) -> None:
    assert run_title(run) == title
