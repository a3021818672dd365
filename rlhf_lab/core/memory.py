"""How much memory a run will need, reckoned before it starts from the model's config.json and the run's settings.

Pure arithmetic, so that the window can say it without importing torch. Where lengths of the data are given, batches of
them are cut into micro-batches as the engine does it; else rows are taken to be as long as the limits allow. Held
against measured peaks on the CPU by ``tests/benchmarks/memory_estimate.py``; on a GPU it is a guess of what is allocated
there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rlhf_lab.core.config import BestOfNConfig, DpoConfig, PpoConfig, RewardConfig, RunConfig, SftConfig
from rlhf_lab.core.grouping import UNBOUNDED, first_groups, micro_batches
from rlhf_lab.core.lengths import FULL, Lengths
from rlhf_lab.core.naming import gigabytes
from rlhf_lab.core.settings import OnPolicyRun

ACTIVATIONS_AT_ONCE = 2**30
"""Bytes of activations that a micro-batch on the CPU keeps for its backward pass at most, as an fp32 base would."""
KEPT_AT_ONCE = 2**31
"""Bytes of those that may be kept from scoring a rollout for its first step, where a micro-batch may hold all of it."""
ACTIVATIONS_PER_LINEAR = 2.0
"""Numbers kept, by what goes in and out of the linear layers; measured on Llama blocks with LoRA, as the library has them."""
ACTIVATIONS_WRITTEN_OUT = 1.1
"""The same where the lab computes the block itself."""
WRITTEN_OUT = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Model types of which it does, in `rlhf_lab.engine.decoder_block`."""
BF16_ACTIVATIONS = 0.76
"""Norms and the low-rank parts are computed in fp32 on a bf16 base too: measured on 135M parameters."""
_LIBRARIES = 470 * 2**20
"""Of a run's process once its model is loaded: torch, transformers and what they keep; on Linux."""
_PREPARED = 40 * 2**20
"""More of it on a bf16 base: what oneDNN and torch keep made for products of so many shapes. Measured on the bundled model."""
_BEYOND = 0.45
"""Of activations above that bound: what is below it stands for the holes that training leaves in the heap too. Measured
on 135M parameters, fp32, between passes of 384 and of 1,024 tokens."""
_HOLES = 0.5
"""Of the merged copy that a rollout samples with: what learning finds taken up later. Measured on PPO, 135M, fp32."""
_HOLES_OF_PAIRS = 45 * 2**20
"""What DPO's look at held-out pairs, in groups of ever different lengths, leaves in the heap on the CPU. Measured on the
bundled model."""
_RECOMPUTED = 2
"""Blocks' worth of activations beside what went into each, where they are checkpointed: one, and its gradients."""
_LOGITS_AT_ONCE = 2**22
"""As many numbers in a chunk of logits; beside it stand its softmax and its gradient."""
_SFT_LOGITS_AT_ONCE = 2**24
"""The same for SFT. DPO's chunks are the smaller ones, but with what they leave in the heap it measured as much."""
READ_AT_ONCE = 2**28
"""Bytes that prompts may take up on their way through the model, beside what the cache keeps of them."""
DRAWN_AT_ONCE = 2**22
"""Logits from which tokens are drawn at one time,"""
_DRAWN = 2 * 8
"""with two tables in double precision."""
_SURE = 0.8
"""Of free memory: the estimate may be off by a fifth."""
_BATCHES = 8
"""So many are cut up to find the largest micro-batch,"""
_LOOKED_AT = 1024
"""of so many rows each at most."""
CHECKPOINTED = "Gradients are checkpointed, since otherwise not even one row would fit: slower, the same result."
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
    written_out: bool = False
    """whether the lab computes its blocks itself"""

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
            written_out=config.get("model_type") in WRITTEN_OUT and config.get("hidden_act", "silu") == "silu",
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
    def kept(self) -> int:
        """Bytes that one block keeps of each token for the backward pass, on an fp32 base."""
        return int(4 * (ACTIVATIONS_WRITTEN_OUT if self.written_out else ACTIVATIONS_PER_LINEAR) * self.in_and_out)

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

    @property
    def is_for_sampling(self) -> bool:
        """Whether answering a batch of prompts needs more than learning from some of it: the micro-batch changes nothing."""
        return self.sampling > self.learning

    def as_megabytes(self) -> dict[str, float]:
        """Each part by name."""
        return {part.name: getattr(self, part.name) / 2**20 for part in fields(self)}


