from itertools import groupby

import pytest

from rlhf_lab.core.config import STAGES
from rlhf_lab.gui.models.form import FAST_NAME, SECTIONS, check_answers, presets, questions, shown, stepped, title_of


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_is_asked_once_basic_ones_first_then_section_by_section(stage) -> None:
    asked = questions(stage)

    learning = {"learning_rate", "warmup_steps", "max_grad_norm", "lora_r", "lora_alpha", "lora_layers", "eval_every"}
    unused = learning | {"gradient_checkpointing"}
    wanted = set(STAGES[stage].model_fields) - {"stage"} - (unused if stage == "best_of_n" else set())
    assert sorted(q.name for q in asked) == sorted(wanted)
    assert [q.basic for q in asked] == sorted((q.basic for q in asked), reverse=True)
    assert all(q.label and q.help for q in asked if q.name != "note")
    sections = [section for section, _ in groupby(asked, lambda q: q.section)]
    assert sections == ["", *(section for section in SECTIONS if section in sections)]


@pytest.mark.parametrize("stage", STAGES)
def test_no_two_fields_of_a_form_are_called_the_same(stage) -> None:
    labels = [q.label for q in questions(stage)]

    assert len(set(labels)) == len(labels)


def test_a_field_knows_whether_it_is_as_it_was_at_first() -> None:
    by_name = {q.name: q for q in questions("ppo")}

    assert by_name["reward_function"].is_default("")
    assert by_name["temperature"].is_default(" 1.0")
    assert not by_name["temperature"].is_default("0.9")
    assert not by_name["temperature"].is_default("warm")
    assert not by_name["adaptive_kl"].is_default(True)


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_person_would_type_for_the_defaults_gives_the_defaults(stage) -> None:
    typed = {q.name: shown(q.default) if q.kind in ("whole", "real") else q.default for q in questions(stage)}

    config, problems = check_answers(stage, typed)

    assert problems == {}
    assert config == STAGES[stage]()


@pytest.mark.parametrize("stage", STAGES)
def test_presets_are_valid(stage) -> None:
    for values in presets(stage).values():
        assert check_answers(stage, values)[1] == {}


@pytest.mark.parametrize("stage", STAGES)
def test_the_fast_preset_trains_the_top_of_the_defaults(stage) -> None:
    found = presets(stage)
    if stage == "best_of_n":
        assert FAST_NAME not in found
    else:
        assert found[FAST_NAME] == found["Defaults"] | {"lora_layers": 0.33, "dtype": "auto"}


def test_numbers_are_read_as_people_write_them() -> None:
    config, _ = check_answers("sft", {"learning_rate": " 3e-4 ", "max_steps": "1,000", "batch_size": "1e2"})

    assert (config.learning_rate, config.max_steps, config.batch_size) == (3e-4, 1000, 100)


@pytest.mark.parametrize(
    ("field", "answer", "sentence"),
    [
        ("learning_rate", "much", "Enter a number above 0 and at most 1."),
        ("learning_rate", "0", "Enter a number above 0 and at most 1."),
        ("batch_size", "2.5", "Enter a whole number from 1 to 65,536."),
        ("batch_size", "", "Enter a whole number from 1 to 65,536."),
        ("warmup_steps", "-1", "Enter a whole number at least 0."),
        ("temperature", "nan", "Enter a number above 0 and at most 5."),
    ],
)
def test_what_is_wrong_with_a_field_is_a_sentence(field, answer, sentence) -> None:
    config, problems = check_answers("ppo", {field: answer})

    assert config is None
    assert problems == {field: sentence}


def test_what_no_single_field_is_to_blame_for_is_said_too() -> None:
    assert check_answers("ppo", {"batch_size": "4", "minibatches": "8"})[1] == {
        "": "minibatches (8) must not exceed batch_size (4)."
    }


def test_arrow_keys_step_along_round_numbers() -> None:
    by_name = {q.name: q for q in questions("ppo")}

    assert stepped(by_name["learning_rate"], "3e-4", up=True) == "5e-4"
    assert stepped(by_name["learning_rate"], "1e-4", up=False) == "5e-5"
    assert stepped(by_name["batch_size"], "32", up=True) == "33"
    assert stepped(by_name["batch_size"], "many", up=True) == "many"


def test_a_setting_has_the_title_of_its_form_wherever_it_is_named() -> None:
    assert title_of("learning_rate", ["sft"]) == "Learning rate"
    assert title_of("kl_coef", ["sft", "ppo"]) == "KL penalty (β)"
    assert title_of("ppo.kl_coef", ["sft"]) == "ppo: KL penalty (β)"
    assert title_of("of another version", ["sft", "nobody's"]) == "of another version"
