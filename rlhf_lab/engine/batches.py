"""Which examples make a batch, and how rows of different length become a tensor.

The order of examples is a pure function of (seed, epoch), so that a run's data position is its step.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from rlhf_lab.engine.seeds import generator_for


@lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> tuple[int, ...]:
    """A permutation of ``range(count)`` that only (seed, epoch) decide."""
    return tuple(torch.randperm(count, generator=generator_for(seed, "order of examples", epoch)).tolist())


def batch_indices(count: int, size: int, step: int, seed: int) -> list[int]:
    """Indices of batch ``step`` (counted from 0) in the endless stream of shuffled epochs."""
    places = range(step * size, (step + 1) * size)
    return [epoch_order(count, seed, place // count)[place % count] for place in places]


def choose(count: int, size: int, seed: int) -> list[int]:
    """At most ``size`` of ``range(count)``, the same ones for the same seed, in rising order."""
    return sorted(epoch_order(count, seed, -1)[:size])


def pad(rows: Sequence[Sequence[int]], pad_id: int, side: Literal["left", "right"] = "right") -> tuple[Tensor, Tensor]:
    """Token ids and mask, both [B, T] int64. The mask comes from true lengths, never from the pad id."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[i, place] = torch.tensor(row, dtype=torch.long)
        mask[i, place] = 1
    return ids, mask


def side_by_side(rows: Sequence[Sequence[Sequence[int]]], pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of several sequences each, none of which sees another: ids [B, T], who sees whom [B, T, T], positions [B, T].

    Positions begin again with each sequence. Padding sees padding alone, so that no row of the mask is empty.
    """
    ids, mask = pad([[token for sequence in row for token in sequence] for row in rows], pad_id)
    owner = mask - 1
    positions = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        start = 0
        for number, sequence in enumerate(row):
            place = slice(start, start + len(sequence))
            owner[i, place] = number
            positions[i, place] = torch.arange(len(sequence))
            start += len(sequence)
    places = torch.arange(ids.shape[1])
    sees = (owner.unsqueeze(2) == owner.unsqueeze(1)) & (places.unsqueeze(1) >= places)
    return ids, sees, positions


def fill_rows(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Put sequences into as few rows of at most ``width`` tokens as first-fit decreasing finds; indices by row.

    A sequence that is longer has a row of its own.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        place = next((row for row, left in enumerate(room) if left >= lengths[i]), None)
        if place is None:
            rows.append([])
            room.append(width)
            place = len(rows) - 1
        rows[place].append(i)
        room[place] -= lengths[i]
    return rows
