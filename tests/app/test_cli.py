"""The command line as a person and as a machine use it."""

import gc
import json
import tomllib
from pathlib import Path

import pytest

from rlhf_lab import __version__
from rlhf_lab.__main__ import main
from rlhf_lab.core.config import STAGES
from rlhf_lab.core.config_toml import default_toml
from rlhf_lab.core.reference import config_reference
from rlhf_lab.runs.project import Project
from tests.app.conftest import Lab, last_object

PAIR = {"prompt": "Say hello.", "chosen": "Hello.", "rejected": "No."}
COMMANDS = (
    "demo",
    "run",
    "resume",
    "import",
    "export",
    "runs",
    "reindex",
    "config",
    "doctor",
    "approve",
    "diagnose",
    "backup",
    "restore",
    "diagnostics",
    "report",
)


def test_the_help_names_every_command(lab: Lab) -> None:
    ended = lab("--help")
    assert ended.returncode == 0
    assert all(f" {command} " in ended.stdout for command in COMMANDS)


def test_the_version_is_the_packages(lab: Lab) -> None:
    assert lab("--version").stdout == f"rlhf-lab {__version__}\n"


@pytest.mark.usefixtures("warm_children")
@pytest.mark.parametrize("stage", STAGES)
def test_config_prints_a_default_that_run_reads(lab: Lab, stage: str) -> None:
    printed = lab("config", stage).stdout
    assert printed == default_toml(stage)
    assert tomllib.loads(printed)["stage"] == stage


def test_config_refuses_another_stage_in_words(lab: Lab) -> None:
    ended = lab("config", "rlhf")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert (
        ended.stderr
        == "rlhf-lab: Name a stage: rlhf-lab config sft|reward|ppo|rloo|dpo|best_of_n, or recipe (not 'rlhf')\n"
    )
    assert lab("config", "--reference").stdout == config_reference()


@pytest.mark.usefixtures("warm_children", "bundled_data")
@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        (None, [], "cannot be read: No such file or directory"),
        ("stage = sft", [], "is not valid TOML"),
        ('stage = "sft"', ["--set", "seed=-1"], "seed: Input should be greater than or equal to 0"),
        ('stage = "sft"', ["--set", "colour=red"], "colour: there is no such setting"),
        ('stage = "sft"', ["--set", "seed"], "--set wants FIELD=VALUE"),
        ('stage = "sft"', [], "dataset: no data set is chosen"),
        ('stage = "sft"', ["--set", "dataset=mine"], "there is no data set 'mine' in this project"),
        (
            'stage = "sft"\ndataset = "lab world demonstrations"',
            ["--set", "model=./nowhere"],
            "'./nowhere' is not there",
        ),
        ('stage = "ppo"\ndataset = "lab world prompts"', [], "reward_model: PPO needs something that scores answers"),
    ],
)
def test_a_run_that_cannot_start_says_why_and_leaves_nothing(
    lab: Lab, tmp_path: Path, text: str | None, arguments: list[str], words: str
) -> None:
    if text is not None:
        (tmp_path / "my.toml").write_text(text)
    ended = lab("run", "my.toml", *arguments, "--project", "project", "--json")
    assert ended.returncode == 1
    assert words in last_object(ended)["error"]
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.glob("project/runs/*"))


def test_import_says_what_became_of_each_file_and_export_writes_it_again(lab: Lab, tmp_path: Path) -> None:
    lines = [json.dumps({**PAIR, "prompt": f"Say hello {n} times."}) for n in range(5)]
    (tmp_path / "pairs.jsonl").write_text("\n".join([*lines, "{broken", '{"prompt": "x"}']))
    ended = lab("import", "pairs.jsonl", "--project", "project", "--json")
    assert ended.returncode == 0, ended.stderr
    [found] = last_object(ended)["datasets"]
    assert (found["name"], found["kind"], found["records"], found["problems_total"]) == ("pairs", "pair", 5, 2)
    assert [problem["line"] for problem in found["problems"]] == [6, 7]
    assert all(problem["reason"] for problem in found["problems"])
    assert set(found) == {"name", "format", "kind", "records", "problems", "problems_total", "note"}

    out = lab("export", "pairs", "again.jsonl", "--project", "project", "--json")
    assert last_object(out) == {
        "dataset": "pairs",
        "file": "again.jsonl",
        "format": "native",
        "records": 5,
        "left_out": {},
    }
    assert len((tmp_path / "again.jsonl").read_text().splitlines()) == 5
    assert lab("export", "paris", "x.jsonl", "--project", "project").returncode == 1


