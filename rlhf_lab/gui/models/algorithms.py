"""The algorithms that the Policy pane offers, as people choose them: a stage, or a stage with certain settings. No Qt."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlhf_lab.core.naming import STAGE_NAMES, Stage

GRPO: Mapping[str, Any] = {
    "advantage": "group_mean",
    "normalise_advantage": True,
    "kl_coef": 0.0,
    "kl_loss_coef": 0.04,
}
"""What makes RLOO the algorithm of DeepSeekMath (arXiv 2402.03300); its KL stands in the loss, not in the reward."""


@dataclass(frozen=True)
class Algorithm:
    """One entry of the choice; ``settings`` tell it from others of the same stage."""

    title: str
    stage: Stage
    sentence: str
    settings: Mapping[str, Any] = field(default_factory=dict)


ALGORITHMS: tuple[Algorithm, ...] = (
    Algorithm(
        STAGE_NAMES["ppo"], "ppo", "Scores its own answers; a critic says how much better each token was than expected."
    ),
    Algorithm(
        STAGE_NAMES["rloo"], "rloo", "Several answers to a prompt are each other's baseline. No critic to go wrong."
    ),
    Algorithm("GRPO", "rloo", "RLOO with scores divided by their spread, and KL in the loss. A preset of RLOO.", GRPO),
    Algorithm(
        STAGE_NAMES["dpo"], "dpo", "Learns from pairs directly: no reward model, and no sampling while it trains."
    ),
    Algorithm(
        STAGE_NAMES["best_of_n"],
        "best_of_n",
        "Trains nothing: writes n answers and keeps the one that scores best. The baseline to beat.",
    ),
)


def algorithm_of(stage: Stage, answers: Mapping[str, Any]) -> Algorithm:
    """What people call this stage with these answers of its form."""
    fitting = [a for a in ALGORITHMS if a.stage == stage]
    telling = ("advantage", "normalise_advantage")
    named = (a for a in fitting if a.settings and all(answers.get(name) == a.settings[name] for name in telling))
    return next(named, fitting[0])


def variant(stage: Stage, answers: Mapping[str, Any]) -> str:
    """What people call a run of these settings where that is not its stage's name: "GRPO"; else ""."""
    named = (a for a in ALGORITHMS if a.settings and a.stage == stage)
    return next((a.title for a in named if algorithm_of(stage, answers) is a), "")
