"""Several processes and several connections of each on one database: nobody pulls the log from under the others."""

import subprocess
import sys
from pathlib import Path

from rlhf_lab.core.records import Message, Prompt, PromptOnly
from rlhf_lab.store import Store

_OTHER = """
import sys
from pathlib import Path
from rlhf_lab.store import Store
with Store.open(Path(sys.argv[1])) as store:
    print(len(store.datasets()))
"""


def add(store: Store, name: str) -> None:
    with store.new_dataset(name, "lab", "prompt") as writer:
        writer.add([PromptOnly(prompt=Prompt(messages=(Message(role="user", content=name),)))])


def test_a_process_that_leaves_does_not_take_the_log_of_those_who_stay(tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    with Store.open(path) as first:
        add(first, "one")
        # A second connection of the same process: opening and closing the file itself would give up the locks of
        # the first, and the other process would believe that it is alone.
        with Store.open(path) as second:
            add(second, "two")
        found = subprocess.run([sys.executable, "-c", _OTHER, str(path)], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "2"
        assert path.with_name("lab.sqlite-wal").exists(), "it is still in use"
        add(first, "three")
        assert [row.name for row in first.datasets()] == ["one", "two", "three"]
    with Store.open(path) as again:
        assert [row.name for row in again.datasets()] == ["one", "two", "three"]
