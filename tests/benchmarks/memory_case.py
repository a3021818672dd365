"""One row of `memory_estimate.py`: a run in this process, and the most memory it held.

    python tests/benchmarks/memory_case.py FOLDER CONFIG

FOLDER is what `make_work` left; CONFIG is the run's config as JSON. Prints one JSON object: peak memory in MB after each
phase of the run, and the device.
"""

import json
import sys
import tempfile
from pathlib import Path

from peak import peak_mb

from rlhf_lab.core.config import CONFIG
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.events import Finished, Phase, Started
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.record_file import RecordFile
from rlhf_lab.engine.stages import TRAIN


def main(folder: Path, given: str) -> None:
    """The whole run."""
    config = CONFIG.validate_json(given)
    rewarded = getattr(config, "reward_model", None) is not None
    phases, device, end = {}, "", None
    with tempfile.TemporaryDirectory() as out:
        parts = Parts(
            folder=Path(out),
            records=RecordFile(folder / f"{config.stage}.jsonl"),
            model=Path(config.model),
            start_adapters=(),
            reward_adapter=folder / f"reward-{config.lora_layers}" if rewarded else None,
            reward_model=None,
            reward_start_adapters=(),
            control=NoControl(),
        )
        name = "libraries"
        for event in TRAIN[config.stage](config, parts):
            if isinstance(event, Phase):
                phases[name] = peak_mb()
                name = event.name
            device = event.device if isinstance(event, Started) else device
            end = event
    assert isinstance(end, Finished)
    assert end.outcome == "done", end.message
    sys.stdout.write(json.dumps({"device": device, "phases": phases | {name: peak_mb()}, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