@pytest.mark.usefixtures("warm_children")
def test_columns_are_mapped_and_other_forms_written(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "sheets"
    folder.mkdir()
    (folder / "a.csv").write_text("frage,erste,zweite,besser\nQ,x,y,links\nR,x,y,beide\n")
    mapped = [f"--column={pair}" for pair in ("prompt=frage", "response_a=erste", "response_b=zweite")]
    columns = [*mapped, "--column=preference=besser", "--verdict=links=a", "--verdict=beide=tie"]
    [found] = last_object(lab("import", "sheets", *columns, "--project", "project", "--json"))["datasets"]
    assert (found["name"], found["records"], found["problems_total"]) == ("sheets/a", 2, 0)
    assert "ties" in found["note"]
    out = lab("export", "sheets/a", "a.trl", "--format", "trl", "--project", "project", "--json")
    assert (last_object(out)["records"], last_object(out)["left_out"]) == (1, {"ties": 1})
    assert json.loads((tmp_path / "a.trl").read_text())["chosen"] == "x"
    for arguments, words in {
        ("import", "sheets", "--column", "prompt"): "--column wants NAME=VALUE",
        ("import", "sheets", "--column", "question=frage"): "no role of a column",
        ("import", "sheets/a.csv", "--column", "prompt=frage", "--verdict", "x=y"): "say a (the first answer",
        ("export", "sheets/a", "x", "--format", "pdf"): "There is no form 'pdf'",
        ("export", "sheets/a", "x", "--split", "half"): "train and heldout",
    }.items():
        assert words in last_object(lab(*arguments, "--project", "project", "--json"))["error"]


@pytest.mark.usefixtures("warm_children")
def test_whoever_has_to_say_what_verdicts_mean_is_told_how(lab: Lab, tmp_path: Path) -> None:
    row = {"question": "Q", "answer_a": "x", "answer_b": "y", "winner": 1}
    (tmp_path / "ones.jsonl").write_text(json.dumps(row))
    asked = last_object(lab("import", "ones.jsonl", "--project", "project", "--json"))["error"]
    assert "--column preference=winner --verdict VALUE=a" in asked
    last_object(lab("import", "ones.jsonl", "--verdict", "1=b", "--project", "project", "--json"))
    lab("export", "ones", "out.jsonl", "--project", "project")
    assert json.loads((tmp_path / "out.jsonl").read_text())["chosen"]["text"] == "y"


@pytest.mark.usefixtures("warm_children")
def test_a_long_list_of_problems_is_cut_and_counted(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("\n".join([json.dumps(PAIR)] + ["{broken"] * 1200))
    [found] = last_object(lab("import", "bad.jsonl", "--project", "project", "--json"))["datasets"]
    assert (len(found["problems"]), found["problems_total"]) == (1000, 1200)


@pytest.mark.usefixtures("warm_children")
def test_a_file_that_is_no_data_set_is_refused_in_a_sentence(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "photo.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    ended = lab("import", "photo.jsonl", "--project", "project", "--json")
    assert ended.returncode == 1
    assert "photo.jsonl" in last_object(ended)["error"]
    with Project.open(tmp_path / "project") as project:
        assert project.store.datasets() == []


@pytest.mark.usefixtures("warm_children")
def test_what_could_steer_a_terminal_is_made_visible(lab: Lab, tmp_path: Path) -> None:
    ended = lab("export", "a\x1b[31mb\u202e", "x.jsonl", "--project", "project")
    assert "\x1b" not in ended.stderr
    assert "\u202e" not in ended.stderr


@pytest.mark.usefixtures("warm_children")
def test_a_project_that_cannot_be_made_is_said_in_words(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = lab("runs", "--project", tmp_path / "file", "--json")
    assert ended.returncode == 1
    assert "cannot be used" in last_object(ended)["error"]


@pytest.mark.usefixtures("warm_children")
def test_an_empty_project_lists_no_runs(lab: Lab) -> None:
    assert last_object(lab("runs", "--project", "project", "--json")) == {"runs": []}
    assert "There are no runs" in lab("runs", "--project", "project").stdout
    assert "There is no run 'sft-9'" in last_object(lab("resume", "sft-9", "--project", "project", "--json"))["error"]


@pytest.mark.parametrize("arguments", [["rlhf-lab"], ["rlhf-lab", "--project", "project"]])
def test_nothing_is_collected_while_the_window_is_imported_and_made(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    collects = []
    monkeypatch.setattr("rlhf_lab.gui.app.main", lambda project, guided: collects.append(gc.isenabled()) or 0)
    monkeypatch.setattr("rlhf_lab.window.window_problem", lambda: None)
    monkeypatch.setattr("sys.argv", arguments)
    try:
        with pytest.raises(SystemExit):
            main()
    finally:
        gc.enable()
    assert collects == [False]
