"""What a run is asked to do. Each field is declared once: type, range, default, label, help.

The form in the window, ``rlhf-lab config``, ``--set``, the TOML file, the README's table and the
validation all come from these declarations.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Stage = Literal["sft", "reward", "ppo"]


def setting(default: Any, label: str, help: str, *, basic: bool = False, unit: str = "", **limits: Any) -> Any:
    """A config field: ``label`` and ``help`` are for people, ``basic`` fields come first in the form."""
    extra: dict[str, Any] = {"basic": basic, "unit": unit}
    return Field(default, title=label, description=help, json_schema_extra=extra, **limits)


class BaseRun(BaseModel):
    """What every stage asks: data, model, LoRA, optimiser, limits, how often to look and to save."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str = setting("", "Data set", "Name of a data set in the project.", basic=True, max_length=200)
    model: str = setting(
        "bundled",
        "Base model",
        '"bundled", a folder with safetensors, a .gguf file, or a hub id that is already downloaded.',
        basic=True,
        min_length=1,
    )
    start_from: str | None = setting(
        None, "Start from", "A run whose adapter is merged into the base first, usually an SFT run.", basic=True
    )
    seed: int = setting(0, "Seed", "Same seed, data and machine: the same run.", basic=True, ge=0, lt=2**31)
    max_prompt_tokens: int = setting(
        256, "Longest prompt", "Longer prompts lose their oldest turns first.", unit="tokens", ge=4, le=131_072
    )
    max_new_tokens: int = setting(
        128, "Longest answer", "Answers are cut after so many tokens.", basic=True, unit="tokens", ge=1, le=131_072
    )
    batch_size: int = setting(
        32, "Batch size", "Examples (SFT), pairs (reward) or episodes (PPO) per step.", basic=True, ge=1, le=65_536
    )
    micro_batch_size: int = setting(
        8,
        "Micro-batch",
        "How many go through the model at once. Changes memory and speed, never the result.",
        ge=1,
        le=65_536,
    )
    learning_rate: float = setting(3e-4, "Learning rate", "Of AdamW, for the LoRA weights.", basic=True, gt=0, le=1)
    warmup_steps: int = setting(0, "Warm-up", "Steps over which the learning rate rises.", unit="steps", ge=0)
    max_grad_norm: float = setting(
        1.0, "Gradient clip", "Longest gradient of a step; longer ones are scaled down.", gt=0, le=1e6
    )
    lora_r: int = setting(16, "LoRA rank", "Width of the trained adapter.", ge=1, le=1024)
    lora_alpha: int = setting(32, "LoRA alpha", "The adapter's output is scaled by alpha / rank.", ge=1, le=8192)
    dtype: Literal["fp32", "bf16", "auto"] = setting(
        "fp32",
        "Base precision",
        "Of the frozen base; adapters are always fp32. auto: bf16 where the device computes it natively.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "Device", "auto: a GPU when there is one.")
    threads: int = setting(0, "Threads", "0: one fewer than the cores, so that the window stays smooth.", ge=0, le=1024)
    eval_every: int = setting(
        10, "Evaluate every", "Steps between looks at held-out data; 0: only at the end.", unit="steps", ge=0
    )
    eval_size: int = setting(128, "Held-out examples", "How many of them each look uses.", ge=1, le=1_000_000)
    checkpoint_every: int = setting(
        50, "Save every", "Steps between checkpoints; the last two are kept. 0: only at the end.", unit="steps", ge=0
    )
    note: str = setting("", "Note", "For yourself; kept with the run.", max_length=10_000)


class SftConfig(BaseRun):
    """Supervised fine-tuning: imitate the answers of demonstrations (or the chosen ones of pairs)."""

    stage: Literal["sft"] = "sft"
    max_steps: int = setting(200, "Steps", "Optimiser steps.", basic=True, ge=1, le=10_000_000)


class RewardConfig(BaseRun):
    """A Bradley-Terry reward model: learn from pairs which answer people prefer."""

    stage: Literal["reward"] = "reward"
    max_steps: int = setting(
        200, "Steps", "Optimiser steps; about one pass over the pairs is usual.", basic=True, ge=1, le=10_000_000
    )
    rankings: Literal["all", "adjacent"] = setting(
        "all",
        "Pairs of a ranking",
        "all: every two answers of a ranked or rated prompt; adjacent: neighbours alone. They share the weight of one.",
    )
    ties: Literal["half", "drop"] = setting(
        "half", "Ties", "half: either answer should win half of the time; drop: they are left out."
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
    normalise: bool = setting(
        True,
        "Normalise scores",
        "After training, shift and scale scores so that answers sampled before PPO have mean 0 and deviation 1.",
    )


class PpoConfig(BaseRun):
    """PPO against a reward model, under a KL penalty to the model it started from."""

    stage: Literal["ppo"] = "ppo"
    reward_model: str | None = setting(None, "Reward model", "A finished reward run.", basic=True)
    updates: int = setting(
        20, "Updates", "Each samples a batch of answers and learns from it.", basic=True, ge=1, le=10_000_000
    )
    epochs: int = setting(4, "Epochs", "Passes over each batch of answers.", ge=1, le=64)
    minibatches: int = setting(1, "Minibatches", "Optimiser steps per epoch.", ge=1, le=1024)
    kl_coef: float = setting(
        0.05,
        "KL penalty (β)",
        "How dear it is to move away from the start. Low: reward hacking; high: no learning.",
        basic=True,
        ge=0,
        le=100,
    )
    adaptive_kl: bool = setting(False, "Adaptive β", "Steer β so that KL stays near the target.")
    target_kl: float = setting(6.0, "Target KL", "For adaptive β, a response.", unit="nats", gt=0, le=1000)
    kl_horizon: int = setting(10_000, "KL horizon", "Episodes over which adaptive β reacts.", ge=1)
    temperature: float = setting(
        1.0, "Temperature", "Of sampling and of every logprob, the reference's too.", gt=0, le=5
    )
    missing_eos: Literal["none", "replace", "subtract"] = setting(
        "none",
        "Answers without an end",
        "replace: their score becomes the penalty; subtract: the penalty is taken off.",
    )
    missing_eos_penalty: float = setting(
        1.0, "Penalty", "For answers that hit the length limit; replace puts minus this.", ge=0, le=1000
    )
    whiten_rewards: bool = setting(False, "Whiten rewards", "Scale per-token rewards to unit variance, mean kept.")
    gamma: float = setting(1.0, "Discount (γ)", "Of later rewards.", gt=0, le=1)
    gae_lambda: float = setting(0.95, "GAE λ", "1: Monte Carlo; 0: one-step.", ge=0, le=1)
    clip_range: float = setting(0.2, "Policy clip", "Of the probability ratio around 1.", gt=0, lt=10)
    value_clip_range: float = setting(0.2, "Value clip", "How far a value may move in one update.", gt=0, le=1000)
    value_coef: float = setting(0.1, "Value coefficient", "Weight of the value loss.", ge=0, le=100)
    value_learning_rate: float = setting(3e-4, "Critic learning rate", "Of the value adapter and head.", gt=0, le=1)
    value_warm_start: bool = setting(
        True, "Warm-start the critic", "From the reward adapter, where both share the base; else a zero head."
    )

    @model_validator(mode="after")
    def _minibatches_fit(self) -> "PpoConfig":
        if self.minibatches > self.batch_size:
            raise ValueError(f"minibatches ({self.minibatches}) must not exceed batch_size ({self.batch_size})")
        return self


RunConfig = SftConfig | RewardConfig | PpoConfig
CONFIG: TypeAdapter[RunConfig] = TypeAdapter(Annotated[RunConfig, Field(discriminator="stage")])
STAGES: dict[Stage, type[SftConfig] | type[RewardConfig] | type[PpoConfig]] = {
    "sft": SftConfig,
    "reward": RewardConfig,
    "ppo": PpoConfig,
}
"""In the order of the work."""


def total_steps(config: RunConfig) -> int:
    """How many steps the run has in all: updates for PPO, optimiser steps else."""
    return config.updates if isinstance(config, PpoConfig) else config.max_steps


def is_basic(name: str, config: type[BaseRun]) -> bool:
    """Whether the field stands in the first part of the form."""
    extra = config.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and extra.get("basic") is True
