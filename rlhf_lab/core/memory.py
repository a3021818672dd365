"""How much memory a run will need, reckoned before it starts from the model's config.json and the run's settings.

Pure arithmetic, so that the window can say it without importing torch. Rows are taken to be as long as the limits
allow, unless their lengths are given: shorter data needs less. Held against measured peaks on the CPU by
``tests/benchmarks/memory_estimate.py``; on a GPU it is a guess of what is allocated there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rlhf_lab.core.config import BestOfNConfig, DpoConfig, PpoConfig, RewardConfig, RunConfig
from rlhf_lab.core.settings import OnPolicyRun

ACTIVATIONS_AT_ONCE = 2**30
"""Bytes of activations that a micro-batch on the CPU keeps for its backward pass at most, as an fp32 base would."""
ACTIVATIONS_PER_LINEAR = 2
"""Numbers kept, by what goes in and out of the linear layers; measured on Llama blocks with LoRA."""
_LIBRARIES = 410 * 2**20
_BF16_ACTIVATIONS = 0.64
"""Norms and the low-rank parts are computed in fp32 on a bf16 base too: measured on 135M parameters."""
_LOGITS_AT_ONCE = 2**22
"""As many numbers in a chunk of logits; beside it stand its softmax and its gradient."""
_UNGATED = frozenset({"gpt2", "gpt_neox", "opt", "phi", "starcoder2"})


@dataclass(frozen=True)
class Shape:
    """What of a decoder decides its size."""

    width: int
    layers: int
    vocabulary: int
    attention: int
    """width of all queries together"""
    kv: int
    """width of all keys together"""
    mlp: int
    gated: bool
    tied: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Shape":
        """From the content of a config.json; raises `ValueError` for one that names no sizes."""

        def number(*names: str, default: int | None = None) -> int:
            found = next((config[name] for name in names if config.get(name) is not None), default)
            if not isinstance(found, int) or isinstance(found, bool) or found < 1:
                raise ValueError(f"config.json does not say {names[0]}")
            return found

        width = number("hidden_size", "n_embd")
        heads = number("num_attention_heads", "n_head")
        each = number("head_dim", default=max(1, width // heads))
        return cls(
            width=width,
            layers=number("num_hidden_layers", "n_layer"),
            vocabulary=number("vocab_size"),
            attention=heads * each,
            kv=number("num_key_value_heads", default=heads) * each,
            mlp=number("intermediate_size", "n_inner", "ffn_dim", default=4 * width),
            gated=config.get("model_type") not in _UNGATED,
            tied=bool(config.get("tie_word_embeddings", True)),
        )

    @property
    def linears(self) -> list[tuple[int, int]]:
        """In and out of each linear layer of a block."""
        into = [(self.width, self.mlp)] * (2 if self.gated else 1)
        heads = [(self.width, self.attention), (self.width, self.kv), (self.width, self.kv)]
        return [*heads, (self.attention, self.width), *into, (self.mlp, self.width)]

    @property
    def block_parameters(self) -> int:
        """Numbers in one block."""
        return sum(a * b for a, b in self.linears) + 2 * self.width

    @property
    def parameters(self) -> int:
        """Numbers in all."""
        tables = (1 if self.tied else 2) * self.vocabulary * self.width
        return tables + self.layers * self.block_parameters + self.width

    @property
    def in_and_out(self) -> int:
        """What goes in and out of the linear layers of one block, for each token."""
        return sum(a + b for a, b in self.linears)


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak. Learning and sampling take turns: what they need alone is not added up."""

    libraries: int
    weights: int
    adapters: int
    """weights, gradients, optimiser, and the copy that Stop saves"""
    learning: int
    """activations of a micro-batch, or the trunk's states, and logits"""
    sampling: int
    """the key/value cache, and the merged copy of the adapted weights"""

    @property
    def total(self) -> int:
        """At the peak."""
        return self.libraries + self.weights + self.adapters + max(self.learning, self.sampling)

    def as_megabytes(self) -> dict[str, float]:
        """Each part by name."""
        return {part.name: getattr(self, part.name) / 2**20 for part in fields(self)}


