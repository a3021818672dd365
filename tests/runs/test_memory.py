"""What a form says of memory: words for models that are there, nothing for those whose size is not known."""

import json
from pathlib import Path

import pytest

from rlhf_lab.core.config import PpoConfig, RunConfig, SftConfig
from rlhf_lab.core.lengths import Lengths
from rlhf_lab.core.memory import estimate
from rlhf_lab.core.out_of_memory import LESS_MEMORY, advised_in
from rlhf_lab.core.records import Completion, Demonstration, Message, Pair, Prompt, PromptOnly, dump_record
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.hub import hub_folder
from rlhf_lab.runs.memory import learned_answers, lengths_of, less_memory, memory_in_words, native_bf16, shape_of
from rlhf_lab.runs.project import Project


def test_the_bundled_model_needs_little_and_it_is_said() -> None:
    assert memory_in_words(PpoConfig(device="cpu")).startswith("About ")
    shape = shape_of("bundled")
    assert shape is not None
    assert shape.layers == 4


def test_a_model_that_cannot_fit_is_told_with_what_would_help(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32768, "num_attention_heads": 64, "num_hidden_layers": 400, "vocab_size": 200_000}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    assert "too little: choose a smaller model" in memory_in_words(SftConfig(model=str(tmp_path), device="cpu"))


def test_nothing_is_said_where_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[1, 2]")
    for model in (str(tmp_path), str(tmp_path / "model.gguf"), "someone/some-model", "\0"):
        assert memory_in_words(SftConfig(model=model, device="cpu")) == ""
    assert memory_in_words(SftConfig(device="cuda")) == ""


def test_a_download_is_reckoned_with_as_a_folder_is(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 12, "vocab_size": 100}
    place = hub_folder("someone/some-model")
    for folder in (tmp_path, place / "snapshots" / "abc123"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(sizes))
    assert shape_of("someone/some-model") is None, "it has no version yet"
    assert shape_of("~nobody-of-this-name/model") is None
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc123")
    known = shape_of("someone/some-model")
    assert known is not None
    assert known == shape_of(str(tmp_path))


def test_lengths_are_told_from_texts() -> None:
    asked = Prompt(messages=(Message(role="user", content="x" * 34),))
    pair = Pair(prompt=asked, chosen=Completion(text="y" * 68), rejected=Completion(text=""))
    found = lengths_of([pair, PromptOnly(prompt=asked)])
    assert found == Lengths((14, 14), ((21, 1),))
    assert lengths_of([pair], ((7,),)).answers == ((7,),)


def test_a_form_reckons_with_the_data_that_was_chosen(bundled_data: Path) -> None:
    with Project.open(bundled_data) as project:
        config = SftConfig(
            dataset="lab world demonstrations", device="cpu", batch_size=64, micro_batch_size=64, max_new_tokens=400
        )
        known, full = memory_in_words(config, project.store, project.runs_folder), memory_in_words(config)
        assert size_in(known) < size_in(full) / 1.5
        gone = config.model_copy(update={"dataset": "none such"})
        assert size_in(memory_in_words(gone, project.store, project.runs_folder)) == size_in(full)


def test_sampled_answers_are_taken_to_be_as_those_that_its_start_learned(begun: RunFolder) -> None:
    asked = Prompt(messages=(Message(role="user", content="Hello."),))
    begun.data_path.write_bytes(dump_record(Demonstration(prompt=asked, completion=Completion(text="y" * 340))))
    runs = begun.path.parent
    assert learned_answers(PpoConfig(start_from=begun.run, max_new_tokens=500), runs) == ((101,),)
    assert learned_answers(PpoConfig(max_new_tokens=500), runs) == ((500,),)
    assert learned_answers(PpoConfig(start_from="gone", max_new_tokens=500), runs) == ((500,),)
    assert learned_answers(SftConfig(start_from=begun.run), runs) == ()


def size_in(words: str) -> float:
    number, unit = words.removeprefix("About ").split()[:2]
    return float(number) * (1024 if unit == "GB" else 1)


def test_the_processor_says_whether_it_has_bf16(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: some\nflags\t\t: fpu avx512f avx512_bf16\n")
    assert native_bf16(info)
    info.write_text("flags\t\t: fpu avx512f\n")
    assert not native_bf16(info)
    assert not native_bf16(tmp_path / "none")


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    """A run on a model whose activations are most of what it needs."""
    model, folder = tmp_path / "wide", RunFolder(tmp_path / "sft-1")
    model.mkdir()
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 24, "vocab_size": 100}
    (model / "config.json").write_text(json.dumps(sizes))
    folder.path.mkdir()
    settings = {"device": "cpu", "dtype": "fp32", "micro_batch_size": 8, "gradient_checkpointing": "off"}
    folder.write_config(SftConfig(model=str(model), **settings))
    return folder


def needs(config: RunConfig, size: int) -> int:
    shape = shape_of(config.model)
    assert shape is not None
    return estimate(config.model_copy(update={"micro_batch_size": size}), shape).total


def test_out_of_memory_names_the_micro_batch_that_fits_into_what_was_free(begun: RunFolder) -> None:
    assert needs(begun.config, 1) < needs(begun.config, 2) < needs(begun.config, 4)
    assert advised_in(less_memory(begun, needs(begun.config, 2))) == {"micro_batch_size": 2}
    # What did not fit is never advised again, whatever the estimate says of it.
    assert advised_in(less_memory(begun, needs(begun.config, 8))) == {"micro_batch_size": 4}


def test_where_not_even_one_row_fits_gradients_are_checkpointed_and_then_nothing_is_left(begun: RunFolder) -> None:
    lean = begun.config.model_copy(update={"gradient_checkpointing": "on"})
    assert needs(lean, 1) < needs(begun.config, 1)
    free = needs(begun.config, 1) - 1
    advised = advised_in(less_memory(begun, free))
    assert advised["gradient_checkpointing"] == "on"
    assert needs(lean, advised["micro_batch_size"]) <= free
    too_little = less_memory(begun, needs(lean, 1) - 1)
    assert advised_in(too_little) == {}
    assert "no smaller micro-batch fits" in too_little
    begun.write_config(lean.model_copy(update={"micro_batch_size": 1}))
    assert advised_in(less_memory(begun, 2**40)) == {}
    # A run that left it to the machine was checkpointed where it had so little.
    begun.write_config(begun.config.model_copy(update={"micro_batch_size": 8, "gradient_checkpointing": "auto"}))
    assert advised_in(less_memory(begun, free)).keys() == {"micro_batch_size"}


def test_a_run_that_chose_its_micro_batch_is_advised_a_smaller_one(begun: RunFolder) -> None:
    begun.write_config(begun.config.model_copy(update={"micro_batch_size": 0}))
    room = int(needs(begun.config, 8) / 0.8) + 2  # of which it took four fifths, and so 8 rows
    assert advised_in(less_memory(begun, room)) == {"micro_batch_size": 4}


def test_out_of_memory_where_nothing_can_be_reckoned_is_told_in_general(begun: RunFolder) -> None:
    begun.write_config(begun.config.model_copy(update={"device": "cuda"}))
    assert less_memory(begun, 2**40) == LESS_MEMORY
    (begun.path / "config.json").write_text("{")
    assert less_memory(begun, 2**40) == LESS_MEMORY
