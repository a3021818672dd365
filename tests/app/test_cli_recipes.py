"""Recipes and sweeps through the command line, with real children on the bundled model."""

from pathlib import Path

import pytest

from tests.app.conftest import Lab, interrupted_when_training, last_object

RECIPE = """
name = "two steps"
[defaults]
max_prompt_tokens = 32
max_new_tokens = 8
batch_size = 4
eval_size = 4
eval_every = 0
[stages.sft]
dataset = "lab world demonstrations"
max_steps = 30
[stages.dpo]
start_from = "sft"
dataset = "lab world pairs"
max_steps = 1
"""


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_a_recipe_is_interrupted_taken_up_and_then_only_what_is_new_is_done(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    stopped = interrupted_when_training("run", "recipe.toml", "--project", "project", "--json", folder=tmp_path)
    found = last_object(stopped)
    assert (stopped.returncode, found["outcome"]) == (1, "unfinished"), stopped.stderr
    assert [(run["run"], run["outcome"]) for run in found["runs"]] == [("sft-1", "stopped"), (None, "skipped")]

    done = lab("run", "recipe.toml", "--project", "project", "--resume", "--json")
    assert done.returncode == 0, done.stderr
    group, found = found["group"], last_object(done)
    assert (found["recipe"], found["group"], found["outcome"]) == ("two steps", group, "done")
    assert [(run["step"], run["run"], run["outcome"]) for run in found["runs"]] == [
        ("sft", "sft-1", "done"),
        ("dpo", "dpo-1", "done"),
    ]
    assert '"start_from": "sft-1"' in Path(found["runs"][1]["dir"], "config.json").read_text()

    more = lab("run", "recipe.toml", "--project", "project", "--resume", "--sweep", "dpo.beta=0.1,nothing", "--json")
    assert more.returncode == 1
    assert "dpo, dpo.beta nothing: beta: Input should be a valid number" in last_object(more)["error"]
    more = lab("run", "recipe.toml", "--project", "project", "--resume", "--set", "dpo.beta=0.3")
    assert more.returncode == 0, more.stderr
    assert more.stdout.splitlines() == ["sft  sft-1        done", "dpo  dpo-2        done"]


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_what_cannot_run_is_said_before_anything_runs(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace('"lab world pairs"', '"no such pairs"'))
    refused = lab("run", "recipe.toml", "--project", "project", "--json")
    assert refused.returncode == 1
    assert last_object(refused)["error"].startswith("dpo: dataset: there is no data set 'no such pairs'")
    assert not list((tmp_path / "project" / "runs").iterdir())

    (tmp_path / "one.toml").write_text('stage = "sft"\n')
    refused = lab("run", "one.toml", "--resume", "--project", "project", "--json")
    assert "--resume is for recipes and sweeps" in last_object(refused)["error"]
    refused = lab("run", "one.toml", "--sweep", "seed=0", "--sweep", "seed=1", "--project", "project", "--json")
    assert last_object(refused)["error"].startswith("--sweep seed stands there twice.")


@pytest.mark.usefixtures("warm_children")
def test_an_example_is_printed(lab: Lab) -> None:
    printed = lab("config", "recipe")
    assert printed.returncode == 0
    assert "[stages.reward]" in printed.stdout
