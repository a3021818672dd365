"""The commands about models."""

from pathlib import Path

import pytest

from tests.app.conftest import Lab, last_object


@pytest.mark.usefixtures("warm_children")
def test_the_models_are_listed_and_a_folder_is_added_and_removed(lab: Lab, tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "config.json").write_text('{"model_type": "sorcerer"}')
    (strange / "model.safetensors").write_bytes(b"")
    refused = lab("models", "add", strange, "--project", tmp_path / "mine", "--json")
    assert refused.returncode == 1
    assert "sorcerer" in last_object(refused)["error"]
    listed = lab("models", "--project", tmp_path / "mine", "--json")
    assert listed.returncode == 0, listed.stderr
    (bundled,) = last_object(listed)["models"]
    assert (bundled["kind"], bundled["architecture"], bundled["problem"], bundled["used_by"]) == (
        "bundled",
        "llama",
        "",
        [],
    )
    kept = lab("models", "remove", "bundled", "--project", tmp_path / "mine", "--json")
    assert "comes with the lab" in last_object(kept)["error"]
