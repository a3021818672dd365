"""Answers from a model: our own decode loop, so that the sampler is exactly the policy that is scored.

No top-k, top-p or penalties, nothing read from the model's generation config. Each row draws from its own
stream of random numbers, so that an answer does not depend on when its neighbours end.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.maths import in_double


@torch.no_grad()
def sample(
    backbone: Backbone,
    prompts: list[list[int]],
    *,
    adapter: str | None,
    temperature: float,
    max_new_tokens: int,
    generator: torch.Generator,
    tick: Callable[[], None],
    stop: str | None = None,
    on_token: Callable[[int, int], None] | None = None,
) -> list[list[int]]:
    """One answer a prompt, as ids. One that ended by itself ends with EOS; one that was cut does not.

    ``temperature`` 0 is greedy. ``stop`` ends an answer with the token in which that text is complete.
    ``on_token(row, id)`` hears every token. ``tick`` is called for each position and may raise. The
    generator lives on the CPU, so that the same seed gives the same numbers for every device.
    """
    # A prompt that is asked several times, as RLOO and best of n do, is read once.
    distinct = {tuple(prompt): place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    reading = [distinct[tuple(prompt)] for prompt in prompts]
    ids, mask = (t.to(backbone.device) for t in pad(list(distinct), backbone.pad_id, side="left"))
    eos = backbone.tokenizer.eos_token_id
    answers: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))
    cache = backbone.new_cache()
    with backbone.generation(adapter):
        for position in range(max_new_tokens):
            tick()
            noise = torch.rand(len(prompts), generator=generator, dtype=torch.float64)
            logits = backbone.logits(backbone.decode(ids, mask, cache, adapter))
            if position == 0 and len(distinct) < len(prompts):
                asked = torch.tensor(reading, device=backbone.device)
                cache.batch_select_indices(asked)
                logits, mask = logits[asked], mask[asked]
            drawn = draw(logits, temperature, noise[rows]).to(backbone.device)
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


def draw(logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """Ids [B] from logits [B, V] by inverting the distribution function at noise [B] in [0, 1), float64.

    They may come on another device than the logits'.
    """
    if temperature == 0:
        return logits.argmax(-1)
    # In double precision: over a wide vocabulary fp32 sums would shift the tail.
    mass = torch.softmax(in_double(logits) / temperature, -1).cumsum(-1)
    noise = noise.to(mass.device)
    # right=True: the first id whose mass exceeds the point, so that none of probability 0 is ever drawn.
    found = torch.searchsorted(mass, (noise[:, None] * mass[:, -1:]).contiguous(), right=True)
    return found.squeeze(-1).clamp(max=logits.shape[-1] - 1)


def _ends(backbone: Backbone, answer: list[int], stop: str) -> bool:
    # The text may span several tokens, and a token is at least one byte of it.
    return stop in backbone.tokenizer.decode(answer[-len(stop.encode()) - 1 :])
