"""What people call things: stages, runs, so many of something, sizes. Imports nothing, so that it costs nothing."""

from typing import Literal

Stage = Literal["sft", "reward", "ppo", "rloo", "dpo", "best_of_n"]

STAGE_NAMES: dict[Stage, str] = {
    "sft": "SFT",
    "reward": "Reward",
    "ppo": "PPO",
    "rloo": "RLOO",
    "dpo": "DPO",
    "best_of_n": "Best of n",
}
"""How people call them."""
POLICY_STAGES: tuple[Stage, ...] = ("ppo", "rloo", "dpo", "best_of_n")
"""What the Policy pane offers; all but the last leave an adapter."""


def run_title(run: str) -> str:
    """How people call a run: "PPO 3"; what is no id of a run is left as it is."""
    stage, _, number = run.rpartition("-")
    return next((f"{name} {number}" for known, name in STAGE_NAMES.items() if known == stage), run)


def so_many(count: int, word: str) -> str:
    """ "1 run", "2,000 runs", "3 batches"."""
    return f"{count:,} {word if count == 1 else f'{word}es' if word.endswith('ch') else f'{word}s'}"


def gigabytes(size: int) -> str:
    """For people."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size >> 20} MB"
