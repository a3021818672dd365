"""Tags, notes and the trash: kept with the run's folder, and found again when the index is lost."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Candidates, Completion, Message, Prompt
from rlhf_lab.runs.disk import disk_use
from rlhf_lab.runs.folder import Manifest, RunFolder
from rlhf_lab.runs.labels import (
    FILE,
    Labels,
    labels_of,
    remove,
    restore,
    set_note,
    set_tags,
    tidy_tags,
    trash,
)
from rlhf_lab.runs.lineage import dependents, lineage
from rlhf_lab.runs.making import new_folder
from rlhf_lab.runs.project import Project


def made(project: Project, run: str, created: float = 1.0, **config: object) -> RunFolder:
    """A run's folder as it lies there once it is made, and its place in the index."""
    folder = RunFolder(project.runs_folder / run)
    folder.path.mkdir()
    stage = run.rpartition("-")[0]
    whole = {"stage": stage, "dataset": "talks"} | config
    (folder.path / "config.json").write_text(json.dumps(whole))
    manifest = Manifest(
        run=run, stage=stage, created=created, dataset="talks", data_sha256="", records=1, train=1, heldout=0
    )
    folder.write_manifest(manifest)
    project.store.add_run(run, stage, f"runs/{run}", json.dumps(whole), created)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.open(tmp_path / "project") as opened:
        yield opened


def test_labels_survive_the_loss_of_the_index(project: Project) -> None:
    first, second = made(project, "sft-1", note="from the config"), made(project, "sft-2", 2.0)
    set_tags(project.store, first, ["good ", "good", "  a   baseline"])
    set_note(project.store, second, "mine")
    trash(project.store, second)

    for _ in range(2):
        (shown,), (hidden,) = project.store.runs(), project.store.runs(trashed=True)
        assert (shown.run, shown.tags, shown.note) == ("sft-1", ("good", "a baseline"), "from the config")
        assert (hidden.run, hidden.note, hidden.trashed is not None) == ("sft-2", "mine", True)
        assert project.reindex() == 2

    restore(project.store, second)
    assert [row.run for row in project.store.runs()] == ["sft-1", "sft-2"]
    assert labels_of(second) == Labels(note="mine")


def test_a_damaged_file_of_labels_is_no_matter(project: Project) -> None:
    folder = made(project, "sft-1")
    (folder.path / FILE).write_text("{")

    assert labels_of(folder) == Labels()
    set_tags(project.store, folder, ["x"])
    assert labels_of(folder).tags == ("x",)


def test_only_what_is_in_the_trash_is_removed_and_its_name_is_never_given_again(project: Project) -> None:
    folder = made(project, "sft-1")
    (folder.path / "adapter").mkdir()
    (folder.path / "adapter" / "weights").write_bytes(b"x" * 1000)
    assert disk_use(folder.path) > 1000
    with pytest.raises(LabError, match="not in the trash"):
        remove(project.store, folder)

    trash(project.store, folder)
    remove(project.store, folder)

    assert project.store.runs() == project.store.runs(trashed=True) == []
    assert disk_use(folder.path) == 0
    assert project.reindex() == 0
    assert new_folder(project.runs_folder, "sft").run == "sft-2"


def test_a_link_in_a_run_is_removed_and_not_what_it_leads_to(project: Project, tmp_path: Path) -> None:
    folder, other = made(project, "sft-1"), tmp_path / "other"
    other.mkdir()
    (other / "mine").write_text("keep")
    (folder.path / "models").symlink_to(other)
    trash(project.store, folder)

    remove(project.store, folder)

    assert (other / "mine").read_text() == "keep"
    assert list(folder.path.iterdir()) == []


def test_too_many_or_too_long_tags_are_cut() -> None:
    assert len(tidy_tags([str(n) for n in range(100)])) == 20
    assert tidy_tags(["x" * 100, "", "  "]) == ("x" * 40,)


def test_the_lineage_of_a_run_has_what_it_stands_on_and_what_stands_on_it(project: Project) -> None:
    made(project, "sft-1")
    made(project, "sft-2", dataset="others")
    made(project, "reward-1", start_from="sft-1")
    made(project, "ppo-1", start_from="sft-1@20", reward_model="reward-1")
    made(project, "ppo-2", reward_model="reward-9")

    found = lineage(project.store, ["reward-1"])
    assert [(node.key, node.kind) for node in found.nodes] == [
        ("data:talks", "data"),
        ("sft-1", "sft"),
        ("reward-1", "reward"),
        ("ppo-1", "policy"),
    ]
    assert ("reward-1", "ppo-1") in found.edges
    assert ("sft-1", "reward-1") in found.edges
    assert dependents(project.store, ["sft-1", "ppo-1"]) == {"sft-1": ["reward-1", "ppo-1"], "ppo-1": []}

    lost = lineage(project.store, ["ppo-2"])
    assert [(node.key, node.known) for node in lost.nodes] == [
        ("data:talks", False),
        ("reward-9", False),
        ("ppo-2", True),
    ]


def test_votes_stand_on_the_runs_that_answered_and_carry_what_was_trained_on_them(project: Project) -> None:
    made(project, "sft-1")
    made(project, "ppo-1", start_from="sft-1")
    asked = Prompt(messages=(Message(role="user", content="Tea?"),))
    with project.store.new_dataset("votes", "blind votes", "candidates"):
        pass
    written = (Completion(text="Yes.", source="PPO 1"), Completion(text="No.", source="Base model, SFT 1"))
    (record,) = project.store.append("votes", [Candidates(prompt=asked, completions=written)])
    project.store.judge("votes", record, Judgement(who="Ada", when=1.0, verdict="ranked", ranks=(1, 2)))
    project.store.ranked_dataset("votes", "votes ranked")
    made(project, "reward-1", dataset="votes ranked")
    made(project, "dpo-1", dataset="talks")

    found = lineage(project.store, ["reward-1"])

    assert [(node.key, node.kind) for node in found.nodes] == [
        ("data:talks", "data"),
        ("data:votes ranked", "data"),
        ("sft-1", "sft"),
        ("reward-1", "reward"),
        ("ppo-1", "policy"),
        ("data:votes", "votes"),
    ]
    ways = {("ppo-1", "data:votes"), ("sft-1", "data:votes"), ("data:votes", "data:votes ranked")}
    assert ways | {("data:votes ranked", "reward-1")} <= set(found.edges)
    assert {node.key for node in lineage(project.store, ["ppo-1"]).nodes} == {node.key for node in found.nodes}
    assert {node.key for node in lineage(project.store, ["dpo-1"]).nodes} == {"data:talks", "dpo-1"}
