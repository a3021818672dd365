"""Killed at any moment of a backup or a restore: the database is whole, and the one or the other."""

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from rlhf_lab.store import Store
from rlhf_lab.store.backups import ASKED, back_up, backups, check_sound
from tests.store.test_backups import names, pairs

KILLS = 6
SCRIPT = """
import sys
from pathlib import Path
from rlhf_lab.store.backups import backups, back_up, SCHEDULED
from rlhf_lab.store.restore import restore
database = Path(sys.argv[1])
one, two = [b for b in backups(database) if b.why == "asked"]
print("ready", flush=True)
while True:
    for backup in (one, two):
        back_up(database, SCHEDULED)
        restore(database, backup)
        for kept in backups(database):
            if kept.why != "asked":
                kept.path.unlink()
"""


def test_a_killed_restore_leaves_one_of_the_two_whole(tmp_path: Path) -> None:
    database = tmp_path / "lab.sqlite"
    for name, count in (("one", 400), ("two", 30)):
        with Store.open(database) as store:
            for row in store.datasets():
                store.delete_dataset(row.name)
            with store.new_dataset(name, "lab", "pair") as writer:
                writer.add(pairs(count))
        back_up(database, ASKED)
    chance, found = random.Random(3), set()
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", SCRIPT, str(database)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(chance.uniform(0.0, 0.4))
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.returncode < 0, "it went on until it was killed"
        with closing(sqlite3.connect(database)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        [name] = names(database)
        found.add(name)
        for backup in backups(database):
            with closing(sqlite3.connect(backup.path)) as db:
                check_sound(db, backup.path)
    assert found <= {"one", "two"}
