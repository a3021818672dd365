"""Tiny models with real tokenizers, made once a test session; no file is downloaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from rlhf_lab.core.records import Completion, Demonstration, Message, Pair, Prompt, PromptOnly
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.parts import Parts
from tests.engine.stage_runs import parts

WORDS = ("red", "green", "blue", "cat", "dog", "sun", "moon", "tea", "milk", "rain")
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]

ON_POLICY = {
    "batch_size": 8,
    "micro_batch_size": 4,
    "max_prompt_tokens": 48,
    "max_new_tokens": 10,
    "updates": 4,
    "epochs": 2,
    "minibatches": 2,
    "learning_rate": 3e-3,
    "lora_r": 4,
    "lora_alpha": 8,
    "eval_every": 2,
    "eval_size": 6,
    "checkpoint_every": 2,
    "threads": 1,
    "device": "cpu",
}
"""A short run on the tiny model that looks, saves and learns more than once."""


def make_tokenizer(*, template: bool = True, pad: bool = True, size: int = 300) -> PreTrainedTokenizerFast:
    """Byte-level BPE over a few sentences; ``<|end|>`` is EOS."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([f"What is {a}? It is {b}." for a in WORDS for b in WORDS], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>" if pad else None, bos_token=None
    )
    tokenizer.chat_template = TEMPLATE if template else None
    return tokenizer


def tiny_llama(vocabulary: int, **changes: Any) -> LlamaConfig:
    """Two layers, width 32, grouped attention, tied embeddings."""
    fields: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    return LlamaConfig(**{**fields, **changes})


def save_model(
    folder: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype = torch.float32
) -> Path:
    """Random weights from a fixed seed, as a Hugging Face folder."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_config(config).to(dtype)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random tiny Llama and its tokenizer."""
    tokenizer = make_tokenizer()
    return save_model(tmp_path_factory.mktemp("models") / "tiny", tiny_llama(len(tokenizer)), tokenizer)


@pytest.fixture
def load(tiny_model: Path) -> Callable[..., Backbone]:
    """``load()``: the tiny model, fresh, on the CPU."""
    return lambda folder=tiny_model, **options: Backbone.load(folder, device="cpu", **options)


@pytest.fixture
def backbone(load: Callable[..., Backbone]) -> Backbone:
    return load()


class OnApple(torch.Tensor):
    """Says that it lies on an Apple GPU, and has no float64, as there; `on_apple` makes one."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("mps")

    def cpu(self) -> torch.Tensor:  # type: ignore[override]
        return self.as_subclass(torch.Tensor)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = super().__torch_function__(function, types, args, kwargs or {})
        if isinstance(found, OnApple) and found.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return found


def on_apple(x: torch.Tensor) -> torch.Tensor:
    """The same numbers there."""
    return x.as_subclass(OnApple)


def prompt(text: str) -> Prompt:
    """One user turn."""
    return Prompt(messages=(Message(role="user", content=text),))


def demonstrations(count: int = 40) -> list[Demonstration]:
    """Questions that all have the same kind of answer; every fifth is held out."""
    return [
        Demonstration(
            prompt=prompt(f"What is {WORDS[i % 10]} {WORDS[i // 10 % 10]}?"),
            completion=Completion(text=f"It is {WORDS[(i + 3) % 10]}." + " Yes." * (i % 3)),
            split="heldout" if i % 5 == 4 else "train",
        )
        for i in range(count)
    ]


def pairs(count: int = 40) -> list[Pair]:
    """Pairs whose better answer says "tea"; every fifth is held out."""
    return [
        Pair(
            prompt=prompt(f"What is {WORDS[i % 10]} {WORDS[i // 10 % 10]}?"),
            chosen=Completion(text=f"It is tea {WORDS[(i + 3) % 10]}."),
            rejected=Completion(text=f"It is {WORDS[(i + 1) % 7]}. No." + " No." * (i % 3)),
            split="heldout" if i % 5 == 4 else "train",
        )
        for i in range(count)
    ]


def perturb(backbone: Backbone, name: str, seed: int = 0, size: float = 0.2) -> None:
    """Make an adapter matter, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in backbone.parameters_of(name).values():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def questions(count: int = 30) -> list[PromptOnly]:
    """Every fifth is held out."""
    return [
        PromptOnly(
            prompt=Prompt(
                messages=prompt(f"What is {WORDS[i % 10]} {WORDS[i // 10 % 10]}?").messages, tags={"number": i}
            ),
            split="heldout" if i % 5 == 4 else "train",
        )
        for i in range(count)
    ]


@pytest.fixture
def reward_run(load: Callable[..., Backbone], tmp_path: Path) -> Path:
    """The adapter of a reward run on the tiny model."""
    backbone = load()
    backbone.add_adapter("reward", r=3, alpha=6, seed=5, head=True)
    perturb(backbone, "reward", 5)
    folder = tmp_path / "reward"
    backbone.save_adapter("reward", folder, {"stage": "reward", "score_mean": 0.4, "score_std": 2.5})
    return folder


@pytest.fixture
def given(tiny_model: Path, reward_run: Path, tmp_path: Path) -> Callable[..., Parts]:
    """``given("name", **changes)``: parts of an on-policy run in a folder of that name."""
    return lambda name="run", **changes: parts(
        tmp_path / name, tiny_model, questions(), **({"reward_adapter": reward_run} | changes)
    )
