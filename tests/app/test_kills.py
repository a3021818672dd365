"""The kill benchmark in short: whoever saves, migrates, imports or restores is killed, nothing is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = ["checkpoint writing", "migration", "import", "backup and restore"]
pytestmark = pytest.mark.usefixtures("warm_children")

if os.name == "posix":  # nothing else has SIGKILL and fork

    def killed(*command: str, json_file: Path) -> tuple[int, dict[str, dict[str, int]], str]:
        done = subprocess.run(
            [sys.executable, "-m", *command, "--json", str(json_file)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert json_file.exists(), done.stderr
        return done.returncode, json.loads(json_file.read_text()), done.stdout

    def test_kill_9_at_random_moments_loses_nothing(tmp_path: Path) -> None:
        asked = ["tests.benchmarks.kills", "--minutes", "0", "--only", *KINDS]
        status, found, said = killed(*asked, json_file=tmp_path / "found.json")
        assert status == 0, said
        assert all(found[kind]["runs"] > 0 for kind in KINDS)
        assert sum(found[kind]["kills"] for kind in KINDS) >= 8
        assert "FAULT" not in said

    def test_the_benchmark_finds_checkpoints_that_are_written_in_place(tmp_path: Path) -> None:
        asked = ["tests.benchmarks.kills_careless", "--minutes", "0.05", "--only", "checkpoint writing"]
        status, found, said = killed(*asked, json_file=tmp_path / "found.json")
        assert status == 1
        assert found["checkpoint writing"]["corrupt"] > 0
        assert "FAULT checkpoints" in said
