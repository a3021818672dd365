"""The lab's side of `speed_ppo.py`: some updates of PPO on the prompts and adapters of a folder, timed.

    python -m tests.benchmarks.speed_lab FOLDER [layers=0.34] [dtype=bf16] [any other setting=value]

Prints one JSON object: seconds of each update and of its phases, tokens sampled, peak memory in MB.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.events import Finished, Metrics, Phase, Started, Warned
from rlhf_lab.core.records import Message, Prompt, PromptOnly
from rlhf_lab.engine import ppo
from rlhf_lab.engine.parts import Parts

PHASES = ("time/rollout", "time/score", "time/learn", "time/step")


def main(folder: Path, changes: dict[str, str]) -> None:
    """Every update of one run; the first also pays for what is set up once."""
    work = json.loads((folder / "work.json").read_text())
    prompts = [Prompt(messages=(Message(role="user", content=text),)) for text in work["prompts"]]
    config = PpoConfig.model_validate(work["lab"] | changes)
    with tempfile.TemporaryDirectory() as out:
        parts = Parts(
            folder=Path(out),
            records=[PromptOnly(prompt=prompt) for prompt in prompts],
            model=folder / "base",
            start_adapters=(),
            reward_adapter=folder / f"reward-{config.lora_layers}",
            reward_model=None,
            reward_start_adapters=(),
            control=NoControl(),
        )
        events, stamps = [], []
        for event in ppo.train(config, parts):
            events.append(event)
            if isinstance(event, Phase | Metrics):
                stamps.append((type(event) is Metrics, time.process_time()))
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.outcome == "done", end.message
    metrics = [event.values for event in events if isinstance(event, Metrics)]
    sys.stdout.write(
        json.dumps(
            {
                "device": next(event.device for event in events if isinstance(event, Started)),
                "warned": [event.text for event in events if isinstance(event, Warned) and event.code != "no_heldout"],
                "seconds": [values["time/step"] for values in metrics],
                "cpu_seconds": [
                    b - a for (_, a), _, (done, b) in zip(stamps, stamps[1:], stamps[2:], strict=False) if done
                ],
                "phases": [{name: values[name] for name in PHASES} for values in metrics],
                "tokens": [values["val/response_length"] * config.batch_size for values in metrics],
                "first_ratio_off": max(values["policy/ratio_first_dev"] for values in metrics),
                "peak_mb": metrics[-1]["perf/memory"],
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:]))
