"""The lab's side of `speed_stages.py`: some steps of one stage on the data of a folder, timed.

    python -m tests.benchmarks.speed_stages_lab FOLDER STAGE [lora_layers=0.33] [any other setting=value]

Prints one JSON object: seconds of each step, by the clock and of the CPU, peak memory in MB, what the first step found.
"""

import json
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from peak import peak_mb

from rlhf_lab.core.config import STAGES
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.events import Finished, Metrics, Started, Warned
from rlhf_lab.core.naming import Stage
from rlhf_lab.core.records import load_record
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.stages import TRAIN

FIRST = {"sft": "train/loss", "reward": "reward/loss", "dpo": "dpo/loss", "rloo": "val/response_length"}


def main(folder: Path, stage: Stage, changes: dict[str, str]) -> None:
    """Every step of one run; the first also pays for what is set up once."""
    work = json.loads((folder / f"{stage}.json").read_text())
    config = STAGES[stage].model_validate(work["lab"] | changes)
    with tempfile.TemporaryDirectory() as out:
        parts = Parts(
            folder=Path(out),
            records=[load_record(json.dumps(record)) for record in work["records"]],
            model=folder / "base",
            start_adapters=(),
            reward_adapter=folder / f"reward-{config.lora_layers}" if stage == "rloo" else None,
            reward_model=None,
            reward_start_adapters=(),
            control=NoControl(),
        )
        events, stamps = [], []
        for event in TRAIN[stage](config, parts):
            events.append(event)
            if isinstance(event, Started | Metrics):
                stamps.append((time.perf_counter(), time.process_time()))
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.outcome == "done", end.message
    sys.stdout.write(
        json.dumps(
            {
                "device": next(event.device for event in events if isinstance(event, Started)),
                "warned": [event.text for event in events if isinstance(event, Warned) and event.code != "no_heldout"],
                "seconds": [later[0] - earlier[0] for earlier, later in pairwise(stamps)],
                "cpu_seconds": [later[1] - earlier[1] for earlier, later in pairwise(stamps)],
                "peak_mb": peak_mb(),
                "first": next(event.values[FIRST[stage]] for event in events if isinstance(event, Metrics)),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], dict(argument.split("=", 1) for argument in sys.argv[3:]))
