"""Pairs as ids, both answers laid out behind one prompt, for every stage that learns from comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlhf_lab.core.records import Pair
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.examples import Encoder


@dataclass(frozen=True)
class Compared:
    """Pairs as ids: a prompt and two answers each."""

    prompts: list[list[int]]
    chosen: list[list[int]]
    rejected: list[list[int]]
    margin: Tensor
    """[B], how much better chosen should score; 0 where nothing is said"""
    tie: Tensor
    """[B], bool"""
    flipped: Tensor
    """[B], bool: the label is known to be noise"""
    weight: Tensor
    """[B], summing to B: what each pair counts for beside the others of the batch"""

    @property
    def answer_tokens(self) -> int:
        """Of all pairs, both sides."""
        return sum(map(len, (*self.chosen, *self.rejected)))

    def lengths(self) -> list[int]:
        """Tokens of each pair."""
        parts = zip(self.prompts, self.chosen, self.rejected, strict=True)
        return [len(prompt) + len(chosen) + len(rejected) for prompt, chosen, rejected in parts]


def encode(encoder: Encoder, records: Sequence[Pair], *, use_margins: bool = False) -> Compared:
    """Pairs to ids; both answers follow the same prompt ids."""
    weight = torch.tensor([pair.weight for pair in records], dtype=torch.float64)
    return Compared(
        prompts=[encoder.prompt(pair.prompt) for pair in records],
        chosen=[encoder.answer(pair.chosen.text) for pair in records],
        rejected=[encoder.answer(pair.rejected.text) for pair in records],
        margin=torch.tensor([(pair.margin or 0.0) if use_margins else 0.0 for pair in records]),
        tie=torch.tensor([pair.tie for pair in records]),
        flipped=torch.tensor([bool(pair.tags.get("flipped")) for pair in records]),
        weight=(weight / weight.mean()).float(),
    )


def branches(batch: Compared, rows: Sequence[int], pad_id: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows of prompt, chosen, rejected: ids [n, T], who sees whom [n, T, T], positions [n, T], last tokens [n, 2].

    Rejected stands after chosen but does not see it, and counts its positions from the prompt's end too.
    """
    ids, _ = pad([batch.prompts[i] + batch.chosen[i] + batch.rejected[i] for i in rows], pad_id)
    prompt = torch.tensor([[len(batch.prompts[i])] for i in rows])
    chosen = prompt + torch.tensor([[len(batch.chosen[i])] for i in rows])
    rejected = chosen + torch.tensor([[len(batch.rejected[i])] for i in rows])
    places = torch.arange(ids.shape[1]).unsqueeze(0)
    second = places >= chosen
    first = (places >= prompt) & ~second
    sees = (places.unsqueeze(2) >= places.unsqueeze(1)) & ~(second.unsqueeze(2) & first.unsqueeze(1))
    positions = torch.where(second, places - chosen + prompt, places)
    return ids, sees, positions, torch.cat([chosen, rejected], 1) - 1


def right_by(differences: Tensor, tie: Tensor) -> Tensor:
    """How right each pair [B] is: 1 where chosen scores higher, ½ for equal scores and labelled ties, else 0."""
    return torch.where(tie, 0.5, (differences > 0) + 0.5 * (differences == 0))


def accuracy(differences: Tensor, tie: Tensor) -> float:
    """Mean of `right_by`."""
    return right_by(differences, tie).mean().item()
