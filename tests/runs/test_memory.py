"""What a form says of memory: words for models that are there, nothing for those whose size is not known."""

import json
from pathlib import Path

from rlhf_lab.core.config import PpoConfig, SftConfig
from rlhf_lab.runs.memory import memory_in_words, native_bf16, shape_of


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


def test_the_processor_says_whether_it_has_bf16(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: some\nflags\t\t: fpu avx512f avx512_bf16\n")
    assert native_bf16(info)
    info.write_text("flags\t\t: fpu avx512f\n")
    assert not native_bf16(info)
    assert not native_bf16(tmp_path / "none")
