"""Settings that several stages share. Each field is declared once: type, range, default, label, help."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


def setting(default: Any, label: str, help: str, *, basic: bool = False, unit: str = "", **limits: Any) -> Any:
    """A config field: ``label`` and ``help`` are for people, ``basic`` fields come first in the form."""
    extra: dict[str, Any] = {"basic": basic, "unit": unit}
    return Field(default, title=label, description=help, json_schema_extra=extra, **limits)


FAST: Mapping[str, Any] = {"lora_layers": 0.33, "dtype": "auto"}
"""What makes a run on a larger model fast and lean, at the price of adapting less of it, on a rounded base."""


class BaseRun(BaseModel):
    """What every stage asks: data, model, LoRA, optimiser, limits, how often to look and to save."""

    # Built at its first use, as all of core's models: the window is shown before most of them are needed.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

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
        32,
        "Batch size",
        "Examples (SFT), pairs (reward, DPO), answers (PPO, RLOO) or prompts (best of n) per step.",
        basic=True,
        ge=1,
        le=65_536,
    )
    micro_batch_size: int = setting(
        8,
        "Micro-batch",
        "How many go through the model at once; 0: as many as fit into free memory. Changes memory and speed, never the "
        "result.",
        ge=0,
        le=65_536,
    )
    gradient_checkpointing: Literal["auto", "off", "on"] = setting(
        "auto",
        "Checkpointing",
        "Of gradients: activations are computed again on the way back instead of kept; a third slower, far less memory, the "
        "same result. auto: where else, by the estimate, not even one row would fit into free memory.",
    )
    learning_rate: float = setting(3e-4, "Learning rate", "Of AdamW, for the LoRA weights.", basic=True, gt=0, le=1)
    warmup_steps: int = setting(0, "Warm-up", "Steps over which the learning rate rises.", unit="steps", ge=0)
    max_grad_norm: float = setting(
        1.0, "Gradient clip", "Longest gradient of a step; longer ones are scaled down.", gt=0, le=1e6
    )
    lora_r: int = setting(16, "LoRA rank", "Width of the trained adapter.", ge=1, le=1024)
    lora_alpha: int = setting(32, "LoRA alpha", "The adapter's output is scaled by alpha / rank.", ge=1, le=8192)
    lora_layers: float = setting(
        1.0,
        "Layers trained",
        "Share of the model's layers, from the top, that the adapter sits on. 0.33, the top third: what lies below is "
        "computed once a batch for all roles and epochs, so a run is faster and leaner, but can change less.",
        gt=0,
        le=1,
    )
    dtype: Literal["fp32", "bf16", "auto"] = setting(
        "fp32",
        "Base precision",
        "Of the frozen base; adapters are always fp32. auto: bf16 where the device computes it natively.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "auto",
        "Device",
        "auto: a CUDA GPU where there is one, else the CPU. An Apple GPU is used with mps alone; nobody has tried it.",
    )
    threads: int = setting(0, "Threads", "0: one fewer than the cores, so that the window stays smooth.", ge=0, le=1024)
    eval_every: int = setting(
        10, "Evaluate every", "Steps between looks at held-out data; 0: only at the end.", unit="steps", ge=0
    )
    eval_size: int = setting(128, "Held-out examples", "How many of them each look uses.", ge=1, le=1_000_000)
    checkpoint_every: int = setting(
        50, "Save every", "Steps between checkpoints; the last two are kept. 0: only at the end.", unit="steps", ge=0
    )
    note: str = setting("", "Note", "For yourself; kept with the run.", max_length=10_000)


class PairSettings(BaseModel):
    """How rankings and ratings become the pairs that a stage learns from."""

    rankings: Literal["all", "adjacent"] = setting(
        "all",
        "Pairs of a ranking",
        "all: every two answers of a ranked or rated prompt; adjacent: neighbours alone. They share the weight of one.",
    )
    ties: Literal["half", "drop"] = setting(
        "half", "Ties", "half: either answer should win half of the time; drop: they are left out."
    )


class ScoreSettings(BaseModel):
    """Where the score of an answer comes from: any of these, each times its weight, summed."""

    reward_model: str | None = setting(None, "Reward model", "A finished reward run.", basic=True)
    reward_model_weight: float = setting(1.0, "Model weight", "What the reward model's score counts.", ge=-100, le=100)
    uncertainty_coef: float = setting(
        0.0,
        "Caution",
        "Times the disagreement of the reward model's heads, taken off its score. Needs a model with several heads.",
        ge=0,
        le=100,
    )
    reward_function: str | None = setting(
        None,
        "Reward function",
        "A Python file with a function reward(prompts, answers, tags) that returns one number an answer. It runs in a "
        "process of its own, after you approved the file.",
        max_length=4096,
    )
    reward_function_weight: float = setting(
        1.0, "Function weight", "What the function's score counts.", ge=-100, le=100
    )
    reward_function_seconds: float = setting(
        10.0, "Function limit", "How long the function may take for one batch of answers.", unit="s", gt=0, le=3600
    )
    length_weight: float = setting(
        0.0, "Length reward", "Weight of minus the share by which an answer misses the wanted length.", ge=-100, le=100
    )
    length_target: int = setting(32, "Wanted length", "For the length reward.", unit="tokens", ge=1, le=131_072)
    regex: str = setting("", "Pattern", "For the pattern reward: a regular expression.", max_length=1000)
    regex_weight: float = setting(0.0, "Pattern reward", "Weight of 1 where the pattern is found.", ge=-100, le=100)
    exact_weight: float = setting(
        0.0,
        "Right answer",
        'Weight of 1 where the answer is what the prompt\'s tag "answer" says, case and outer marks aside.',
        ge=-100,
        le=100,
    )

    @property
    def has_reward(self) -> bool:
        """Whether anything scores the answers, and counts."""
        weights = [self.length_weight, self.regex_weight, self.exact_weight]
        weights += [self.reward_model_weight] if self.reward_model else []
        weights += [self.reward_function_weight] if self.reward_function else []
        return any(weights)

    @model_validator(mode="after")
    def _pattern_is_there(self) -> Self:
        if self.regex_weight and not self.regex:
            raise ValueError("regex_weight is set, but there is no regex to look for")
        return self


class OnPolicyRun(BaseRun, ScoreSettings):
    """What the stages that learn from their own answers share."""

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
    clip_range: float = setting(0.2, "Policy clip", "Of the probability ratio around 1.", gt=0, lt=10)
    early_stop_kl: float = setting(
        0.0,
        "Early stop",
        "Ends the epochs of an update once approx. KL is above this; 0: never.",
        unit="nats",
        ge=0,
        le=100,
    )

    @model_validator(mode="after")
    def _minibatches_fit(self) -> Self:
        if self.minibatches > self.batch_size:
            raise ValueError(f"minibatches ({self.minibatches}) must not exceed batch_size ({self.batch_size})")
        return self
