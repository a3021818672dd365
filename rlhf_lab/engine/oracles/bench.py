"""What the oracles work on: a tiny Llama with seventeen words, made on the spot, and a folder to write to."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from rlhf_lab.core.control import NoControl
from rlhf_lab.core.records import AnyRecord, Message, Prompt
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.scoring import Episodes

SPECIAL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|unknown|>")
WORDS = ("red", "green", "blue", "cat", "dog", "sun", "moon", "tea", "milk", "rain", "yes", "no")
END = 1
_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_PROMPTS = ([5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [15, 16], [5, 5, 5, 5], [16, 9, 7])


class Bench:
    """A device and a folder; `backbone` loads the tiny model afresh each time."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.folder = folder
        self.device = device
        self.model = _tiny_model(folder / "model")

    @property
    def exact(self) -> torch.dtype:
        """The widest floating point that the device has."""
        return torch.float32 if self.device == "mps" else torch.float64

    def numbers(self, *shape: int, seed: int) -> Tensor:
        """Normal random numbers on the device, the same for every device."""
        drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return drawn.to(self.device, self.exact) if self.device != "mps" else drawn.float().to(self.device)

    def backbone(self, **options: Any) -> Backbone:
        """The tiny model, fresh."""
        return Backbone.load(self.model, device=self.device, **options)

    def parts(self, name: str, records: Sequence[AnyRecord], **changes: Any) -> Parts:
        """What a stage needs for a run in a folder of that name; an empty one, unless it is to be resumed."""
        folder = self.folder / name
        if not changes.get("resume"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        fields: dict[str, Any] = {
            "start_adapters": (),
            "reward_adapter": None,
            "reward_model": None,
            "reward_start_adapters": (),
            "control": NoControl(),
        }
        return Parts(folder=folder, model=self.model, records=records, **(fields | changes))


def quiet() -> None:
    """A tick that asks for nothing."""


def prompt(text: str) -> Prompt:
    """One turn of a user."""
    return Prompt(messages=(Message(role="user", content=text),))


def asked(times: int = 1) -> Asked:
    """Six prompts of different lengths, ``times`` over."""
    return Asked([prompt("tea")] * len(_PROMPTS) * times, [list(ids) for ids in _PROMPTS] * times)


def episodes() -> Episodes:
    """Answers that were cut and answers that ended, some with special tokens (padding too) within."""
    answers = [[7, 8, 9, END], [10, 11, 12, 13, 14, 15], [END], [0, 6, END], [2, 3, 0, 0], [5, END]]
    return Episodes(asked(), answers)


def perturb(backbone: Backbone, adapter: str, seed: int = 0, size: float = 0.2) -> None:
    """Make an adapter matter, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in backbone.parameters_of(adapter).values():
            parameter.add_((size * torch.randn(parameter.shape, generator=generator)).to(parameter.device))


def with_roles(backbone: Backbone, *, policy: float = 0.05) -> Backbone:
    """A policy a little away from the reference, a critic and a reward model that say something."""
    for seed, (name, size) in enumerate({"policy": policy, "value": 0.2, "reward": 0.2}.items()):
        backbone.add_adapter(name, r=4, alpha=8, seed=seed, head=name != "policy")
        if size:
            perturb(backbone, name, seed, size)
    return backbone


@torch.no_grad()
def next_token(backbone: Backbone, ids: list[int], adapter: str | None) -> Tensor:
    """log π of the token after ``ids``: [V], on the CPU in double precision."""
    hidden = backbone.hidden(*pad([ids], backbone.pad_id), adapter)
    return backbone.logits(hidden)[0, -1].cpu().double().log_softmax(-1)


def largest(difference: Tensor) -> float:
    """The largest absolute value; NaN if there is any."""
    return difference.detach().abs().max().item() if difference.numel() else 0.0


def _tiny_model(folder: Path) -> Path:
    """Two layers, width 32, grouped attention, random weights from a fixed seed."""
    vocabulary = {word: i for i, word in enumerate(SPECIAL + WORDS)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unknown|>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens(list(SPECIAL))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>", bos_token=None)
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = LlamaForCausalLM(config)
    disable_progress_bar()
    model.save_pretrained(folder)
    return folder
