"""Forward passes over whole episodes: log-probabilities, values and scores of exactly the sampled ids.

An episode is laid out as prompt and answer without a gap, padded on the right. An answer's token t is
predicted, and its value read, at the place before it, so only those hidden states [n, D] of a micro-batch
ever meet the vocabulary (n = answer tokens of the micro-batch, in row order).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rlhf_lab.core.grouping import micro_batches
from rlhf_lab.engine import maths
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.prompts import Asked

LOGITS_AT_ONCE = 2**22
"""Logits held at one time (16 MB in fp32), whatever the vocabulary and the micro-batch."""


class Trunks:
    """What a backbone's trunk made of some rows, each [T, D] at its true length; frozen, so it holds for all epochs."""

    def __init__(self) -> None:
        self._of: dict[Backbone, dict[int, Tensor]] = {}

    def of(self, backbone: Backbone, rows: Sequence[int], ids: Tensor, mask: Tensor) -> Tensor | None:
        """For ``rows``, laid out as ids and mask [b, T], right-padded: [b, T, D]; None where there is no trunk."""
        if not backbone.trunk_depth:
            return None
        known = self._of.setdefault(backbone, {})
        if any(row not in known for row in rows):
            found = backbone.trunk(ids, mask)
            assert found is not None
            for row, states, length in zip(rows, found, mask.sum(1).tolist(), strict=True):
                known[row] = states[:length].clone()
        return pad_sequence([known[row] for row in rows], batch_first=True)


@dataclass(frozen=True)
class Episodes:
    """Prompts, and the ids that were sampled for them; never re-tokenised."""

    asked: Asked
    answer_ids: Sequence[list[int]]
    trunks: Trunks = field(default_factory=Trunks, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.asked)

    def ids(self, row: int) -> list[int]:
        """Prompt and answer."""
        return [*self.asked.ids[row], *self.answer_ids[row]]

    def lengths(self) -> list[int]:
        """Tokens of each answer."""
        return [len(answer) for answer in self.answer_ids]

    def answer_mask(self, device: torch.device) -> Tensor:
        """True at the tokens of each answer, right-padded: [B, R], R the longest answer."""
        lengths = torch.tensor(self.lengths(), device=device)
        return torch.arange(int(lengths.max()), device=device) < lengths.unsqueeze(1)

    def micro_batches(self, size: int, tokens: int, rows: Sequence[int] | None = None) -> list[list[int]]:
        """``rows`` (all, if not given) in groups of at most ``size`` rows and ``tokens`` tokens, alike in length."""
        chosen = range(len(self)) if rows is None else rows
        totals = [len(self.ids(row)) for row in chosen]
        return [[chosen[i] for i in group] for group in micro_batches(totals, size, tokens)]


@dataclass(frozen=True)
class Packed:
    """A micro-batch as the model reads it."""

    ids: Tensor
    """[b, T]"""
    mask: Tensor
    """[b, T], 1 at tokens"""
    before: Tensor
    """[b, T], true at the place before each answer token"""
    last: Tensor
    """[b], the place of the last valid token"""
    first_read: int
    """the lowest place before an answer token in any row"""
    targets: Tensor
    """[n], the answer tokens in row order"""
    trunk: Tensor | None
    """[b, T, D], what the frozen trunk makes of ids"""


def pack(backbone: Backbone, episodes: Episodes, rows: Sequence[int]) -> Packed:
    """Lay the episodes ``rows`` out for the model."""
    prompts = [episodes.asked.ids[row] for row in rows]
    answers = [episodes.answer_ids[row] for row in rows]
    ids, mask = pad([episodes.ids(row) for row in rows], backbone.pad_id)
    places = torch.arange(ids.shape[1])
    starts = torch.tensor([len(p) for p in prompts]).unsqueeze(1)
    ends = mask.sum(dim=1, keepdim=True)
    before = (places >= starts - 1) & (places < ends - 1)
    device = backbone.device
    return Packed(
        trunk=episodes.trunks.of(backbone, rows, ids, mask),
        ids=ids.to(device),
        mask=mask.to(device),
        before=before.to(device),
        last=(ends.squeeze(1) - 1).to(device),
        first_read=int(starts.min()) - 1,
        targets=torch.tensor([token for answer in answers for token in answer], device=device),
    )


def states_before(backbone: Backbone, batch: Packed, adapter: str | None) -> Tensor:
    """Hidden states that predict the answer tokens: [n, D]."""
    since = batch.first_read
    return backbone.hidden(batch.ids, batch.mask, adapter, batch.trunk, since)[batch.before[:, since:]]


