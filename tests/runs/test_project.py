"""A project: what can start and why not, frozen data, lineage, recovery, the index built anew."""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf_lab.core.config import PpoConfig, RewardConfig, RunConfig, SftConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Finished, Metrics, Started
from rlhf_lab.core.records import Completion, Message, Pair, Prompt, Ranking, load_record
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.labels import trash
from rlhf_lab.runs.log import EventLog
from rlhf_lab.runs.project import BUNDLED, Project, default_folder
from rlhf_lab.runs.recovering import unread_in_words
from rlhf_lab.store import Store
from tests.fakes import leave_adapter

NewRun = Callable[..., RunFolder]


def finish(folder: RunFolder) -> str:
    """As a child would: a log with an end, and an adapter."""
    with EventLog(folder.events_path, folder.claim_attempt()) as log:
        log.append(Started(device="fake", total_steps=1))
        log.append(Metrics(step=1, values={"train/loss": 1.0}))
        log.append(Finished(step=1, outcome="done"))
    leave_adapter(folder)
    return folder.run


def test_the_default_folder_is_in_the_home() -> None:
    with Project.open() as project:
        assert project.folder == default_folder()
        assert (project.folder / "lab.sqlite").is_file()
        assert project.folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"project folder .* cannot be used"):
        Project.open(tmp_path / "file" / "project")


def test_bundled_data_is_there_once(tmp_path: Path) -> None:
    with Project.open(tmp_path / "p") as project:
        project.ensure_bundled()
        project.ensure_bundled()
        assert [row.name for row in project.store.datasets()] == list(BUNDLED)
        assert all(row.records for row in project.store.datasets())


@pytest.mark.parametrize(
    ("settings", "weights", "ties"),
    [
        ({}, [1 / 3] * 3, 1),
        ({"rankings": "adjacent"}, [1 / 3] * 3, 1),
        ({"ties": "drop"}, [1 / 2] * 2, 0),
    ],
)
def test_a_reward_run_sees_the_pairs_of_a_ranking(
    project: Project, model: str, settings: dict[str, str], weights: list[float], ties: int
) -> None:
    asked = Prompt(messages=(Message(role="user", content="Tea?"),))
    answers = tuple(Completion(text=text) for text in ("No.", "Yes.", "Yes!"))
    with project.store.new_dataset("ranked", "lab", "ranking") as writer:
        writer.add(
            Ranking(prompt=asked, completions=answers, ranks=(3, 1, 1), split=split) for split in ("train", "heldout")
        )
    folder = project.create_run(RewardConfig(dataset="ranked", model=model, **settings))
    seen = [load_record(line) for line in folder.data_path.read_bytes().splitlines()]
    found = [pair for pair in seen if isinstance(pair, Pair) and pair.split == "train"]
    assert len(found) * 2 == len(seen) == folder.manifest.records
    assert [pair.weight for pair in found] == pytest.approx(weights)
    assert sum(pair.tie for pair in found) == ties
    assert all(pair.rejected.text == "No." for pair in found if not pair.tie)
    # Each pair says which record it is from, so that a person can judge it again.
    rows = {row.id: row.record for row in project.store.page("ranked")}
    assert all(rows[int(pair.tags["record"])].split == pair.split for pair in seen)
    # Other stages see the ranking itself.
    other = project.create_run(SftConfig(dataset="ranked", model=model))
    assert {load_record(line).kind for line in other.data_path.read_bytes().splitlines()} == {"ranking"}


def test_a_run_keeps_its_data(project: Project, new_run: NewRun) -> None:
    folder = new_run("well", seed=7)
    assert folder.run == "sft-1"
    manifest = folder.manifest
    data = folder.data_path.read_bytes()
    assert (manifest.records, manifest.train, manifest.heldout, manifest.gold) == (8, 6, 2, False)
    assert manifest.data_sha256 == hashlib.sha256(data).hexdigest()
    assert [load_record(line) for line in data.splitlines()] == list(project.store.records("talks"))
    assert folder.config.seed == 7
    assert project.run_row("sft-1").outcome == "queued"
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in folder.path.iterdir()} == {0o600}


