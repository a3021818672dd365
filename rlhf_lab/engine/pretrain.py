"""Pretraining of a small causal language model from scratch: next-token loss on packed rows, AdamW, cosine."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM


def pack(documents: Iterable[Sequence[int]], separator: Sequence[int], length: int, rows: int) -> Tensor:
    """Token rows [rows, length]; each begins with a document, and the last document of a row is cut."""
    packed: list[list[int]] = []
    row: list[int] = []
    for document in documents:
        row += [*document, *separator]
        if len(row) >= length:
            packed.append(row[:length])
            row = []
            if len(packed) == rows:
                return torch.tensor(packed)
    raise ValueError(f"the documents fill {len(packed)} rows of {length} tokens, not {rows}")


def pretrain(
    config: LlamaConfig,
    rows: Tensor,
    *,
    seed: int,
    batch_size: int,
    learning_rate: float,
    on_step: Callable[[int, int, float], None],
) -> LlamaForCausalLM:
    """Train on each row of ``rows`` [N, T] once; ``on_step`` gets (step, steps, loss)."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=learning_rate,
        betas=(0.9, 0.98),
    )
    batches = rows[torch.randperm(len(rows))].split(batch_size)
    model.train()
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * _schedule(step, len(batches))
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        on_step(step + 1, len(batches), loss.item())
    return model.eval()


def _schedule(step: int, steps: int, warmup: int = 50) -> float:
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))
