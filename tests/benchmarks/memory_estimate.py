"""Is the memory that a run needs foretold? ``PYTHONPATH=. python tests/benchmarks/memory_estimate.py [--json]``

Peaks of real PPO runs, each in a process of its own on the CPU, beside what `rlhf_lab.core.memory` says of them before
they start. All rows are as long as the settings allow, since that is what is foretold. Ends with 1 when an estimate is
off by more than 20%.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from speed_ppo import SHAPES, make_work, output_of

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.memory import Shape, estimate

OFF = 0.2
CASES: tuple[tuple[str, dict[str, int], dict[str, str]], ...] = (
    ("10M", {}, {}),
    ("10M", {"batch": 64, "micro_batch": 64}, {}),
    ("10M", {"batch": 64, "micro_batch": 64}, {"lora_layers": "0.33"}),
    ("10M", {"batch": 64, "micro_batch": 8}, {"dtype": "bf16"}),
    ("135M", {}, {}),
    ("135M", {}, {"lora_layers": "0.33"}),
    ("135M", {}, {"dtype": "bf16"}),
    ("135M", {}, {"lora_layers": "0.33", "dtype": "bf16"}),
    ("135M", {"batch": 8, "micro_batch": 2}, {}),
    ("135M", {"prompt": 128, "answer": 128}, {"lora_layers": "0.33"}),
)
"""Shape, what differs from 8 rows of 64 + 32 tokens, settings."""


def measure(shape: str, sizes: dict[str, int], settings: dict[str, str]) -> dict[str, Any]:
    """One case: both figures in MB."""
    usual = {"batch": 8, "micro_batch": 8, "prompt": 64, "answer": 32, "updates": 1, "threads": 1}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_work(folder, argparse.Namespace(shape=shape, **usual | sizes))
        given = [f"{name}={value}" for name, value in settings.items()]
        command = [sys.executable, str(Path(__file__).with_name("speed_lab.py")), str(folder), *given]
        peak = output_of(command)["peak_mb"]
        work = json.loads((folder / "work.json").read_text())["lab"]
        config = PpoConfig.model_validate(work | settings | {"reward_model": "reward"})
        model = Shape.of(json.loads((folder / "base" / "config.json").read_text()))
        foretold = estimate(config, model)
    return {
        "case": f"{shape} {' '.join(f'{k}={v}' for k, v in (sizes | settings).items())}",
        "foretold_mb": foretold.total / 2**20,
        "measured_mb": peak,
        "ratio": foretold.total / 2**20 / peak,
        "parts": foretold.as_megabytes(),
    }


def main() -> int:
    """All cases, or those of one shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.json:
        sys.stdout.write(f"{'':50} {'foretold':>9} {'measured':>9} {'ratio':>6}\n")
    rows = []
    for case in CASES:
        if options.shape not in (None, case[0]):
            continue
        rows.append(measure(*case))
        if not options.json:
            figures = "{foretold_mb:9.0f} {measured_mb:9.0f} {ratio:6.2f}".format(**rows[-1])
            sys.stdout.write(f"{rows[-1]['case']:50} {figures}\n")
            sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    return 0 if all(abs(row["ratio"] - 1) <= OFF for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
