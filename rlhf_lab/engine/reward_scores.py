"""Raw scores of a reward adapter in training: pairs in one forward, rows of ids, one number a head."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.pairs import Compared, branches

ADAPTER = "reward"


def head_scores(backbone: Backbone, batch: Compared, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Scores of chosen and rejected by each head [n, K], both from one forward."""
    if backbone.can_branch(max(batch.lengths()[i] for i in rows)):
        ids, sees, positions, ends = branches(batch, rows, backbone.pad_id)
        found = backbone.heads(ADAPTER, backbone.hidden_of_branches(ids, sees, positions, ADAPTER, places=ends))
        return found[:, 0], found[:, 1]
    chosen = [batch.prompts[i] + batch.chosen[i] for i in rows]
    rejected = [batch.prompts[i] + batch.rejected[i] for i in rows]
    both = backbone.heads(ADAPTER, last_states(backbone, ADAPTER, chosen + rejected))
    return both[: len(rows)], both[len(rows) :]


def scores(backbone: Backbone, batch: Compared, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Raw scores of chosen and rejected [n]: the mean over the heads."""
    chosen, rejected = head_scores(backbone, batch, rows)
    return chosen.mean(-1), rejected.mean(-1)


def score_rows(backbone: Backbone, adapter: str, rows: Sequence[list[int]]) -> Tensor:
    """Raw score [B] of each row of ids: the mean over the heads."""
    return backbone.head(adapter, last_states(backbone, adapter, rows))


def last_states(backbone: Backbone, adapter: str, rows: Sequence[list[int]]) -> Tensor:
    """Hidden state [B, D] of each row's last token, where scores are read."""
    ids, mask = pad(rows, backbone.pad_id)
    last = torch.tensor([[len(row) - 1] for row in rows])
    return backbone.hidden(ids, mask, adapter, places=last)[:, 0]
