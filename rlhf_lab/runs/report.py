"""What the guided experiment showed: the key figures as JSON, and a page with plots and samples.

The figures come from the runs' own logs, so a report can be built again from the run folders alone.
"""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Health, Metrics, Resumed, SampleRow, Samples, superseded_after
from rlhf_lab.core.health import as_json, standing
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.core.naming import Stage
from rlhf_lab.runs import report_page
from rlhf_lab.runs.folder import RunFolder, write_private
from rlhf_lab.runs.log import said_so_far
from rlhf_lab.runs.project import Project

Curve = list[tuple[int, float]]

_RESAMPLES = 4000
_SHOWN_PER_KIND = 3
_SHOWN = 15


@dataclass(frozen=True)
class RunStory:
    """What one run said: each metric as a curve over steps, its held-out answers, and the verdicts on it."""

    run: str
    curves: dict[str, Curve] = field(default_factory=dict)
    heldout: list[tuple[SampleRow, ...]] = field(default_factory=list)
    verdicts: list[Health] = field(default_factory=list)
    """Those that held at the end."""

    def first(self, name: str) -> float | None:
        """The metric's first value that is a number."""
        return next((value for _, value in self.curves.get(name, [])), None)

    def last(self, name: str) -> float | None:
        """The metric's last value that is a number."""
        return next((value for _, value in reversed(self.curves.get(name, []))), None)


def build(
    project: Project, runs: Mapping[Stage, str], quiz: Mapping[str, float | None], seconds: float
) -> dict[str, Any]:
    """Write ``reports/<PPO run>/report.html`` and ``report.json``; return what ``demo --json`` prints."""
    folders = {stage: project.run(runs[stage]) for stage in ("sft", "reward", "ppo")}
    stories = {stage: read_story(folder) for stage, folder in folders.items()}
    place = project.folder / "reports" / runs["ppo"]
    figures = _figures(stories, folders["reward"], quiz)
    figures["health"] = [
        {"run": story.run} | as_json(verdict) for story in stories.values() for verdict in story.verdicts
    ]
    figures |= {"report": str(place / "report.html"), "seconds": round(seconds, 1)}
    changes = before_and_after(stories["ppo"])
    numbers = {
        **figures,
        "before_and_after": {name: {"before": b, "after": a} for name, (b, a) in changes.items()},
        "curves": {stage: story.curves for stage, story in stories.items()},
    }
    page = report_page.render(figures, {s: story.curves for s, story in stories.items()}, changes, samples(stories))
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(place / "report.json", json.dumps(numbers, indent=1, allow_nan=False))
        write_private(place / "report.html", page)
    except OSError as error:
        raise LabError(f"The report cannot be written to {place}: {error.strerror or error}.") from None
    return figures


def read_story(folder: RunFolder) -> RunStory:
    """Read a run's log; what a later attempt superseded and what is not a finite number is left out."""
    events = superseded_after(said_so_far(folder.events_path, Metrics, Samples, Health, Resumed))
    story = RunStory(folder.run, verdicts=standing(events))
    for event in events:
        if isinstance(event, Metrics):
            for name, value in event.values.items():
                if math.isfinite(value):
                    story.curves.setdefault(name, []).append((event.step, value))
        elif isinstance(event, Samples) and event.name == "heldout":
            story.heldout.append(event.rows)
    return story


def gain_interval(
    before: Sequence[SampleRow], after: Sequence[SampleRow], value: str = "gold"
) -> tuple[float, float] | None:
    """95% paired bootstrap interval of the mean of after − before, over the prompts that both answer."""
    gains = [
        b.values[value] - a.values[value] for a, b in paired(before, after) if value in a.values and value in b.values
    ]
    gains = [gain for gain in gains if math.isfinite(gain)]
    if len(gains) < 2:
        return None
    dice, n = random.Random(0), len(gains)
    means = sorted(math.fsum(dice.choices(gains, k=n)) / n for _ in range(_RESAMPLES))
    return means[round(0.025 * (_RESAMPLES - 1))], means[round(0.975 * (_RESAMPLES - 1))]


def paired(before: Sequence[SampleRow], after: Sequence[SampleRow]) -> list[tuple[SampleRow, SampleRow]]:
    """Answers to the same prompts, in the order of ``before``."""
    answers = {row.prompt: row for row in after}
    return [(row, answers[row.prompt]) for row in before if row.prompt in answers]


def before_and_after(ppo: RunStory) -> dict[str, tuple[float, float]]:
    """First and last value of everything in the catalogue that was looked at on held-out prompts."""
    curves = {name: ppo.curves[name] for name in METRICS if name.startswith("eval/") and name in ppo.curves}
    return {name: (curve[0][1], curve[-1][1]) for name, curve in curves.items() if len(curve) > 1}


def samples(stories: Mapping[str, RunStory]) -> list[tuple[SampleRow, SampleRow]]:
    """A few held-out prompts with both answers: the first of each kind of question, not picked by result."""
    looks = stories["ppo"].heldout
    if len(looks) < 2:
        return []
    kinds: dict[object, list[tuple[SampleRow, SampleRow]]] = {}
    for pair in paired(looks[0], looks[-1]):
        kinds.setdefault(pair[0].tags.get("world"), []).append(pair)
    shown = [pair for pairs in kinds.values() for pair in pairs[:_SHOWN_PER_KIND]]
    return shown[:_SHOWN] if len(kinds) > 1 else next(iter(kinds.values()), [])[:_SHOWN]


def _figures(stories: Mapping[str, RunStory], reward: RunFolder, quiz: Mapping[str, float | None]) -> dict[str, Any]:
    sft, ppo, scorer = stories["sft"], stories["ppo"], stories["reward"]
    interval = gain_interval(ppo.heldout[0], ppo.heldout[-1]) if len(ppo.heldout) > 1 else None
    deviation = ppo.first("policy/ratio_first_dev")
    return {
        "sft": {"run": sft.run, "loss_first": sft.first("train/loss"), "loss_last": sft.last("train/loss")},
        "reward": {
            "run": scorer.run,
            "heldout_accuracy": scorer.last("eval/accuracy"),
            "heldout_accuracy_clean": scorer.last("eval/accuracy_clean"),
            "heldout_n": min(reward.config.eval_size, reward.manifest.heldout),
        },
        "ppo": {
            "run": ppo.run,
            "score_before": ppo.first("eval/score"),
            "score_after": ppo.last("eval/score"),
            "score_sd_before": ppo.first("eval/score_sd"),
            "gold_before": ppo.first("eval/gold"),
            "gold_after": ppo.last("eval/gold"),
            "gold_gain_interval": list(interval) if interval else None,
            "kl_after": ppo.last("eval/kl"),
            "harmless_refused": ppo.last("eval/harmless_refused"),
            # The ratio that lies farthest from 1 before the first optimiser step.
            "ratio_first_update": None if deviation is None else 1.0 + deviation,
            "kl_first_update": ppo.first("objective/kl"),
        },
        "quiz": {name: quiz.get(name) for name in ("base", "sft", "ppo")},
    }
