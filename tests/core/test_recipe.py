"""Recipes: what a file may say, in words where it cannot run, and which runs come out of it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlhf_lab.core.config_toml import read_toml
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.recipe import Place, Recipe, RecipeStage, Sweep, expand
from rlhf_lab.core.recipe_toml import EXAMPLE, bundled_recipe, changed, is_recipe, parse_recipe, render_recipe

CHAIN = """
[stages.sft]
dataset = "talks"
[stages.reward]
start_from = "sft"
dataset = "pairs"
[stages.second]
stage = "ppo"
start_from = "sft"
reward_model = "reward"
dataset = "talks"
"""
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
value = st.floats(0, 1) | st.integers(0, 50)


def recipe(toml: str) -> Recipe:
    return parse_recipe(read_toml(toml))


def test_the_example_is_a_recipe_and_its_sweep_too() -> None:
    assert is_recipe(read_toml(EXAMPLE))
    assert [step.key for step in expand(recipe(EXAMPLE))] == ["sft", "reward", "ppo"]
    head, sweep = EXAMPLE.split("# [sweep]")
    swept = recipe(f"{head}[sweep]{sweep.replace('# ', '')}")
    assert len(expand(swept)) == 3 + 3 + 6


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=text,
    on_failure=st.sampled_from(["stop", "continue"]),
    defaults=st.dictionaries(st.sampled_from(["seed", "batch_size"]), st.integers(1, 9)),
    title=text,
    about=text,
    dataset=text,
    note=text,
    kl=st.lists(value, min_size=1, max_size=4, unique_by=repr),
    seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
    start=st.sampled_from(["first", "sft-12"]),
)
def test_any_recipe_survives_toml(name, on_failure, defaults, title, about, dataset, note, kl, seeds, start) -> None:
    made = Recipe(
        name=name,
        on_failure=on_failure,
        defaults=defaults,
        stages={
            "first": RecipeStage(title=title, settings={"stage": "sft", "dataset": dataset}),
            "ppo": RecipeStage(about=about, settings={"stage": "ppo", "start_from": start, "note": note}),
        },
        sweep=Sweep(fields={"ppo.kl_coef": tuple(kl), "seed": tuple(seeds)}),
    )
    again = recipe(render_recipe(made))
    assert again == made
    assert [step.digest for step in expand(again)] == [step.digest for step in expand(made)]


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[stages.ppo]\nkl_coef = -1", "ppo: kl_coef: Input should be greater than or equal to 0 (it is -1)"),
        ("[stages.ppo]\nbeta = 1", "ppo: beta: there is no such setting"),
        ("[stages.second]\nkl_coef = 1", "second: stage: it must be one of sft, reward, ppo"),
        ("[stages.sft]\nbatch_size = [1, 2]", "sft: batch_size: a setting is a text, a finite number, true or false"),
        ("[stages.sft]\nlearning_rate = inf", "sft: learning_rate: a setting is a text, a finite number"),
        ('[stages.ppo]\nstart_from = "sft"', "ppo: start_from: there is no stage 'sft' in this recipe"),
        ('[stages.ppo]\nstart_from = "sft"\n[stages.sft]', "ppo: start_from: sft must stand before ppo"),
        (
            '[stages.sft]\n[stages.ppo]\nreward_model = "sft"',
            "ppo: reward_model: sft is a sft stage, it must be reward",
        ),
        (
            '[stages.sft]\nmodel = "a/b"\n[stages.dpo]\nstart_from = "sft"',
            "dpo: model: it starts from sft, whose base is 'a/b', and names 'bundled'",
        ),
        ("[stages.a-b]\n", "stages: 'a-b': a name is letters, digits and _"),
        ("[stages]\nsft = 3", "stages: sft must be a table"),
        ("[stages]\n", "a recipe has 1 to 50 stages"),
        ('on_failure = "wait"\n[stages.sft]', "on_failure: Input should be 'stop' or 'continue'"),
        ("[defaults]\nkl_coef = 1\n[stages.sft]", "defaults: kl_coef: no stage takes such a setting"),
        ("[stages.sft]\n[sweep]\nkl_coef = [1]", "sweep: kl_coef: no stage of this recipe has such a setting"),
        ("[stages.sft]\n[sweep]\nsft.seed = [1]", "quote a name with a dot in it"),
        ("[stages.sft]\n[sweep]\nlearning_rate = [nan]", "sweep: learning_rate: a setting is a text, a finite number"),
        (f"[stages.sft]\n[sweep]\nseed = [0x{'f' * 8000}]", "sweep: seed: a setting is a text, a finite number"),
        ("[defaults]\nseed = [1]\n[stages.sft]", "defaults: seed: a setting is a text, a finite number"),
        ("[stages.sft]\n[sweep]\nseed = []", "seed: give at least one value"),
        ("[stages.sft]\n[sweep]\nseed = [1, 1]", "seed: a value stands there twice"),
        ('[stages.sft]\n[sweep]\ncombine = "list"\nseed = [1]\nlora_r = [1, 2]', "seed has 1, lora_r has 2"),
        ('stage = "ppo"\n[sweep]\nkl_coef = [0.1, -1]', "ppo, kl_coef -1: kl_coef: Input should be greater"),
        (f'stage = "sft"\n[sweep]\nseed = {list(range(1001))}', "more than 1,000 runs"),
    ],
)
def test_what_cannot_run_is_said_with_stage_and_field(toml: str, words: str) -> None:
    with pytest.raises(LabError) as caught:
        recipe(toml)
    assert words in str(caught.value)


def test_stages_refer_to_each_other_by_name_and_to_runs_by_id() -> None:
    *_, ppo = expand(recipe(CHAIN))
    assert dict(ppo.needs) == {"start_from": "sft", "reward_model": "reward"}
    config = ppo.config({"sft": "sft-4", "reward": "reward-9"})
    assert (config.stage, config.start_from, config.reward_model) == ("ppo", "sft-4", "reward-9")
    [alone] = expand(recipe('[stages.dpo]\nstart_from = "sft-4"'))
    assert (alone.needs, alone.config({}).start_from) == ({}, "sft-4")


def test_a_sweep_repeats_what_depends_on_it_and_shares_the_rest() -> None:
    swept = recipe(CHAIN + '[sweep]\n"second.kl_coef" = [0.1, 0.2]\nseed = [0, 1]\n')
    steps = {step.key: step for step in expand(swept)}
    assert list(steps)[:3] == ["sft, seed 0", "reward, seed 0", "second, second.kl_coef 0.1, seed 0"]
    assert len(steps) == 2 + 2 + 4
    one = steps["second, second.kl_coef 0.2, seed 1"]
    assert dict(one.needs) == {"start_from": "sft, seed 1", "reward_model": "reward, seed 1"}
    config = one.config({"sft, seed 1": "sft-2", "reward, seed 1": "reward-2"})
    assert (config.kl_coef, config.seed, config.start_from) == (0.2, 1, "sft-2")
    below = expand(recipe(CHAIN + '[sweep]\n"sft.lora_r" = [4, 8]\n'))
    assert [step.key for step in below if step.stage == "second"] == ["second, sft.lora_r 4", "second, sft.lora_r 8"]
    assert len({step.digest for step in below}) == 6


def test_as_a_list_values_go_together() -> None:
    toml = 'stage = "sft"\ndataset = "talks"\n[sweep]\ncombine = "list"\nlora_r = [4, 8]\nlora_alpha = [8, 16]\n'
    found = recipe(toml)
    assert [dict(step.varied) for step in expand(found)] == [
        {"lora_r": 4, "lora_alpha": 8},
        {"lora_r": 8, "lora_alpha": 16},
    ]
    assert found.on_failure == "continue"


def test_a_digest_is_of_settings_and_grounds_not_of_words() -> None:
    plain = {step.stage: step.digest for step in expand(recipe(CHAIN))}
    told = {
        step.stage: step.digest for step in expand(recipe(CHAIN.replace("[stages.sft]", '[stages.sft]\ntitle="x"')))
    }
    assert told == plain
    other = {step.stage: step.digest for step in expand(recipe(CHAIN + "kl_coef = 0.2"))}
    assert (other["sft"], other["reward"]) == (plain["sft"], plain["reward"])
    assert other["second"] != plain["second"]
    below = {step.stage: step.digest for step in expand(recipe(CHAIN).changed({"sft.seed": 1}))}
    assert not set(below.values()) & set(plain.values())


def test_settings_and_sweeps_from_outside() -> None:
    found = changed(recipe(CHAIN), {"seed": 3, "second.updates": 5}, {"kl_coef": [0.1, 0.2]})
    assert {step.config({"sft": "sft-1", "reward": "reward-1"}).seed for step in expand(found)} == {3}
    assert [step.key for step in expand(found)][2:] == ["second, kl_coef 0.1", "second, kl_coef 0.2"]
    for changes, sweep, words in (
        ({"sft.kl_coef": 1}, {}, "sft.kl_coef: no stage of this recipe has such a setting."),
        ({"seed": -1}, {}, "sft: seed: Input should be greater than or equal to 0 (it is -1)."),
        ({}, {"lora_r": [[4], 8]}, "sweep: lora_r: a setting is a text, a finite number"),
        ({}, {"lora_r": [0]}, "sft, lora_r 0: lora_r: Input should be greater"),
    ):
        with pytest.raises(LabError) as caught:
            changed(recipe(CHAIN), changes, sweep)
        assert words in str(caught.value)


def test_a_sweep_from_outside_joins_the_one_of_the_file_in_its_way() -> None:
    own = recipe('stage = "sft"\ndataset = "talks"\n[sweep]\ncombine = "list"\nlora_r = [4, 8]\n')
    assert len(expand(changed(own, {}, {"lora_alpha": [8, 16]}))) == 2
    assert len(expand(changed(own, {}, {"lora_alpha": [8, 16]}, "grid"))) == 4
    with pytest.raises(LabError, match="lora_r has 2, seed has 3"):
        changed(own, {}, {"seed": [0, 1, 2]})


def test_the_guided_recipe_is_three_stages_with_a_sentence_each() -> None:
    guided = bundled_recipe("guided")
    assert list(guided.stages) == ["sft", "reward", "ppo"]
    assert all(stage.title and stage.about.endswith(".") for stage in guided.stages.values())


def test_a_place_survives_json_and_what_a_later_version_adds() -> None:
    place = Place(group="g", recipe="r", step="ppo, seed 1", stage="ppo", digest="ab", varied={"seed": 1, "x": 0.5})
    assert Place.model_validate_json(place.model_dump_json()[:-1] + ', "later": 1}') == place