def token_logprobs(backbone: Backbone, states: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """log π of ``targets`` [n] from ``states`` [n, D]: [n], fp32, differentiable in ``states``."""
    at_once = _places_at_once(backbone)
    result: Tensor = _TokenLogprobs.apply(states, targets, backbone.logits, temperature, at_once, False)[0]
    return result


def logprobs_and_entropy(
    backbone: Backbone, states: Tensor, targets: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """`token_logprobs`, and the entropy at each place: [n], without a gradient."""
    at_once = _places_at_once(backbone)
    result: tuple[Tensor, Tensor] = _TokenLogprobs.apply(states, targets, backbone.logits, temperature, at_once, True)
    return result


@torch.no_grad()
def score_tokens(
    backbone: Backbone,
    episodes: Episodes,
    adapter: str | None,
    *,
    temperature: float,
    micro_batch_size: int,
    tick: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """log π of every answer token and the entropy at its place, under ``adapter``: both [B, R], 0 at padding."""

    def both(states: Tensor, targets: Tensor) -> Tensor:
        return torch.stack(logprobs_and_entropy(backbone, states, targets, temperature), 1)

    scored = _at_answer_tokens(backbone, episodes, adapter, both, micro_batch_size, tick)
    return scored[..., 0], scored[..., 1]


@torch.no_grad()
def score_values(
    backbone: Backbone, episodes: Episodes, adapter: str, *, micro_batch_size: int, tick: Callable[[], None]
) -> Tensor:
    """The critic's value of the state before every answer token: [B, R], 0 at padding."""

    def values(states: Tensor, _: Tensor) -> Tensor:
        return backbone.head(adapter, states).float().unsqueeze(1)

    return _at_answer_tokens(backbone, episodes, adapter, values, micro_batch_size, tick)[..., 0]


def score_answers(
    backbone: Backbone, episodes: Episodes, adapter: str, *, micro_batch_size: int, tick: Callable[[], None]
) -> Tensor:
    """The raw score of each whole answer, read at its last valid token (its end token, unless it was cut): [B]."""
    return score_by_head(backbone, episodes, adapter, micro_batch_size=micro_batch_size, tick=tick).mean(-1)


@torch.no_grad()
def score_by_head(
    backbone: Backbone, episodes: Episodes, adapter: str, *, micro_batch_size: int, tick: Callable[[], None]
) -> Tensor:
    """What each of the adapter's heads says of each answer, read at the same place: [B, K]; the score is their mean."""
    groups = episodes.micro_batches(micro_batch_size, backbone.tokens_at_once)
    found = []
    for rows in groups:
        tick()
        batch = pack(backbone, episodes, rows)
        ends = backbone.hidden(batch.ids, batch.mask, adapter, batch.trunk, batch.last.unsqueeze(1))
        found.append(backbone.heads(adapter, ends[:, 0]).float())
    order = torch.tensor([row for rows in groups for row in rows], device=backbone.device)
    return torch.cat(found)[order.argsort()]


def _at_answer_tokens(
    backbone: Backbone,
    episodes: Episodes,
    adapter: str | None,
    measure: Callable[[Tensor, Tensor], Tensor],
    micro_batch_size: int,
    tick: Callable[[], None],
) -> Tensor:
    """``measure(states [n, D], targets [n]) -> [n, K]`` at every answer token: [B, R, K], 0 at padding."""
    mask = episodes.answer_mask(backbone.device)
    out: Tensor | None = None
    for rows in episodes.micro_batches(micro_batch_size, backbone.tokens_at_once):
        tick()
        batch = pack(backbone, episodes, rows)
        found = measure(states_before(backbone, batch, adapter), batch.targets)
        if out is None:
            out = found.new_zeros(*mask.shape, found.shape[1])
        put(out, mask, rows, found)
    assert out is not None, "no episodes to score"
    return out


def put(dense: Tensor, mask: Tensor, rows: Sequence[int], found: Tensor) -> None:
    """Into ``dense`` [B, R, …] what was found at the answer tokens of ``rows``, in row order: [n, …]."""
    here = dense.new_zeros(len(rows), *dense.shape[1:])
    here[mask[rows]] = found
    dense[rows] = here


class _TokenLogprobs(torch.autograd.Function):
    """Works out ∂log π/∂state chunk by chunk on the way forward, so that no logits wait for the backward pass.

    That is possible because the language-model head is frozen and acts on each place alone; it costs
    the same products as the usual order.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        targets: Tensor,
        logits_of: Callable[[Tensor], Tensor],
        temperature: float,
        at_once: int,
        with_entropy: bool,
    ) -> tuple[Tensor, Tensor]:
        wanted = ctx.needs_input_grad[0]
        logprobs, slopes, entropies = [], [], [states.new_zeros(0, dtype=torch.float32)]
        for part in _chunks(len(targets), at_once):
            chosen = targets[part]
            with torch.set_grad_enabled(wanted):
                leaf = states[part].detach().requires_grad_(wanted)
                logits = logits_of(leaf)
            scaled = logits.detach().float()
            found, table = maths.selective_log_softmax(scaled if temperature == 1 else scaled / temperature, chosen)
            logprobs.append(found)
            if with_entropy:
                entropies.append(maths.entropy(table))
            if wanted:
                # By hand: autograd would go through the wide chunk nine times.
                slope = maths.selective_slope(table, chosen).div_(temperature)
                slopes.append(torch.autograd.grad(logits, leaf, slope.to(logits.dtype))[0])
        if wanted:
            ctx.save_for_backward(torch.cat(slopes))
        entropy = torch.cat(entropies)
        ctx.mark_non_differentiable(entropy)
        return torch.cat(logprobs), entropy

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return (gradient.unsqueeze(1) * slopes).to(slopes.dtype), None, None, None, None, None


def _places_at_once(backbone: Backbone) -> int:
    return max(1, LOGITS_AT_ONCE // backbone.vocabulary)


def _chunks(places: int, at_once: int) -> list[slice]:
    return [slice(i, i + at_once) for i in range(0, places, at_once)]