def estimate(
    config: RunConfig,
    shape: Shape,
    *,
    bf16: bool | None = None,
    cpu: bool = True,
    prompt_tokens: int | None = None,
    answer_tokens: int | None = None,
) -> Memory:
    """What a run needs at its peak. ``bf16``: whether the base is, where the config leaves it to the device."""
    half = config.dtype == "bf16" or (config.dtype == "auto" and bool(bf16))
    size = 2 if half else 4
    prompt = min(prompt_tokens or config.max_prompt_tokens, config.max_prompt_tokens)
    answer = min(answer_tokens or config.max_new_tokens, config.max_new_tokens)
    trains = not isinstance(config, BestOfNConfig)
    adapted = max(1, round(config.lora_layers * shape.layers)) if trains else 0
    of_tokens = _learning_tokens(config, prompt, answer) if trains else 0
    each = 4 * ACTIVATIONS_PER_LINEAR * adapted * shape.in_and_out
    activations = of_tokens * each
    if cpu and trains:
        # At least one row goes through at once, however long.
        activations = min(activations, max(ACTIVATIONS_AT_ONCE, (prompt + answer) * each))
    kept = 0
    if adapted < shape.layers and isinstance(config, OnPolicyRun):
        kept = config.batch_size * (prompt + answer) * shape.width * size
    cache = config.batch_size * (prompt + answer) * 2 * shape.kv * shape.layers * size
    logits = 3 * 4 * min(_LOGITS_AT_ONCE, max(of_tokens, config.batch_size) * shape.vocabulary)
    merged = 0 if half else 4 * adapted * (shape.block_parameters - 2 * shape.width)
    return Memory(
        libraries=_LIBRARIES if cpu else 0,
        weights=shape.parameters * size,
        adapters=_adapters(config, shape, adapted),
        learning=int(activations * (_BF16_ACTIVATIONS if half else 1)) + kept + logits,
        sampling=cache + merged + logits,
    )


def asking(shape: Shape, half: bool) -> int:
    """What it takes to load a model and have it answer one short prompt."""
    return _LIBRARIES + shape.parameters * (2 if half else 4) + 3 * 4 * shape.vocabulary


def _learning_tokens(config: RunConfig, prompt: int, answer: int) -> int:
    """Of the largest micro-batch."""
    if isinstance(config, RewardConfig | DpoConfig):
        pairs = min(config.batch_size, max(1, config.micro_batch_size // 2))
        return pairs * (prompt + 2 * answer)
    rows = -(-config.batch_size // config.minibatches) if isinstance(config, OnPolicyRun) else config.batch_size
    return min(rows, config.micro_batch_size) * (prompt + answer)


def _adapters(config: RunConfig, shape: Shape, adapted: int) -> int:
    """fp32: weight, gradient and two moments of each number that is trained; on-policy runs also keep a copy to save."""
    copies = 7 if isinstance(config, OnPolicyRun) else 4
    frozen = 1 if getattr(config, "reward_model", None) else 0
    # The reward model's adapter may be another's size: that of this run is the best guess.
    one = config.lora_r * shape.in_and_out * (adapted or shape.layers)
    return 4 * one * (adapters_trained(config) * copies + frozen)


def adapters_trained(config: RunConfig) -> int:
    """How many adapters the stage trains: PPO has a critic beside the policy."""
    return 2 if isinstance(config, PpoConfig) else 0 if isinstance(config, BestOfNConfig) else 1


def smaller_micro_batch(config: RunConfig, shape: Shape, room: int, *, bf16: bool | None = None) -> int | None:
    """The largest micro-batch that fits into ``room`` bytes by `estimate`; None where even one row does not."""
    size = config.micro_batch_size
    while size >= 1:
        if estimate(config.model_copy(update={"micro_batch_size": size}), shape, bf16=bf16).total <= room:
            return size
        size //= 2
    return None


def in_words(needed: Memory, room: int, advised: int | None, micro_batch_size: int) -> str:
    """For people: what the run needs, and when it will not fit, the micro-batch size that does."""
    text = f"About {gigabytes(needed.total)} of memory; {gigabytes(room)} are free."
    if needed.total <= room:
        return text
    if advised is None:
        return f"{text} That is too little: choose a smaller model, lora_layers = 0.33 or shorter texts."
    if advised < micro_batch_size:
        return f"{text} That is too little: with micro_batch_size = {advised} it fits."
    return text


def gigabytes(size: int) -> str:
    """For people."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size >> 20} MB"
