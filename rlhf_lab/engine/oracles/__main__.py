"""``python -m rlhf_lab.engine.oracles [--all] [--device cpu]``: one JSON line a row as soon as it is known.

The first line says what it runs on. A check that breaks off is a row too, and the others still run.
"""

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import libraries


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; 1 when a row does not hold."""
    parser = argparse.ArgumentParser(prog="python -m rlhf_lab.engine.oracles", description=__doc__)
    parser.add_argument("--all", action="store_true", help="the slow ones too")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args(arguments)
    from rlhf_lab.engine import machine

    machine.use_threads(1)
    try:
        device = machine.pick_device(given.device)
    except LabError as error:
        _say({"error": str(error)})
        return 1
    libraries.load()
    from rlhf_lab.engine.oracles.bench import Bench
    from rlhf_lab.engine.oracles.checks import EVERY, QUICK
    from rlhf_lab.engine.oracles.oracle import Oracle

    checks = EVERY if given.all else QUICK
    names = {"device": machine.describe(device, machine.pick_dtype("fp32", device)), "versions": machine.versions()}
    _say(names | {"checks": len(checks)})
    good = True
    with tempfile.TemporaryDirectory(prefix="rlhf-lab-selfcheck-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bench = Bench(Path(folder), device.type)
        for check in checks:
            try:
                rows = list(check(bench))
            except Exception as error:
                words = f"{type(error).__name__}: {error}"
                rows = [Oracle(f"{check.__name__.replace('_', ' ')} broke off", 0, float("nan"), 0, words)]
            for row in rows:
                good &= row.ok
                _say(row.as_json())
    return 0 if good else 1


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
