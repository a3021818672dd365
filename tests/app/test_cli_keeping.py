"""Backups, restores and diagnostics on the command line."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.app.conftest import Lab, last_object

PAIR = {"prompt": "Say hello.", "chosen": "Hello.", "rejected": "No."}
pytestmark = pytest.mark.usefixtures("warm_children")


def import_one(lab: Lab, tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.jsonl").write_text(json.dumps({**PAIR, "prompt": f"Say {name}."}))
    assert lab("import", f"{name}.jsonl", "--project", "project").returncode == 0


def test_what_was_backed_up_comes_back_and_what_was_there_is_kept(lab: Lab, tmp_path: Path) -> None:
    import_one(lab, tmp_path, "first")
    made = last_object(lab("backup", "--project", "project", "--json"))
    assert Path(made["path"]).is_file()
    import_one(lab, tmp_path, "second")
    refused = last_object(lab("restore", "2", "--project", "nowhere", "--json"))
    assert "There is no backup '2'" in refused["error"]

    done = lab("restore", made["backup"], "--project", "project", "--json")
    assert done.returncode == 0, done.stderr
    assert last_object(done)["restored"] == made["backup"]
    listed = last_object(lab("restore", "--project", "project", "--json"))["backups"]
    # The first import found nothing to lose; the second one came within the hour of the copy made by hand.
    assert [(row["why"], row["holds"].split(",")[0]) for row in listed] == [
        ("before-restore", "2 data sets"),
        ("asked", "1 data set"),
    ]
    assert [row["name"] for row in listed] == [Path(last_object(done)["kept"]).stem, made["backup"]]
    text = lab("restore", "--project", "project").stdout
    assert "made by hand: 1 data set, 1 record, 0 verdicts, 0 runs" in text
    exported = last_object(lab("export", "second", "x.jsonl", "--project", "project", "--json"))
    assert "There is no data set named 'second'" in exported["error"]


def test_a_damaged_database_is_said_with_the_way_back(lab: Lab, tmp_path: Path) -> None:
    import_one(lab, tmp_path, "first")
    made = last_object(lab("backup", "--project", "project", "--json"))
    (tmp_path / "project" / "lab.sqlite").write_bytes(b"scratched" * 999)
    assert "rlhf-lab restore" in last_object(lab("runs", "--project", "project", "--json"))["error"]
    assert lab("restore", made["backup"], "--project", "project").returncode == 0
    assert lab("export", "first", "x.jsonl", "--project", "project").returncode == 0


def test_an_error_of_the_labs_own_is_in_the_log_and_in_the_diagnostics(lab: Lab, tmp_path: Path) -> None:
    import_one(lab, tmp_path, "first")
    with closing(sqlite3.connect(tmp_path / "project" / "lab.sqlite")) as db:
        db.execute("DROP TABLE runs")
    ended = lab("runs", "--project", "project")
    assert ended.returncode == 1
    assert "lab.log" in ended.stderr
    assert "Traceback" not in ended.stderr
    text = lab("diagnostics", "--project", "project").stdout
    assert "a command failed" in text
    assert "rlhf_lab/store/run_index.py:" in text
    assert "database: The database <project>/lab.sqlite is damaged (no such table: runs)" in text
    assert str(tmp_path) not in text


def test_a_home_that_nobody_has_is_a_name_like_any_other(lab: Lab, tmp_path: Path) -> None:
    made = last_object(lab("backup", "--project", "~nobody-of-this-name/project", "--json"))
    assert Path(made["path"]).is_relative_to(tmp_path / "~nobody-of-this-name" / "project")
    listed = last_object(lab("restore", "--project", "~nobody-of-this-name/project", "--json"))["backups"]
    assert [row["name"] for row in listed] == [made["backup"]]
    told = lab("diagnostics", "--project", "~nobody-of-this-name/project", "--json")
    assert told.returncode == 0, told.stderr
    refused = lab("models", "add", "~nobody-of-this-name/one.gguf", "--project", "project", "--json")
    assert "~nobody-of-this-name" in last_object(refused)["error"]
