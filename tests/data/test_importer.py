"""Imports as a whole: atomic, cancellable, stable splits, the same content once, real files, and back out again."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.importer import import_files
from rlhf_lab.data.source import ImportCancelled
from rlhf_lab.store import Store

SAMPLES = Path(__file__).parents[3] / "shared" / "data"
"""Real sample files that lie beside the project where it is developed."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        yield store


def pairs_file(path: Path, count: int, word: str = "q") -> Path:
    rows = ({"prompt": f"{word} {n}", "chosen": "yes", "rejected": "no"} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_progress_reaches_the_end_over_all_files(store: Store, tmp_path: Path) -> None:
    files = [pairs_file(tmp_path / "a.jsonl", 2500), pairs_file(tmp_path / "b.jsonl", 10, "other")]
    seen: list[tuple[int, int]] = []
    results = import_files(files, store, progress=lambda done, total: seen.append((done, total)))
    total = sum(file.stat().st_size for file in files)
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)
    assert len(seen) >= 4
    assert [(r.name, r.records, r.kind, r.format) for r in results] == [
        ("a", 2500, "pair", "TRL (JSONL)"),
        ("b", 10, "pair", "TRL (JSONL)"),
    ]


def test_cancelling_leaves_nothing_of_the_file_in_hand(store: Store, tmp_path: Path) -> None:
    files = [pairs_file(tmp_path / "a.jsonl", 5), pairs_file(tmp_path / "b.jsonl", 5000, "other")]
    calls: list[int] = []
    with pytest.raises(ImportCancelled, match=r"b\.jsonl was cancelled"):
        import_files(files, store, progress=lambda done, _: calls.append(done), cancelled=lambda: len(calls) > 2)
    assert [row.name for row in store.datasets()] == ["a"]
    db = sqlite3.connect(store.path)
    assert db.execute("SELECT count(*) FROM records").fetchone()[0] == 5
    db.close()


def test_a_bad_file_among_good_ones_stores_none(store: Store, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("foo,bar\n1,2\n")
    with pytest.raises(LabError, match=r"bad\.csv"):
        import_files([pairs_file(tmp_path / "a.jsonl", 5), tmp_path / "bad.csv"], store)
    assert store.datasets() == []


def test_the_same_content_is_not_imported_twice(store: Store, tmp_path: Path) -> None:
    (first,) = import_files([pairs_file(tmp_path / "a.jsonl", 5)], store)
    (again,) = import_files([pairs_file(tmp_path / "b.jsonl", 5)], store)
    assert (first.already, again.already, again.name, again.records) == (None, "a", "a", 5)
    assert len(store.datasets()) == 1
    (changed,) = import_files([pairs_file(tmp_path / "a.jsonl", 6)], store)
    assert (changed.name, changed.already) == ("a (2)", None)


def test_odd_file_names_are_made_printable(store: Store, tmp_path: Path) -> None:
    odd = tmp_path / "evil\u202egpj\nname.jsonl"
    (result,) = import_files([pairs_file(odd, 5)], store)
    assert (result.name, store.datasets()[0].source) == ("evil�gpj�name", "evil�gpj�name.jsonl")
    with pytest.raises(LabError) as found:
        import_files([tmp_path / "missing\udcff\n.jsonl"], store)
    assert "missing��.jsonl" in str(found.value)


def test_the_split_follows_from_the_prompt_alone(store: Store, tmp_path: Path) -> None:
    import_files([pairs_file(tmp_path / "a.jsonl", 1000)], store)
    heldout = {record.prompt.text for record in store.records("a", "heldout")}
    assert 60 < len(heldout) < 140
    lines = (tmp_path / "a.jsonl").read_text().splitlines()[::-1]
    (tmp_path / "b.jsonl").write_text("\n".join(line.replace('"yes"', '"sure"') for line in lines))
    import_files([tmp_path / "b.jsonl"], store)
    assert {record.prompt.text for record in store.records("b", "heldout")} == heldout
    import_files([pairs_file(tmp_path / "c.jsonl", 999)], store, heldout=0)
    assert store.datasets()[-1].heldout == 0


def test_a_kill_in_mid_import_leaves_nothing_visible(store: Store, tmp_path: Path) -> None:
    pairs_file(tmp_path / "a.jsonl", 5000)
    code = """
import sys
from pathlib import Path
from rlhf_lab.data.importer import import_files
from rlhf_lab.store import Store
calls = []
def progress(done, total):
    calls.append(done)
    if len(calls) == 3:
        print("in the middle", flush=True)
        sys.stdin.read()
folder = Path(sys.argv[1])
import_files([folder / "a.jsonl"], Store.open(folder / "lab.sqlite"), progress=progress)
"""
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "in the middle\n"
        assert store.datasets() == []
        child.send_signal(signal.SIGKILL)
    db = sqlite3.connect(store.path)
    assert db.execute("SELECT count(*) FROM records").fetchone()[0] == 3000
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert store.datasets() == []
    (result,) = import_files([tmp_path / "a.jsonl"], store)
    assert (result.name, result.records, store.count("a")) == ("a", 5000, 5000)
    # What the dead process left was swept.
    assert db.execute("SELECT count(*) FROM records").fetchone()[0] == 5000
    assert db.execute("SELECT count(*) FROM datasets").fetchone()[0] == 1
    db.close()


REAL = {
    "dpo_en_demo.json": ("ShareGPT ranking (JSON)", "pair", 295, 5),  # five of its 300 occur twice
    "kto_en_demo.json": ("KTO, messages (JSON)", "unpaired", 300, 0),
    "alpaca_en_demo.json": ("Alpaca (JSON)", "demonstration", 999, 0),
}


@pytest.mark.parametrize("name", sorted(REAL.keys() & {path.name for path in SAMPLES.glob("*.json")}))
def test_real_files(name: str, store: Store) -> None:
    (result,) = import_files([SAMPLES / name], store)
    assert (result.format, result.kind, result.records, result.problems_total) == REAL[name]
    source = json.loads((SAMPLES / name).read_text(encoding="utf-8"))
    assert result.records + result.problems_total == len(source)
    stored = next(store.records(result.name)).model_dump_json()
    said = source[0].get("output") or source[0].get("messages", [{}])[-1].get("content") or source[0]["chosen"]["value"]
    assert json.dumps(said, ensure_ascii=False) in stored
