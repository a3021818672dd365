"""The bundled base model: its tokenizer and its pretraining, from one seed."""

import random
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rlhf_lab.engine.pretrain import pack, pretrain
from rlhf_lab.world.build_tokenizer import SPECIAL, train_tokenizer
from rlhf_lab.world.grammar import running_text

CONTEXT = 512
ROW = 192
BATCH_ROWS = 12
TOKENS = 5_000_000
LEARNING_RATE = 2e-3
_TOKENIZER_DOCUMENTS = 20_000


def build_base(folder: Path, *, seed: int, tokens: int = TOKENS, say: Callable[[str], None] = print) -> None:
    """Write a pretrained base to ``folder``: config, tokenizer with chat template, bf16 safetensors."""
    texts = running_text(random.Random(seed))
    tokenizer = train_tokenizer(islice(texts, _TOKENIZER_DOCUMENTS), CONTEXT)
    separator = tokenizer.convert_tokens_to_ids(["\n", "\n"])
    rows = pack((tokenizer.encode(text, add_special_tokens=False) for text in texts), separator, ROW, tokens // ROW)
    say(f"corpus: {rows.numel():,} tokens in {len(rows):,} rows")
    began = time.monotonic()

    def on_step(step: int, steps: int, loss: float) -> None:
        if step % 50 == 0 or step == steps:
            say(f"pretraining: step {step}/{steps}, loss {loss:.3f}, {time.monotonic() - began:.0f} s")

    model = pretrain(
        base_config(tokenizer), rows, seed=seed, batch_size=BATCH_ROWS, learning_rate=LEARNING_RATE, on_step=on_step
    )
    start_unseen_tokens(model, tokenizer, seed)
    save_base(model, tokenizer, folder)


def base_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """About 2.07 million parameters; half of that failed to copy the subject of a question."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )


def start_unseen_tokens(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
    """Give the chat tokens, which running text never holds, the mean embedding and a little noise.

    As when a vocabulary is grown: left as pretraining pushed them, they could hardly be brought back
    by an adapter that does not train embeddings. The base still never ends a chat turn.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = model.get_input_embeddings().weight.data
    unseen = tokenizer.convert_tokens_to_ids(list(SPECIAL))
    seen = torch.ones(len(weight), dtype=torch.bool)
    seen[unseen] = False
    mean, spread = weight[seen].mean(0), weight[seen].std(0)
    weight[unseen] = mean + spread * torch.randn(len(unseen), weight.shape[1], generator=generator)


def save_base(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save model and tokenizer, weights in bf16."""
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
