"""A process that ranks is killed again and again; what it had acknowledged is there. The long form is a benchmark."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

if os.name == "posix":  # nothing else has SIGKILL and fork

    def test_kill_9_loses_no_acknowledged_verdict() -> None:
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests" / "benchmarks" / "kill_ranking.py"), "--kills", "20"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout)
        assert figures["kills"] == 20
        assert figures["faults"] == figures["lost"] == figures["corrupt"] == 0
        assert figures["notes"]["acknowledged actions"] >= 20