def test_runs_are_numbered_by_stage(new_run: NewRun, project: Project, model: str) -> None:
    assert [new_run("a").run, new_run("b").run] == ["sft-1", "sft-2"]
    assert project.create_run(RewardConfig(dataset="pairs", model=model)).run == "reward-1"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SftConfig(), "no data set is chosen. Choose one of: talks, pairs"),
        (SftConfig(dataset="nowhere"), "there is no data set 'nowhere'"),
        (
            RewardConfig(dataset="talks"),
            "'talks' holds demonstration records, reward learns from pair or ranking or rated records",
        ),
        (SftConfig(dataset="talks", model="/no/such/folder"), "model: '/no/such/folder' is not there"),
        (SftConfig(dataset="talks", model="nobody/nothing"), "already downloaded"),
        (SftConfig(dataset="talks", start_from="sft-9"), "start_from: there is no run 'sft-9'"),
        (SftConfig(dataset="talks", start_from="../sft-9"), "there is no run"),
        (SftConfig(dataset="talks", start_from="sft-1"), "SFT 1 has left no adapter yet"),
        (PpoConfig(dataset="talks"), "reward_model: PPO needs something that scores answers"),
        (PpoConfig(dataset="talks", reward_model="sft-1"), "reward_model: SFT 1 is a run of sft"),
        (
            PpoConfig(dataset="talks", reward_model="sft-1", reward_model_weight=0),
            "reward_model_weight: nothing scores the answers while every weight is 0",
        ),
    ],
)
def test_reasons_why_a_run_cannot_start(project: Project, new_run: NewRun, config: RunConfig, words: str) -> None:
    new_run("unfinished")
    assert words in " ".join(project.check(config))
    with pytest.raises(LabError):
        project.create_run(config)
    assert [p.name for p in project.runs_folder.iterdir()] == ["sft-1"]


@pytest.mark.parametrize(
    ("format", "words"), [("ranked", "judge more, until a held-out prompt is among them"), ("hh", "import it again")]
)
def test_a_reward_model_that_nothing_could_judge_is_not_trained(
    project: Project, model: str, format: str, words: str
) -> None:
    asked = Prompt(messages=(Message(role="user", content="Tea?"),))
    with project.store.new_dataset("some", format, "pair") as writer:
        writer.add([Pair(prompt=asked, chosen=Completion(text="Yes."), rejected=Completion(text="No."))])
    (reason,) = project.check(RewardConfig(dataset="some", model=model))
    assert "has no held-out records" in reason
    assert words in reason


@pytest.mark.parametrize(
    ("name", "words"), [("weights.bin", "no .safetensors file"), ("config.txt", "has no config.json")]
)
def test_folders_that_are_no_models(project: Project, tmp_path: Path, name: str, words: str) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / name).write_text("")
    if name == "weights.bin":
        (folder / "config.json").write_text("{}")
    assert words in " ".join(project.check(SftConfig(dataset="talks", model=str(folder))))


def test_lineage_and_models_of_later_stages(project: Project, new_run: NewRun, model: str) -> None:
    sft = finish(new_run("first"))
    reward = finish(project.create_run(RewardConfig(dataset="pairs", model=model, start_from=sft)))
    ppo = project.create_run(PpoConfig(dataset="talks", model=model, start_from=sft, reward_model=reward))
    finish(ppo)
    assert ppo.manifest.start_runs == (sft,)
    assert (ppo.manifest.reward_run, ppo.manifest.reward_model) == (reward, model)
    assert ppo.manifest.reward_start_runs == (sft,)
    assert project.lineage(ppo.run) == (sft, ppo.run)
    second = project.create_run(PpoConfig(dataset="talks", model=model, start_from=ppo.run, reward_model=reward))
    assert project.lineage(second.run) == (sft, ppo.run, second.run)
    spec = project.model_spec(ppo.run)
    assert (spec.model, spec.adapters) == (model, (project.run(sft).adapter, ppo.adapter))


