"""A finished run that goes on further, and a project that was moved between: on the command line."""

import json
from pathlib import Path

import pytest

from tests.app.conftest import Lab, last_object

CONFIG = """
stage = "sft"
dataset = "lab world demonstrations"
max_prompt_tokens = 32
max_new_tokens = 8
batch_size = 2
max_steps = 2
eval_every = 0
eval_size = 2
lora_r = 2
"""


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_more_steps_for_a_run_that_is_done_also_after_the_project_moved(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "sft.toml").write_text(CONFIG)
    assert lab("run", "sft.toml", "--project", "project").returncode == 0
    refused = last_object(lab("resume", "sft-1", "--project", "project", "--json"))["error"]
    assert refused == (
        "SFT 1 is done: 2 steps. To go further, give a new total: rlhf-lab resume sft-1 --set max_steps=4"
    )
    (tmp_path / "project").rename(tmp_path / "moved")
    further = lab(
        "resume", "sft-1", "--set", "max_steps=3", "--set", "learning_rate=1e-4", "--project", "moved", "--json"
    )
    assert further.returncode == 0, further.stderr
    found = last_object(further)
    assert (found["outcome"], found["step"], found["dir"]) == ("done", 3, str(tmp_path / "moved" / "runs" / "sft-1"))
    events = map(json.loads, (tmp_path / "moved" / "runs" / "sft-1" / "events.jsonl").read_text().splitlines())
    assert [event["step"] for event in events if event["kind"] == "resumed"] == [2], (
        "it goes on, and does not begin anew"
    )
    config = (tmp_path / "moved" / "runs" / "sft-1" / "config.json").read_text()
    assert '"max_steps": 3' in config
    assert str(tmp_path) not in config
