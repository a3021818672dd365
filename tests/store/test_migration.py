"""A project of the first release opens with everything in it, and can do what is new."""

import sqlite3
from pathlib import Path

from rlhf_lab.core.judgement import Judgement
from rlhf_lab.store import Store, schema
from rlhf_lab.store.backups import backups

VERSION_1 = Path(__file__).parents[1] / "golden" / "version-1.sql"
"""A database of the first release as text: two data sets, a problem, a run with events and a curve."""
VERSION_2 = Path(__file__).parents[1] / "golden" / "version-2.sql"
"""One with judgements: a verdict, and a run over 300 steps."""


def test_a_version_1_database_keeps_all_and_gains_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    with sqlite3.connect(path) as old:
        old.executescript(VERSION_1.read_text(encoding="utf-8"))
    old.close()
    with Store.open(path) as store:
        rows = {row.name: row for row in store.datasets()}
        assert [(r.records, r.train, r.heldout, r.problems) for r in rows.values()] == [(3, 2, 1, 1), (1, 1, 0, 0)]
        assert rows["answers"].sha256 == "ab" * 32
        assert [record.prompt.text for record in store.records("answers")] == [f"question {n}" for n in range(3)]
        assert store.problems("answers") == ([(4, "'chosen' is missing")], 1)
        assert store.curves("sft-1") == {"train/loss": ([1], [2.5])}
        assert [run.outcome for run in store.runs()] == ["stopped"]
        judgement = Judgement(who="Ada", when=1.0, verdict="ranked", ranks=(2, 1))
        key = store.page("answers")[0].id
        store.judge("answers", key, judgement)
        assert list(store.verdicts("answers")) == [(key, judgement)]
    with sqlite3.connect(path) as new:
        assert new.execute("PRAGMA user_version").fetchone()[0] == len(schema.MIGRATIONS)
        assert new.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    new.close()
    [copy] = backups(path)
    assert copy.why == "version-1"
    with sqlite3.connect(copy.path) as backup:
        assert backup.execute("PRAGMA user_version").fetchone()[0] == 1
        assert backup.execute("SELECT count(*) FROM records").fetchone()[0] == 4
    backup.close()


def test_a_version_2_database_keeps_verdicts_and_gains_labels_and_sketches(tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    with sqlite3.connect(path) as old:
        old.executescript(VERSION_2.read_text(encoding="utf-8"))
    old.close()
    with Store.open(path) as store:
        assert [judgement.who for _, judgement in store.verdicts("answers")] == ["Ada"]
        (row,) = store.runs()
        assert (row.dataset, row.tags, row.note, row.trashed) == ("answers", (), "a first try", None)
        assert store.sketch("sft-1", "train/loss", most=100) == (
            ([0, 64, 128, 192, 300], [2.0, 2.5, 1.5, 1.5, 0.5]),
            False,
        )
        store.label_run("sft-1", ("good",), "better")
        assert [(row.tags, row.note) for row in store.runs()] == [(("good",), "better")]
    [copy] = backups(path)
    assert copy.why == "version-2"