def test_a_start_on_another_base_is_refused(project: Project, new_run: NewRun, tmp_path: Path) -> None:
    sft = finish(new_run("first"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    (other / "model.safetensors").write_bytes(b"")
    reasons = project.check(SftConfig(dataset="talks", model=str(other), start_from=sft))
    assert len(reasons) == 1
    assert "was trained on the base" in reasons[0]


def test_a_waiting_run_can_be_cancelled(project: Project, new_run: NewRun) -> None:
    folder = new_run("never")
    project.cancel(folder.run)
    row = project.run_row(folder.run)
    assert (row.outcome, row.message) == ("stopped", "Cancelled before it started.")
    assert not project.recover().waiting


def test_waiting_runs_are_found_again(project: Project, new_run: NewRun) -> None:
    folder = new_run("later")
    assert [f.run for f in project.recover().waiting] == [folder.run]


def test_a_run_whose_files_cannot_be_read_is_named_and_the_others_are_looked_after(
    project: Project, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [new_run("died") for _ in range(6)]
    for folder in runs:
        (folder.path / "attempt-1").touch()
        project.store.set_run_state(folder.run, "running", "")
    closed = {folder.events_path for folder in runs[:5]}

    def read(path: Path, offset: int) -> list[tuple[bytes, int]]:
        if path in closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return []

    monkeypatch.setattr("rlhf_lab.runs.log.read_lines", read)
    found = project.recover()
    assert [folder.run for folder in found.interrupted] == ["sft-6"]
    assert (list(found.unread), found.undone) == ([f"sft-{n}" for n in range(1, 6)], None)
    assert unread_in_words(found) == (
        f"SFT 1, SFT 2, SFT 3 and 2 other runs could not be looked after. {runs[0].events_path} cannot be read: "
        "Permission denied. Mend that, then open the project again."
    )


def test_a_copy_that_is_cancelled_leaves_nothing_and_is_made_later(project: Project, model: str) -> None:
    folder = project.reserve_run(SftConfig(dataset="talks", model=model))
    written: list[bool] = []

    def cancelled() -> bool:
        written.append(folder.data_path.exists())
        return len(written) == 3

    assert not project.freeze(folder, cancelled)
    assert written == [True, True, True]
    assert not folder.data_path.exists()
    assert project.run_row(folder.run).outcome == "queued"
    assert [found.run for found in project.recover().waiting] == [folder.run]
    assert project.freeze(folder)
    assert folder.manifest.records == 8


def test_two_starts_at_once_are_one(new_run: NewRun) -> None:
    folder = new_run("well")
    assert folder.claim_attempt() == 1
    with pytest.raises(LabError, match="just being started"):
        folder.claim_attempt()


def test_unknown_runs_are_said(project: Project) -> None:
    for ask in (project.run, project.run_row):
        with pytest.raises(LabError, match="There is no run 'ppo-7'"):
            ask("ppo-7")


def test_one_run_is_read_without_the_others(project: Project, new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = new_run("well"), new_run("well")
    rows = {row.run: row for row in project.store.runs()}
    monkeypatch.setattr(Store, "runs", lambda self, **_: pytest.fail("all runs were read"))
    assert [project.run_row(folder.run) for folder in (first, second)] == list(rows.values())
    trash(project.store, first)
    with pytest.raises(LabError, match=f"There is no run '{first.run}'"):
        project.run_row(first.run)


def test_the_index_is_built_again_from_the_folders(project: Project, new_run: NewRun) -> None:
    finish(new_run("a"))
    new_run("b")
    (project.runs_folder / "sft-9").mkdir()
    assert project.reindex() == 2
    assert [(row.run, row.outcome) for row in project.store.runs()] == [("sft-1", "done"), ("sft-2", "queued")]
    before = project.store.events("sft-1"), project.store.curves("sft-1"), project.store.runs()
    assert before[1] == {"train/loss": ([1], [1.0])}
    assert project.reindex() == 2
    assert (project.store.events("sft-1"), project.store.curves("sft-1"), project.store.runs()) == before
