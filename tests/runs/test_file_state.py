"""The state of the files that a config names: other files, another state."""

import os
from pathlib import Path

from rlhf_lab.core.config import RlooConfig, SftConfig
from rlhf_lab.runs.file_state import file_states
from rlhf_lab.runs.hub import hub_folder


def test_a_folder_counts_by_what_is_loaded_from_it(model: str) -> None:
    weights = Path(model) / "model.safetensors"
    before = file_states(SftConfig(model=model))
    assert before.keys() == {"model"}
    (Path(model) / "README.md").write_text("A card.")
    assert file_states(SftConfig(model=model)) == before
    known = weights.stat()
    os.utime(weights, ns=(known.st_atime_ns, known.st_mtime_ns + 1))
    assert file_states(SftConfig(model=model)) != before
    os.utime(weights, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert file_states(SftConfig(model=model)) == before
    (Path(model) / "chat_template.jinja").symlink_to("nowhere")
    assert file_states(SftConfig(model=model)) not in ({}, before)


def test_a_file_by_itself_and_a_download_by_its_version(tmp_path: Path) -> None:
    gguf = tmp_path / "tiny.gguf"
    gguf.write_bytes(b"GGUF")
    before = file_states(SftConfig(model=str(gguf)))
    gguf.write_bytes(b"GGUF and more")
    assert file_states(SftConfig(model=str(gguf))) != before
    place = hub_folder("someone/some-model")
    (place / "snapshots" / "abc123").mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc123")
    assert file_states(SftConfig(model="someone/some-model")) == {"model": "abc123"}


def test_a_function_counts_by_its_text_and_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    function = tmp_path / "reward.py"
    config = RlooConfig(reward_function=str(function))
    assert file_states(config) == {"reward_function": ""}
    function.write_text("one")
    before = file_states(config)
    function.write_text("two")
    assert file_states(config) != before
    function.write_text("one")
    assert file_states(config) == before
    for nothing in ("bundled", "nobody/nothing", "/no/such/folder", "\0"):
        assert file_states(SftConfig(model=nothing)) == {}
