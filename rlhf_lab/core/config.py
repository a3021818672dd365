"""What a run is asked to do: a config model a stage.

The form in the window, ``rlhf-lab config``, ``--set``, the TOML file, the README's table and the
validation all come from these declarations.
"""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from rlhf_lab.core.naming import Stage, so_many
from rlhf_lab.core.settings import BaseRun, OnPolicyRun, PairSettings, ScoreSettings, setting


class SftConfig(BaseRun):
    """Supervised fine-tuning: imitate the answers of demonstrations (or the chosen ones of pairs)."""

    stage: Literal["sft"] = "sft"
    max_steps: int = setting(200, "Steps", "Optimiser steps.", basic=True, ge=1, le=10_000_000)
    packing: bool = setting(
        False, "Packing", "Put short examples into one row, none sees another. Changes speed, never the result."
    )


class RewardConfig(PairSettings, BaseRun):
    """A Bradley-Terry reward model: learn from pairs which answer people prefer."""

    stage: Literal["reward"] = "reward"
    max_steps: int = setting(
        200, "Steps", "Optimiser steps; about one pass over the pairs is usual.", basic=True, ge=1, le=10_000_000
    )
    use_margins: bool = setting(
        False, "Use margins", "Ask for a score difference of at least the pair's margin, where the data names one."
    )
    centre_coef: float = setting(
        0.0,
        "Centring",
        "Weight of (chosen + rejected)², which keeps scores of different prompts around one zero; 0.01 is usual.",
        ge=0,
        le=10,
    )
    heads: int = setting(
        1, "Heads", "An ensemble on one adapter: its mean is the score, its spread says how sure it is.", ge=1, le=16
    )
    normalise: bool = setting(
        True,
        "Normalise scores",
        "After training, shift and scale scores so that answers sampled before PPO have mean 0 and deviation 1.",
    )


class PpoConfig(OnPolicyRun):
    """PPO against a reward, under a KL penalty to the model it started from."""

    stage: Literal["ppo"] = "ppo"
    normalise_rewards: Literal["none", "batch", "running"] = setting(
        "none",
        "Normalise rewards",
        "Of the scores: to mean 0 and deviation 1 of the batch, or of all answers so far.",
    )
    whiten_rewards: bool = setting(False, "Whiten rewards", "Scale per-token rewards to unit variance, mean kept.")
    gamma: float = setting(1.0, "Discount (γ)", "Of later rewards.", gt=0, le=1)
    gae_lambda: float = setting(0.95, "GAE λ", "1: Monte Carlo; 0: one-step.", ge=0, le=1)
    value_clip_range: float = setting(0.2, "Value clip", "How far a value may move in one update.", gt=0, le=1000)
    value_coef: float = setting(0.1, "Value coefficient", "Weight of the value loss.", ge=0, le=100)
    value_learning_rate: float = setting(3e-4, "Critic learning rate", "Of the value adapter and head.", gt=0, le=1)
    value_warm_start: bool = setting(
        True,
        "Warm-start the critic",
        "From the reward adapter, where it was trained on the same base and no lower layers; else a zero head.",
    )


class RlooConfig(OnPolicyRun):
    """REINFORCE against the other answers to the same prompt: no critic. GRPO is one of its presets."""

    stage: Literal["rloo"] = "rloo"
    samples: int = setting(4, "Answers a prompt", "The batch holds so many answers to each prompt.", ge=2, le=64)
    epochs: int = setting(1, "Epochs", "Passes over each batch of answers.", ge=1, le=64)
    advantage: Literal["leave_one_out", "group_mean"] = setting(
        "leave_one_out", "Baseline", "What a score is compared with: the mean of the others, or of all (GRPO)."
    )
    normalise_advantage: bool = setting(
        False, "Divide by the spread", "Of the scores of the same prompt, as GRPO does."
    )
    kl_loss_coef: float = setting(
        0.0,
        "KL in the loss",
        "Weight of the k3 estimate as a loss, GRPO's way; its gradient is biased. The penalty β is taken off the score.",
        ge=0,
        le=100,
    )

    @model_validator(mode="after")
    def _groups_are_whole(self) -> Self:
        if self.batch_size % self.samples:
            raise ValueError(f"batch_size ({self.batch_size}) must be a multiple of samples ({self.samples})")
        return self


class DpoConfig(PairSettings, BaseRun):
    """Direct preference optimisation: learn from pairs without a reward model."""

    stage: Literal["dpo"] = "dpo"
    max_steps: int = setting(200, "Steps", "Optimiser steps.", basic=True, ge=1, le=10_000_000)
    beta: float = setting(
        0.1, "β", "How dear it is to move away from the start; for IPO, its regularisation.", basic=True, gt=0, le=100
    )
    loss: Literal["sigmoid", "ipo"] = setting(
        "sigmoid", "Loss", "sigmoid: DPO as published; ipo: a squared loss that does not run away on sure labels."
    )
    label_smoothing: float = setting(
        0.0, "Label smoothing", "The share of labels taken to be wrong (conservative DPO).", ge=0, lt=0.5
    )


class BestOfNConfig(ScoreSettings, BaseRun):
    """The baseline to beat: sample n answers to each held-out prompt, keep the one that scores best. Trains nothing."""

    stage: Literal["best_of_n"] = "best_of_n"
    samples: int = setting(
        16, "Answers a prompt (n)", "Smaller n come out of the same answers.", basic=True, ge=2, le=1024
    )
    temperature: float = setting(1.0, "Temperature", "Of sampling.", gt=0, le=5)


RunConfig = SftConfig | RewardConfig | PpoConfig | RlooConfig | DpoConfig | BestOfNConfig
CONFIG: TypeAdapter[RunConfig] = TypeAdapter(
    Annotated[RunConfig, Field(discriminator="stage")], config=ConfigDict(defer_build=True)
)
STAGES: dict[Stage, type[RunConfig]] = {
    "sft": SftConfig,
    "reward": RewardConfig,
    "ppo": PpoConfig,
    "rloo": RlooConfig,
    "dpo": DpoConfig,
    "best_of_n": BestOfNConfig,
}
"""In the order of the work."""
UNUSED: dict[Stage, frozenset[str]] = {
    "best_of_n": frozenset(
        {
            "learning_rate",
            "warmup_steps",
            "max_grad_norm",
            "lora_r",
            "lora_alpha",
            "lora_layers",
            "gradient_checkpointing",
            "eval_every",
        }
    )
}
"""What a stage has and does not use, since it trains nothing: neither a form nor a printed config asks for it."""


def step_word(stage: Stage) -> str:
    """What people call one step of the stage."""
    if issubclass(STAGES[stage], OnPolicyRun):
        return "update"
    return "batch" if stage == "best_of_n" else "step"


def steps_in_words(stage: Stage, count: int) -> str:
    """So many of them: "1 update", "3 batches"."""
    return so_many(count, step_word(stage))


def total_steps(config: RunConfig) -> int:
    """How many steps the run has in all: updates, optimiser steps, or for best-of-n batches of prompts."""
    if isinstance(config, OnPolicyRun):
        return config.updates
    return -(-config.eval_size // config.batch_size) if isinstance(config, BestOfNConfig) else config.max_steps


def total_field(stage: Stage) -> str | None:
    """The setting that says how many steps there are, and that may grow later; None where other settings say it."""
    fields = STAGES[stage].model_fields
    return next((name for name in ("updates", "max_steps") if name in fields), None)


def is_basic(name: str, config: type[BaseRun]) -> bool:
    """Whether the field stands in the first part of the form."""
    extra = config.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and extra.get("basic") is True
