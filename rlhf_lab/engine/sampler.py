"""Answers from a model: our own decode loop, so that the sampler is exactly the policy that is scored.

No top-k, top-p or penalties, nothing read from the model's generation config. Each row draws from its own
stream of random numbers, so that an answer does not depend on when its neighbours end.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import DynamicCache

from rlhf_lab.core.memory import DRAWN_AT_ONCE
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.cache import joined, keeps_all
from rlhf_lab.engine.maths import in_double


@torch.no_grad()
def sample(
    backbone: Backbone,
    prompts: list[list[int]],
    *,
    adapter: str | None,
    temperature: float,
    max_new_tokens: int,
    noise: Tensor,
    tick: Callable[[], None],
    stop: str | None = None,
    on_token: Callable[[int, int], None] | None = None,
) -> list[list[int]]:
    """One answer a prompt, as ids. One that ended by itself ends with EOS; one that was cut does not.

    ``temperature`` 0 is greedy. ``stop`` ends an answer with the token in which that text is complete.
    ``on_token(row, id)`` hears every token. ``tick`` is called for each position and may raise.
    ``noise`` [max_new_tokens, B] is what is drawn with, from `noise_for`: a row's answer depends on its own column alone.
    """
    # A prompt that is asked several times, as RLOO and best of n do, is read once.
    distinct = {tuple(prompt): place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    reading = [distinct[tuple(prompt)] for prompt in prompts]
    ids, mask = (t.to(backbone.device) for t in pad(list(distinct), backbone.pad_id, side="left"))
    eos = backbone.tokenizer.eos_token_id
    answers: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))
    with backbone.generation(adapter):
        for position in range(max_new_tokens):
            if position == 0:
                cache, states = _read(backbone, ids, mask, adapter, tick)
            else:
                tick()
                states = backbone.decode(ids, mask, cache, adapter)
            logits = backbone.logits(states)
            if position == 0 and len(distinct) < len(prompts):
                asked = torch.tensor(reading, device=backbone.device)
                cache.batch_select_indices(asked)
                logits, mask = logits[asked], mask[asked]
            drawn = draw(logits, temperature, noise[position, rows]).to(backbone.device)
            for row, token in zip(rows, drawn.tolist(), strict=True):
                answers[row].append(token)
                if on_token is not None:
                    on_token(row, token)
            going = [
                i
                for i, row in enumerate(rows)
                if answers[row][-1] != eos and not (stop and _ends(backbone, answers[row], stop))
            ]
            if not going or position == max_new_tokens - 1:
                break
            if len(going) < len(rows):
                keep = torch.tensor(going, device=backbone.device)
                cache.batch_select_indices(keep)
                drawn, mask = drawn[keep], mask[keep]
                rows = [rows[i] for i in going]
            ids = drawn[:, None]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
    return answers


def noise_for(generator: torch.Generator, tokens: int, rows: int) -> Tensor:
    """What ``rows`` answers of at most ``tokens`` tokens are drawn with: [tokens, rows] in [0, 1), float64.

    On the CPU, as the generator is, so that the same seed gives the same numbers for every device.
    """
    return torch.rand(tokens, rows, generator=generator, dtype=torch.float64)


def _read(
    backbone: Backbone, ids: Tensor, mask: Tensor, adapter: str | None, tick: Callable[[], None]
) -> tuple[DynamicCache, Tensor]:
    """The prompts' keys and values, and the states [B, D] of their last tokens, some prompts at a time.

    What the widest layer makes of all places at once may need more memory than all that is kept of them.
    """
    at_once = max(1, backbone.tokens_read_at_once // ids.shape[1])
    if not keeps_all(backbone.new_cache()):
        at_once = len(ids)
    caches, states = [], []
    for rows, seen in zip(ids.split(at_once), mask.split(at_once), strict=True):
        tick()
        caches.append(backbone.new_cache())
        states.append(backbone.decode(rows, seen, caches[-1], adapter))
    return joined(caches), torch.cat(states)


def draw(logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """Ids [B] from logits [B, V] by inverting the distribution function at noise [B] in [0, 1), float64.

    They may come on another device than the logits'.
    """
    if temperature == 0:
        return logits.argmax(-1)
    at_once = max(1, DRAWN_AT_ONCE // logits.shape[-1])
    parts = zip(logits.split(at_once), noise.split(at_once), strict=True)
    return torch.cat([_drawn(part, temperature, at) for part, at in parts])


def _drawn(logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
    # In double precision: over a wide vocabulary fp32 sums would shift the tail.
    mass = torch.softmax(in_double(logits) / temperature, -1).cumsum(-1)
    noise = noise.to(mass.device)
    # right=True: the first id whose mass exceeds the point, so that none of probability 0 is ever drawn.
    found = torch.searchsorted(mass, (noise[:, None] * mass[:, -1:]).contiguous(), right=True)
    return found.squeeze(-1).clamp(max=logits.shape[-1] - 1)


def _ends(backbone: Backbone, answer: list[int], stop: str) -> bool:
    # The text may span several tokens, and a token is at least one byte of it.
    return stop in backbone.tokenizer.decode(answer[-len(stop.encode()) - 1 :])