def estimate(
    config: RunConfig, shape: Shape, *, bf16: bool | None = None, cpu: bool = True, lengths: Lengths = FULL
) -> Memory:
    """What a run needs at its peak. ``bf16``: whether the base is, where the config leaves it to the device."""
    half = config.dtype == "bf16" or (config.dtype == "auto" and bool(bf16))
    size = 2 if half else 4
    trains = not isinstance(config, BestOfNConfig)
    adapted = max(1, round(config.lora_layers * shape.layers)) if trains else 0
    block = int(shape.kept * (BF16_ACTIVATIONS if half else 1))
    tokens = 0
    if trains:
        bound = ACTIVATIONS_AT_ONCE // (adapted * shape.kept) if cpu else UNBOUNDED
        tokens = _learning_tokens(config, lengths, bound, KEPT_AT_ONCE // (adapted * block))
    activations: float = tokens * adapted * block
    if cpu and activations > ACTIVATIONS_AT_ONCE:
        activations = ACTIVATIONS_AT_ONCE + _BEYOND * (activations - ACTIVATIONS_AT_ONCE)
    if config.gradient_checkpointing == "on":
        activations = min(activations, tokens * adapted * shape.width * size + _RECOMPUTED * tokens * block)
    rows = lengths.rows(config)
    kept = 0
    if adapted < shape.layers and isinstance(config, OnPolicyRun):
        kept = config.batch_size * sum(rows) // len(rows) * shape.width * size
    cache = lengths.cached(config) * 2 * shape.kv * shape.layers * size
    at_once = _SFT_LOGITS_AT_ONCE if isinstance(config, SftConfig | DpoConfig) else _LOGITS_AT_ONCE
    logits = 3 * 4 * min(at_once, tokens * shape.vocabulary)
    prompt, asked = lengths.longest_prompt(config), lengths.asked_at_once(config)
    passing = read_numbers(shape.width, max(shape.mlp, shape.attention)) * size
    passing = min(asked * prompt * passing, max(READ_AT_ONCE, prompt * passing))
    wide = asked * shape.vocabulary
    drawn = (6 if half else 4) * wide + _DRAWN * min(DRAWN_AT_ONCE, wide)
    # A reward run samples too, for the scale of its scores, but from the base as it is.
    merged = 0 if half or isinstance(config, RewardConfig) else 4 * adapted * (shape.block_parameters - 2 * shape.width)
    holes = int(_HOLES * merged) if isinstance(config, OnPolicyRun) else 0
    holes += _HOLES_OF_PAIRS if isinstance(config, DpoConfig) and cpu else 0
    return Memory(
        libraries=_LIBRARIES + (_PREPARED if half else 0) if cpu else 0,
        weights=shape.parameters * size,
        adapters=_adapters(config, shape, adapted),
        learning=int(activations) + kept + logits + holes,
        sampling=cache + merged + max(passing, drawn),
    )


def read_numbers(width: int, widest: int) -> int:
    """Numbers that a token takes up while it goes through a block whose widest layer is ``widest``, without a gradient."""
    return 2 * width + 3 * widest


def asking(shape: Shape, half: bool) -> int:
    """What it takes to load a model and have it answer one short prompt."""
    return _LIBRARIES + shape.parameters * (2 if half else 4) + 3 * 4 * shape.vocabulary


def _learning_tokens(config: RunConfig, lengths: Lengths, bound: int, kept: int) -> int:
    """Whose activations are kept at once, padding included, among a few batches that are cut up as the engine does.

    ``bound``: tokens of a micro-batch at most, unless one row has more; ``kept``: of those kept for a first step.
    """
    rows = lengths.rows(config)
    count = -(-config.batch_size // config.minibatches) if isinstance(config, OnPolicyRun) else config.batch_size
    size = micro_batch_of(config)
    if isinstance(config, RewardConfig | DpoConfig):
        size = max(1, size // 2)
    if isinstance(config, SftConfig) and config.packing:
        rows = [config.max_prompt_tokens + config.max_new_tokens]
    first = adapters_trained(config) if isinstance(config, OnPolicyRun) and config.minibatches == 1 else 0
    largest = 0
    for start in range(0, _BATCHES * min(count, _LOOKED_AT), min(count, _LOOKED_AT)):
        if start and start % len(rows) == 0:  # the same rows come again
            break
        batch = [rows[place % len(rows)] for place in range(start, start + min(count, _LOOKED_AT))]
        groups, room = (
            first_groups(batch, size, bound, kept, first) if first else (micro_batches(batch, size, bound), 0)
        )
        largest = max(largest, _most([len(group) * batch[group[0]] for group in groups], room, first))
    return largest


def _most(sizes: list[int], room: int, first: int) -> int:
    """Tokens of the largest micro-batch, or of those that are kept from scoring for the first step of ``first`` adapters."""
    kept = 0
    for size in sizes * first:
        kept += size if kept + size <= room else 0
    return max(kept, *sizes)


def micro_batch_of(config: RunConfig) -> int:
    """How many rows go through the model at once; where that is left to the memory, at most all of the batch."""
    pair = 2 if isinstance(config, RewardConfig | DpoConfig) else 1
    return config.micro_batch_size or pair * config.batch_size


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


def smaller_micro_batch(
    config: RunConfig,
    shape: Shape,
    room: int,
    *,
    bf16: bool | None = None,
    cpu: bool = True,
    lengths: Lengths = FULL,
) -> int | None:
    """The largest micro-batch that fits into ``room`` bytes by `estimate`; None where even one row does not."""
    size = micro_batch_of(config)
    while size >= 1:
        asked = config.model_copy(update={"micro_batch_size": size})
        if estimate(asked, shape, bf16=bf16, cpu=cpu, lengths=lengths).total <= room:
            return size
        size //= 2
    return None


def settled(
    config: RunConfig, shape: Shape, room: int, *, bf16: bool, cpu: bool = True, lengths: Lengths = FULL
) -> RunConfig:
    """The config of a run that has ``room`` bytes, where it leaves its micro-batch or checkpointing to the machine.

    Checkpointed where not even one row surely fits without; then as many rows as surely fit.
    """
    surely = int(room * _SURE)
    if config.gradient_checkpointing == "auto":
        ways = [
            config.model_copy(update={"gradient_checkpointing": way, "micro_batch_size": 1}) for way in ("off", "on")
        ]
        plain, lean = (estimate(way, shape, bf16=bf16, cpu=cpu, lengths=lengths).total for way in ways)
        # Where sampling needs more than learning, it would help nothing.
        way = "on" if lean < plain and plain > surely else "off"
        config = config.model_copy(update={"gradient_checkpointing": way})
    if config.micro_batch_size:
        return config
    size = smaller_micro_batch(config, shape, surely, bf16=bf16, cpu=cpu, lengths=lengths) or 1
    return config.model_copy(update={"micro_batch_size": size})


def in_words(needed: Memory, room: int, advised: int | None, micro_batch_size: int) -> str:
    """For people: what the run needs, and when it will not fit, the micro-batch size that does."""
    text = f"About {gigabytes(needed.total)} of memory; {gigabytes(room)} are free."
    if needed.total <= room:
        return text
    if advised is None:
        less = "a smaller batch_size" if needed.is_for_sampling else "lora_layers = 0.33"
        return f"{text} That is too little: choose a smaller model, {less} or shorter texts."
    if advised < micro_batch_size:
        return f"{text} That is too little: with micro_batch_size = {advised} it fits."
    return text
