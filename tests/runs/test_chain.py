"""A recipe under way: order, what stands on what, failures, and taking it up again. Its runs are fakes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf_lab.core.config_toml import read_toml
from rlhf_lab.core.events import Finished
from rlhf_lab.core.recipe import Recipe
from rlhf_lab.core.recipe_toml import parse_recipe
from rlhf_lab.runs.approval import approve, read_function
from rlhf_lab.runs.chain import Chain, early_reasons
from rlhf_lab.runs.labels import place_of, trash
from rlhf_lab.runs.log import end_attempt
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from tests.fakes import leave_adapter

TWO_BRANCHES = """
name = "two ways"
on_failure = "{on_failure}"
[defaults]
model = '{model}'
[stages.sft]
dataset = "talks"
[stages.reward]
start_from = "sft"
dataset = "pairs"
[stages.ppo]
start_from = "sft"
reward_model = "reward"
dataset = "talks"
[stages.dpo]
start_from = "sft"
dataset = "pairs"
"""


@pytest.fixture
def recipe(model: str) -> Callable[..., Recipe]:
    def make(on_failure: str = "stop", more: str = "") -> Recipe:
        return parse_recipe(read_toml(TWO_BRANCHES.format(on_failure=on_failure, model=model) + more))

    return make


def walk(project: Project, chain: Chain, ends: dict[str, str] | None = None, most: int = 99) -> list[str]:
    """Run up to so many steps to their ends ("done" where nothing else is said); gives the keys in order."""
    order = []
    while len(order) < most and (step := chain.next()) is not None:
        before = chain.unfinished.get(step.key)
        folder = project.run(before) if before else project.create_run(chain.config(step), chain.place(step))
        chain.begun(step, folder.run)
        outcome = (ends or {}).get(step.key, "done")
        if outcome == "done":
            leave_adapter(folder)
        attempt = folder.attempt() + 1
        (folder.path / f"attempt-{attempt}").touch()
        end_attempt(folder.events_path, attempt, Finished(outcome=outcome, message="It broke." * (outcome != "done")))
        Recorder(project.store).catch_up(folder)
        chain.ended(step, outcome, "It broke.")
        order.append(step.key)
    return order


def test_each_stage_starts_from_the_runs_before_it(project: Project, recipe) -> None:
    chain = Chain.of(recipe())
    assert walk(project, chain) == ["sft", "reward", "ppo", "dpo"]
    assert chain.done
    assert not chain.going
    ppo = project.run(chain.runs["ppo"])
    assert (ppo.config.start_from, ppo.config.reward_model) == ("sft-1", "reward-1")
    assert ppo.manifest.start_runs == ("sft-1",)


def test_runs_keep_where_they_stand_also_in_an_index_that_is_built_anew(project: Project, recipe) -> None:
    chain = Chain.of(recipe(more='[sweep]\n"ppo.kl_coef" = [0.1, 0.2]\n'))
    walk(project, chain)
    before = {row.run: row.place for row in project.store.runs()}
    project.reindex()
    rows = {row.run: row for row in project.store.runs()}
    assert {run: row.place for run, row in rows.items()} == before
    assert {row.place.group for row in rows.values()} == {chain.group}
    assert rows["ppo-2"].place.varied == {"ppo.kl_coef": 0.2}
    assert rows["ppo-2"].tags == ("two ways",)
    (project.run("ppo-2").path / "place.json").write_text("{}")
    assert place_of(project.run("ppo-2")) is None


def test_a_failure_stops_the_recipe(project: Project, recipe) -> None:
    chain = Chain.of(recipe())
    assert walk(project, chain, {"reward": "failed"}) == ["sft", "reward"]
    assert not chain.going
    assert not chain.done
    assert [chain.state(step) for step in chain.steps] == ["done", "failed", "skipped", "waiting"]
    assert chain.left == []
    assert chain.messages == {"reward": "It broke.", "ppo": "Skipped, since reward is not done."}


def test_or_continues_with_what_does_not_stand_on_it(project: Project, recipe) -> None:
    chain = Chain.of(recipe("continue"))
    assert walk(project, chain, {"reward": "stopped"}) == ["sft", "reward", "dpo"]
    assert [chain.state(step) for step in chain.steps] == ["done", "stopped", "skipped", "done"]
    assert not chain.done


def test_what_is_skipped_skips_what_stands_on_it_in_turn(project: Project, recipe) -> None:
    chain = Chain.of(
        recipe("continue", '[stages.last]\nstage = "best_of_n"\nstart_from = "ppo"\nreward_model = "reward"\n')
    )
    walk(project, chain, {"sft": "failed"})
    assert {chain.state(step) for step in chain.steps[1:]} == {"skipped"}
    assert not chain.going


def test_taken_up_again_it_keeps_what_was_done_and_resumes_what_was_not(project: Project, recipe) -> None:
    first = Chain.of(recipe())
    walk(project, first, {"reward": "stopped"})
    again = Chain.of(recipe(), project)
    assert again.group == first.group
    assert (again.runs, again.unfinished) == ({"sft": "sft-1"}, {"reward": "reward-1"})
    assert walk(project, again) == ["reward", "ppo", "dpo"]
    assert again.done
    assert [row.run for row in project.store.runs()] == ["sft-1", "reward-1", "ppo-1", "dpo-1"]


def test_taken_up_with_other_settings_only_what_they_concern_is_done_anew(project: Project, recipe) -> None:
    walk(project, Chain.of(recipe()))
    other = Chain.of(recipe().changed({"dpo.beta": 0.3}), project)
    assert walk(project, other) == ["dpo"]
    assert other.runs["dpo"] == "dpo-2"
    below = Chain.of(recipe().changed({"sft.seed": 3}), project)
    assert len(below.left) == 4


def test_where_the_data_has_changed_what_learned_from_it_is_done_anew(project: Project, recipe) -> None:
    walk(project, Chain.of(recipe()))
    assert Chain.of(recipe(), project).done
    project.store.remove("pairs", [project.store.page("pairs")[0].id])
    again = Chain.of(recipe(), project)
    assert again.runs == {"sft": "sft-1"}
    assert walk(project, again) == ["reward", "ppo", "dpo"]
    assert again.done
    assert project.run("reward-2").manifest.records == 7


def test_where_the_files_of_the_model_have_changed_all_is_done_anew_and_that_is_said(
    project: Project, recipe, model: str
) -> None:
    walk(project, Chain.of(recipe()))
    (Path(model) / "README.md").write_text("Not read.")
    assert Chain.of(recipe(), project).done
    (Path(model) / "model.safetensors").write_bytes(b"other weights")
    again = Chain.of(recipe(), project)
    assert again.runs == {}
    assert again.anew == {
        "sft": "sft is done anew, since the files of its model have changed.",
        "reward": "reward is done anew, since that of before stood on other runs.",
        "ppo": "ppo is done anew, since that of before stood on other runs.",
        "dpo": "dpo is done anew, since that of before stood on other runs.",
    }
    assert walk(project, again) == ["sft", "reward", "ppo", "dpo"]
    assert Chain.of(recipe(), project).done


def test_where_the_reward_function_has_changed_what_was_trained_on_it_is_done_anew(
    project: Project, recipe, tmp_path: Path
) -> None:
    function = tmp_path / "short.py"
    function.write_text("def reward(prompts, answers, tags): return [0.0] * len(answers)\n")
    approve(read_function(function))
    scored = recipe(more=f"[stages.last]\nstage = 'rloo'\ndataset = 'talks'\nreward_function = '{function}'\n")
    walk(project, Chain.of(scored))
    assert Chain.of(scored, project).done
    function.write_text("def reward(prompts, answers, tags): return [1.0] * len(answers)\n")
    approve(read_function(function))
    again = Chain.of(scored, project)
    assert again.anew == {"last": "last is done anew, since its reward function has changed."}
    assert walk(project, again) == ["last"]
    assert again.runs["last"] == "rloo-2"


def test_a_run_below_that_was_trained_again_takes_what_stood_on_it_along(project: Project, recipe) -> None:
    walk(project, Chain.of(recipe()))
    trash(project.store, project.run("sft-1"))
    again = Chain.of(recipe(), project)
    assert (again.runs, again.unfinished) == ({}, {})
    assert walk(project, again, most=1) == ["sft"]
    taken_up = Chain.of(recipe(), project)
    assert taken_up.runs == {"sft": "sft-2"}
    assert walk(project, taken_up) == ["reward", "ppo", "dpo"]
    assert place_of(project.run("ppo-2")).stands_on == {"start_from": "sft-2", "reward_model": "reward-2"}
    assert Chain.of(recipe(), project).done


def test_a_place_of_an_older_version_is_read_and_its_run_is_done_anew(project: Project, recipe) -> None:
    walk(project, Chain.of(recipe()), most=1)
    file = project.run("sft-1").path / "place.json"
    old = {name: value for name, value in json.loads(file.read_text()).items() if name not in ("data", "stands_on")}
    file.write_text(json.dumps(old))
    project.reindex()
    assert project.run_row("sft-1").place.step == "sft"
    again = Chain.of(recipe(), project)
    assert again.runs == {}
    why = "that of before is of an older version, which did not note what it stood on"
    assert again.anew == {"sft": f"sft is done anew, since {why}."}


def test_where_the_files_of_a_run_were_never_noted_nobody_says_that_they_changed(project: Project, recipe) -> None:
    walk(project, Chain.of(recipe()), most=1)
    file = project.run("sft-1").path / "place.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"files": {}}))
    project.reindex()
    again = Chain.of(recipe(), project)
    assert again.runs == {}
    assert again.anew == {"sft": "sft is done anew, since the files of its model were not noted then."}


def test_a_run_whose_data_was_not_copied_yet_is_taken_up(project: Project, recipe) -> None:
    first = Chain.of(recipe())
    folder = project.reserve_run(first.config(first.steps[0]), first.place(first.steps[0]))
    assert Chain.of(recipe(), project).unfinished == {"sft": "sft-1"}
    project.freeze(folder)
    assert Chain.of(recipe(), project).unfinished == {"sft": "sft-1"}
    assert project.run_row("sft-1").place == place_of(folder)
    assert place_of(folder).data == project.store.data_state("talks") != ""


def test_what_is_known_beforehand_is_said_beforehand(project: Project, recipe) -> None:
    assert early_reasons(project, recipe()) == []
    wrong = recipe().changed({"ppo.dataset": "nothing", "dpo.start_from": "sft-9"})
    reasons = early_reasons(project, wrong)
    assert len(reasons) == 2
    assert reasons[0].startswith("ppo: dataset: there is no data set 'nothing'")
    assert reasons[1].startswith("dpo: start_from: there is no run 'sft-9'")
