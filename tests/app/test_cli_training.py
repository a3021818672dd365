"""A real run through the command line: interrupted, saved, resumed, done."""

import json
from pathlib import Path

import pytest

from tests.app.conftest import Lab, interrupted_when_training, last_object

CONFIG = """
stage = "sft"
dataset = "lab world demonstrations"
max_prompt_tokens = 32
max_new_tokens = 16
batch_size = 4
max_steps = 40
eval_every = 0
eval_size = 4
"""

NEVER_REWARDED = """
stage = "rloo"
dataset = "lab world prompts"
regex = "a text that no model of this size would write"
regex_weight = 1.0
kl_coef = 0.0
max_prompt_tokens = 32
max_new_tokens = 8
batch_size = 4
samples = 2
updates = 8
eval_every = 0
eval_size = 4
"""


def test_ctrl_c_stops_and_saves_and_resume_goes_on_to_the_end(
    lab: Lab, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "sft.toml").write_text(CONFIG)
    stopped = interrupted_when_training("run", "sft.toml", "--project", "project", "--json", folder=tmp_path)
    found = last_object(stopped)
    assert (stopped.returncode, found["run"], found["outcome"]) == (1, "sft-1", "stopped"), stopped.stderr
    assert found["step"] < 40
    assert found["dir"] == str(tmp_path / "project" / "runs" / "sft-1")
    assert stopped.stdout.count("\n") == 1
    assert "Stopping sft-1 and saving" in stopped.stderr

    refused = lab("resume", "sft-1", "--set", "batch_size=8", "--project", "project", "--json")
    assert (
        "can only change learning_rate, max_steps, micro_batch_size, gradient_checkpointing and model"
        in last_object(refused)["error"]
    )

    request.getfixturevalue("warm_children")  # how one starts has been seen
    resumed = lab("resume", "sft-1", "--set", "learning_rate=1e-4", "--project", "project", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert last_object(resumed) == {**found, "outcome": "done", "step": 40, "message": last_object(resumed)["message"]}
    events = [json.loads(line) for line in (Path(found["dir"]) / "events.jsonl").read_text().splitlines()]
    [changed] = [event for event in events if event["kind"] == "changed"]
    assert (changed["field"], changed["value"]) == ("learning_rate", 1e-4)

    listed = last_object(lab("runs", "--project", "project", "--json"))["runs"]
    assert listed == [
        {"run": "sft-1", "stage": "sft", "outcome": "done", "step": 40, "health": [], "dir": found["dir"]}
    ]


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_a_sick_run_says_so_while_it_runs_at_its_end_and_in_the_list(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "sft.toml").write_text(CONFIG)
    fast = ("--set", "learning_rate=0.1", "--set", "max_steps=14")
    done = lab("run", "sft.toml", *fast, "--project", "project", "--json")
    assert done.returncode == 0, done.stderr
    [verdict] = last_object(done)["health"]
    assert (verdict["code"], verdict["level"], verdict["step"]) == ("sft_diverges", "check", 12)
    assert done.stderr.count("sft-1: check: Loss goes up. The loss is") == 1
    assert verdict["advice"] in done.stderr
    assert last_object(lab("runs", "--project", "project", "--json"))["runs"][0]["health"] == [verdict]
    assert "[Loss goes up]" in lab("runs", "--project", "project").stdout


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_what_can_only_be_a_fault_stops_the_run_and_who_resumes_has_decided_to_go_on(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "rloo.toml").write_text(NEVER_REWARDED)
    stopped = lab("run", "rloo.toml", "--project", "project", "--json")
    found = last_object(stopped)
    assert (stopped.returncode, found["outcome"], found["step"]) == (1, "stopped", 5), stopped.stderr
    assert found["message"].startswith("No gradient: The gradient norm is 0.")
    assert found["health"][0]["code"] == "no_gradient"
    assert "no_spread" in [verdict["code"] for verdict in found["health"]]
    assert Path(found["dir"], "adapter", "adapter_config.json").is_file()

    resumed = lab("resume", found["run"], "--project", "project", "--json")
    assert (resumed.returncode, last_object(resumed)["outcome"]) == (0, "done"), resumed.stderr
    assert last_object(resumed)["health"] == found["health"]
