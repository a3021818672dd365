"""The losses of a reward model: Bradley-Terry, centring, and what pairs count for in an ensemble."""

import torch
from torch import Tensor
from torch.nn import functional

from rlhf_lab.engine.seeds import generator_for


def bradley_terry(chosen: Tensor, rejected: Tensor, margin: Tensor, tie: Tensor) -> Tensor:
    """−log σ(chosen − rejected − margin), all [B]; a tie is half a win for each side."""
    difference = chosen - rejected
    tied = (functional.softplus(-difference) + functional.softplus(difference)) / 2
    return torch.where(tie, tied, functional.softplus(margin - difference))


def centring(chosen: Tensor, rejected: Tensor) -> Tensor:
    """(chosen + rejected)², all [B]: what Bradley–Terry leaves free, the zero of each prompt (Eisenstein et al. 2023)."""
    return (chosen + rejected).square()


def bootstrap_weights(pairs: int, heads: int, seed: int) -> Tensor:
    """How often each pair is in each head's own draw of the data [pairs, heads], uint8; all 1 for a single head.

    Heads that differ in their first weights alone agree too much where there is no data. Poisson(1) draws are
    a bootstrap whose draws do not depend on each other (Osband et al. 2016).
    """
    if heads == 1:
        return torch.ones(pairs, 1, dtype=torch.uint8)
    drawn = [torch.poisson(torch.ones(pairs), generator_for(seed, "pairs of a head", head)) for head in range(heads)]
    return torch.stack(drawn, 1).to(torch.uint8)
