"""Oracles of DPO and of best of n: the two ways to a better policy without a loop."""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from rlhf_lab.core.config import DpoConfig
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.best_of_n import best_weights, kl_bound, win_rate
from rlhf_lab.engine.dpo import answer_logprobs, lay_out, preference_loss
from rlhf_lab.engine.oracles.bench import Bench, episodes, largest, with_roles
from rlhf_lab.engine.oracles.forward import ROUNDING
from rlhf_lab.engine.oracles.oracle import Oracle
from rlhf_lab.engine.pairs import Compared


def preference_losses(bench: Bench) -> Iterator[Oracle]:
    """DPO's loss at the start and by its definition, and its gradient by hand."""
    config = DpoConfig(beta=0.3)
    policy, reference = bench.numbers(9, 2, seed=7).requires_grad_(), bench.numbers(9, 2, seed=8)
    lengths = torch.full((9, 2), 4.0, device=bench.device, dtype=bench.exact)
    sure = torch.zeros(9, device=bench.device, dtype=bench.exact)

    def loss(ours: Tensor, **changes: object) -> Tensor:
        given = config.model_copy(update=changes)
        return preference_loss(ours, reference, lengths, sure + given.label_smoothing, given)

    yield Oracle("DPO: loss where policy = reference", math.log(2), loss(reference).mean().item(), 1e-6, "ln 2.")
    start = loss(reference, loss="ipo").mean().item()
    yield Oracle("IPO: loss where policy = reference", 1 / (4 * 0.3**2), start, 1e-5, "1/(4β²), β 0.3.")
    margins = 0.3 * (policy - reference) @ torch.tensor([1.0, -1.0], device=bench.device, dtype=bench.exact)
    found = loss(policy)
    likelihood = -margins.sigmoid().log()
    yield Oracle("DPO: loss − (−log σ(β·difference))", 0, largest(found - likelihood), 1e-5, "Rafailov et al. 2023.")
    smooth = 0.8 * likelihood - 0.2 * (-margins).sigmoid().log()
    gap = largest(loss(policy, label_smoothing=0.2) - smooth)
    yield Oracle("DPO, smoothing 0.2: difference from 0.8·ℓ(m) + 0.2·ℓ(−m)", 0, gap, 1e-5, "Conservative DPO.")
    slope = torch.autograd.grad(found.sum(), policy)[0]
    by_hand = (-0.3 * (-margins).sigmoid()).unsqueeze(1) * torch.tensor([1.0, -1.0], device=bench.device)
    gap = largest(slope - by_hand)
    yield Oracle("DPO: gradient − (∓β·σ(−margin))", 0, gap, 1e-5, "Wrongly ordered pairs weigh most.")


def answers_of_pairs(bench: Bench) -> Iterator[Oracle]:
    """Log-probabilities of both answers from one forward are those of each row alone."""
    backbone = with_roles(bench.backbone())
    found = episodes()
    chosen, rejected = list(found.answer_ids), list(reversed(found.answer_ids))
    nothing = torch.zeros(len(chosen))
    batch = Compared(
        prompts=list(found.asked.ids),
        chosen=chosen,
        rejected=rejected,
        margin=nothing,
        tie=nothing.bool(),
        flipped=nothing.bool(),
        weight=nothing + 1,
    )
    with torch.no_grad():
        ours = answer_logprobs(backbone, lay_out(backbone, batch, range(len(chosen))), "policy")
        gap = 0.0
        for i, prompt in enumerate(batch.prompts):
            for side, answer in enumerate((chosen[i], rejected[i])):
                gap = max(gap, largest(ours[i, side] - _alone(backbone, prompt, answer)))
    words = "Two answers behind one prompt do not see each other; all their tokens count, the end too."
    yield Oracle("DPO: log-probs of a pair − those of its rows alone", 0, gap, 3 * ROUNDING, words)


def best_of_n(bench: Bench) -> Iterator[Oracle]:
    """Estimates against all ways to draw, and the theorems' bounds by enumeration."""
    scores = torch.randn(3, 6, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    scores[1, 2] = scores[1, 4]
    weight_gap = win_gap = 0.0
    for n in (1, 2, 3, 5):
        best = torch.stack([scores[:, list(drawn)].amax(1) for drawn in itertools.combinations(range(6), n)]).mean(0)
        weight_gap = max(weight_gap, largest((best_weights(scores, n) * scores).sum(1) - best))
        wins = [
            torch.where(scores[:, list(drawn)].amax(1) == scores[:, one], 0.5, 0)
            + (scores[:, list(drawn)].amax(1) > scores[:, one])
            for one in range(6)
            for drawn in itertools.combinations([i for i in range(6) if i != one], n)
        ]
        win_gap = max(win_gap, abs(win_rate(scores, n) - torch.stack(wins).double().mean().item()))
    yield Oracle("best of n: mean score − over all ways to draw n of 6", 0, weight_gap, 1e-9, "Unbiased for every n.")
    yield Oracle("best of n: win rate − over all ways to draw", 0, win_gap, 1e-9, "Ties half.")
    logp = torch.randn(40, generator=torch.Generator().manual_seed(10), dtype=torch.float64).log_softmax(0)
    below = torch.cat([torch.zeros(1, dtype=torch.float64), logp.exp().cumsum(0)])
    for n in (2, 16):
        best = below[1:] ** n - below[:-1] ** n
        exact = (best * (best.log() - logp)).sum().item()
        words = "log n − (n − 1)/n (Beirami et al. 2024), against the exact KL of 40 answers."
        yield Oracle(f"best of {n}: exact KL to the start", kl_bound(n), exact, 0, words, relation="≤")
    many = torch.rand(500, 32, generator=torch.Generator().manual_seed(12), dtype=torch.float64)
    rate = win_rate(many, 4)
    words = "n/(n + 1) where no two scores are equal; ties can only lower it."
    yield Oracle("best of 4: win rate over one more answer", 0.8, rate, 1e-9, words)


def _alone(backbone: Backbone, prompt: list[int], answer: list[int]) -> Tensor:
    hidden = backbone.hidden(*pad([prompt + answer], backbone.pad_id), "policy")
    table = backbone.logits(hidden)[0, len(prompt) - 1 : -1].log_softmax(-1)
    return table[range(len(answer)), answer].sum()
