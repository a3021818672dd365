"""Distributions as events."""

import torch
from torch import Tensor

from rlhf_lab.core.events import Histogram

BINS = 30


def histogram(step: int, name: str, values: Tensor) -> Histogram:
    """``values`` [n] in bins of equal width from the least to the greatest."""
    values = values.detach().float().cpu()
    low, high = values.min().item(), values.max().item()
    if high - low <= 1e-6 * max(1.0, abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    counts, edges = torch.histogram(values, torch.linspace(low, high, BINS + 1))
    return Histogram(step=step, name=name, edges=tuple(edges.tolist()), counts=tuple(counts.int().tolist()))
