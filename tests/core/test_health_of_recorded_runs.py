"""Healthy runs as they were: the guided experiment on three seeds, RLOO and DPO on the bundled world. All stay silent."""

import gzip
from pathlib import Path

import pytest

from rlhf_lab.core.config import CONFIG, RunConfig
from rlhf_lab.core.events import AnyEvent, Metrics, load_event
from rlhf_lab.core.health import Watch

RUNS = sorted((Path(__file__).parents[1] / "golden" / "health").glob("*.jsonl.gz"))


def recorded(path: Path) -> tuple[RunConfig, list[AnyEvent]]:
    """The config is the first line; of the events there is what the rules look at."""
    first, *rest = gzip.decompress(path.read_bytes()).splitlines()
    return CONFIG.validate_json(first), [event for line in rest if (event := load_event(line)) is not None]


def codes(config: RunConfig, events: list[AnyEvent]) -> set[str]:
    watch = Watch(config)
    return {verdict.code for event in events for verdict in watch.take(event)}


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name.partition(".")[0])
def test_a_healthy_run_has_no_verdict(path: Path) -> None:
    assert codes(*recorded(path)) == set()


def test_all_stages_that_train_are_there() -> None:
    assert {recorded(path)[0].stage for path in RUNS} == {"sft", "reward", "ppo", "rloo", "dpo"}


@pytest.mark.parametrize(
    ("run", "metric", "factor", "code"),
    [
        ("ppo-seed-0", "objective/kl", -1.0, "kl_negative"),
        ("ppo-seed-1", "policy/approxkl_avg", 50.0, "large_steps"),
        ("ppo-seed-2", "val/eos_rate", 0.7, "rambling"),
        ("reward-seed-0", "reward/margin", 0.0, "dead_head"),
        ("reward-seed-1", "eval/accuracy", 0.5, "reversed"),
        ("dpo", "optim/grad_norm", 0.0, "no_gradient"),
        ("sft-seed-0", "optim/grad_norm", 0.0, "no_gradient"),
    ],
)
def test_a_curve_of_it_that_is_changed_is_noticed(run: str, metric: str, factor: float, code: str) -> None:
    (path,) = (path for path in RUNS if path.name.startswith(f"{run}."))
    config, events = recorded(path)
    changed: list[AnyEvent] = []
    for event in events:
        if isinstance(event, Metrics) and metric in event.values:
            changed.append(event.model_copy(update={"values": event.values | {metric: factor * event.values[metric]}}))
        else:
            changed.append(event)
    assert code in codes(config, changed)
