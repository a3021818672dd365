"""Oracles of the tensor arithmetic: golden numbers, brute force, exact expectations. No model."""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from rlhf_lab.engine import maths
from rlhf_lab.engine.oracles.bench import Bench, largest
from rlhf_lab.engine.oracles.oracle import Oracle
from rlhf_lab.engine.pairs import accuracy
from rlhf_lab.engine.reward_loss import bradley_terry

_PUBLISHED_WHITENING = (0.0508, 0.4381, 0.8254, 1.2127, 1.6000, 1.9873, 2.3746, 2.7619, 3.1492)


def whitening(bench: Bench) -> Iterator[Oracle]:
    """The published vector, and padding that must not matter."""
    x = torch.linspace(1.2, 2.0, 9, device=bench.device, dtype=bench.exact).unsqueeze(0)
    white = maths.masked_whiten(x, torch.ones_like(x, dtype=torch.bool), shift_mean=False)[0]
    published = torch.tensor(_PUBLISHED_WHITENING, device=bench.device, dtype=bench.exact)
    yield Oracle(
        "whitening: largest difference from the published vector",
        0,
        largest(white - published),
        1e-4,
        "1.2 … 2.0 in nine steps, biased variance, mean kept (The N Implementation Details of RLHF with PPO).",
    )
    x, _, mask = _ragged(bench, 0)
    white = maths.masked_whiten(torch.where(mask, x, 1e6), mask)
    inside = white[mask]
    yield Oracle("whitening: mean over answer tokens", 0, inside.mean().item(), 1e-5, "Padding of 1e6 has no part.")
    yield Oracle(
        "whitening: variance over answer tokens", 1, inside.var(correction=0).item(), 1e-5, "The biased variance."
    )


def advantages(bench: Bench) -> Iterator[Oracle]:
    """GAE against sums written out."""
    gaps = {"brute force": 0.0, "Monte Carlo": 0.0, "one-step": 0.0, "padding side": 0.0}
    for seed in range(20):
        rewards, values, mask = _ragged(bench, seed)
        gamma, lam = 0.5 + seed / 40, seed / 20
        found, _ = maths.gae(rewards, values, mask, gamma, lam)
        left, _ = maths.gae(_to_left(rewards, mask), _to_left(values, mask), mask.flip(1), gamma, lam)
        one, _ = maths.gae(rewards, values, mask, gamma, 0.0)
        whole, _ = maths.gae(rewards, values, mask, 1.0, 1.0)
        following = torch.cat([torch.where(mask, values, 0)[:, 1:], torch.zeros_like(values[:, :1])], 1)
        to_go = torch.where(mask, rewards, 0).flip(1).cumsum(1).flip(1)
        seen = {
            "brute force": found - _brute_force_gae(rewards, values, mask, gamma, lam),
            "Monte Carlo": whole - torch.where(mask, to_go - values, 0),
            "one-step": one - torch.where(mask, rewards + gamma * following - values, 0),
            "padding side": left - _to_left(found, mask),
        }
        gaps = {name: max(gap, largest(seen[name])) for name, gap in gaps.items()}
    tolerance = 1e-4 if bench.exact == torch.float32 else 1e-9
    words = {
        "brute force": ("GAE: largest difference from the O(T²) sum", "Σ (γλ)^l δ over 20 ragged batches."),
        "Monte Carlo": ("GAE with λ = 1: difference from reward to come − V", "γ = 1: the Monte-Carlo advantage."),
        "one-step": ("GAE with λ = 0: difference from r + γV′ − V", "The one-step temporal difference."),
        "padding side": ("GAE: difference between left and right padding", "Where padding stands cannot matter."),
    }
    for name, (title, why) in words.items():
        yield Oracle(title, 0, gaps[name], tolerance, why)


def divergence(bench: Bench) -> Iterator[Oracle]:
    """KL by enumerating a vocabulary: expectations of the estimators, and their gradients."""
    logits = bench.numbers(17, seed=1).requires_grad_()
    logp = logits.log_softmax(0)
    reference = bench.numbers(17, seed=2).log_softmax(0)
    p = logp.exp().detach()
    exact = (logp.exp() * (logp - reference)).sum()
    tolerance = 1e-5 if bench.exact == torch.float32 else 1e-9
    k1, k3 = maths.k1(logp, reference), maths.k3(logp, reference)
    yield Oracle("E[k1] over the vocabulary", exact.item(), (p * k1).sum().item(), tolerance, "The exact KL(π‖π_ref).")
    yield Oracle("E[k3] over the vocabulary", exact.item(), (p * k3).sum().item(), tolerance, "The exact KL(π‖π_ref).")
    yield Oracle("smallest k3 of any token", 0, k3.min().item(), 0, "k3 is never negative.", relation="≥")
    (wanted,) = torch.autograd.grad(exact, logits, retain_graph=True)
    (in_reward,) = torch.autograd.grad((p * k1.detach() * logp).sum(), logits, retain_graph=True)
    yield Oracle(
        "k1 in the reward: gradient − gradient of the exact KL",
        0,
        largest(in_reward - wanted),
        tolerance,
        "Σ π·k1·∇log π is ∇KL: why the penalty is part of the reward, detached.",
    )
    (as_loss,) = torch.autograd.grad((p * k3).sum(), logits, retain_graph=True)
    (turned,) = torch.autograd.grad((reference.exp() * (reference - logp)).sum(), logits)
    yield Oracle(
        "k3 as a loss: gradient − gradient of KL(π_ref‖π)",
        0,
        largest(as_loss - turned),
        tolerance,
        "As a loss (GRPO's way) k3 pulls along the other KL: biased for KL(π‖π_ref), as its setting says.",
    )


def rewards_of_tokens(bench: Bench) -> Iterator[Oracle]:
    """Where the score and the KL penalty stand, and what is done about answers without an end."""
    logp, ref, mask = _ragged(bench, 3)
    scores = bench.numbers(len(mask), seed=5)
    rewards = maths.token_rewards(scores, logp, ref, mask, 0.3)
    rows = torch.arange(len(mask), device=mask.device)
    last = mask.sum(1) - 1
    penalty = torch.where(mask, -0.3 * (logp - ref), 0)
    gap = largest((rewards - penalty)[rows, last] - scores)
    yield Oracle("score at the last valid token: difference", 0, gap, 1e-5, "Not at padding, not one token early.")
    summed = maths.masked_row_sum(rewards, mask) - (scores + penalty.sum(1))
    yield Oracle("sum of an answer's rewards − (score − β·KL)", 0, largest(summed), 1e-5, "β 0.3, ragged answers.")
    given, ended = torch.tensor([2.0, 3.0]), torch.tensor([True, False])
    cases: dict[Literal["none", "replace", "subtract"], float] = {"replace": -1.5, "subtract": 1.5, "none": 3.0}
    for how, expected in cases.items():
        found = maths.missing_eos(given, ended, how, 1.5)[1].item()
        yield Oracle(
            f"score 3 without an end, {how} 1.5",
            expected,
            found,
            1e-6,
            "OAI and N+ replace the score, TRL subtracts.",
        )
    found = maths.adapted_kl_coef(0.1, 60.0, 6.0, 10_000, 100)
    yield Oracle(
        "adaptive β 0.1 after 100 episodes at KL 60",
        0.1002,
        found,
        1e-9,
        "Target 6, horizon 10,000, error held at 0.2.",
    )


def ppo_losses(bench: Bench) -> Iterator[Oracle]:
    """The clipped losses, worked by hand."""
    ratio = torch.tensor([1.0, 1.5, 1.5, 0.5, 0.5], device=bench.device)
    advantage = torch.tensor([2.0, 1.0, -1.0, 1.0, -1.0], device=bench.device)
    loss, clipped = maths.clipped_policy_loss(ratio.log(), torch.zeros_like(ratio), advantage, 0.2)
    by_hand = torch.tensor([-2.0, -1.2, 1.5, -0.5, 0.8], device=bench.device)
    yield Oracle("policy loss: difference from hand-worked", 0, largest(loss - by_hand), 1e-6, "Clip 0.2, five cases.")
    yield Oracle("share of them that clipping changed", 0.4, clipped.float().mean().item(), 1e-6, "Two of five.")
    values = torch.tensor([0.1, 0.5, 1.5, 0.5], device=bench.device)
    returns = torch.tensor([1.0, 1.0, 1.0, -1.0], device=bench.device)
    loss, _ = maths.clipped_value_loss(values, torch.zeros_like(values), returns, 0.2)
    by_hand = torch.tensor([0.405, 0.32, 0.32, 1.125], device=bench.device)
    yield Oracle("value loss: difference from hand-worked", 0, largest(loss - by_hand), 1e-6, "Half squares, clip 0.2.")


def preferences(bench: Bench) -> Iterator[Oracle]:
    """Bradley–Terry."""
    r = bench.numbers(8, seed=4)
    zero, no = torch.zeros_like(r), torch.zeros(8, dtype=torch.bool, device=bench.device)
    yield Oracle(
        "Bradley–Terry at equal scores", math.log(2), bradley_terry(r, r, zero, no).mean().item(), 1e-6, "ln 2."
    )
    other = bench.numbers(8, seed=5)
    moved = bradley_terry(r + 7, other + 7, zero, no) - bradley_terry(r, other, zero, no)
    yield Oracle("Bradley–Terry: change when all scores shift by 7", 0, largest(moved), 1e-5, "Only differences count.")
    likelihood = -functional.logsigmoid(r - other)
    gap = bradley_terry(r, other, zero, no) - likelihood
    yield Oracle("Bradley–Terry − (−log σ(r_w − r_l))", 0, largest(gap), 1e-6, "The log-likelihood.")
    tied = bradley_terry(r, other, zero, ~no) - (likelihood - functional.logsigmoid(other - r)) / 2
    yield Oracle("a tie − half a win for either side", 0, largest(tied), 1e-6, "Ties count a half, not as wins.")
    halves = torch.tensor([1.0, -1.0, 0.0, 5.0])
    labelled = torch.tensor([False, False, False, True])
    yield Oracle("accuracy of right, wrong, equal, tied", 0.5, accuracy(halves, labelled), 1e-6, "1, 0, ½, ½.")
    yield from _two_items(bench)


def _two_items(bench: Bench) -> Iterator[Oracle]:
    wins, losses, ties = 7, 2, 4
    first = torch.tensor([0] * (wins + ties) + [1] * losses, device=bench.device)
    tie = torch.tensor([False] * wins + [True] * ties + [False] * losses, device=bench.device)
    score = torch.zeros(2, device=bench.device, dtype=bench.exact, requires_grad=True)
    # Newton's steps on the one free number, the difference.
    for _ in range(20):
        loss = bradley_terry(score[first], score[1 - first], torch.zeros(1, device=bench.device), tie).sum()
        (slope,) = torch.autograd.grad(loss, score, create_graph=True)
        (bend,) = torch.autograd.grad(slope[0], score)
        with torch.no_grad():
            score[0] -= slope[0] / bend[0]
    share = (wins + ties / 2) / (wins + losses + ties)
    yield Oracle(
        "two items, 7 won, 2 lost, 4 tied: r₁ − r₂",
        math.log(share / (1 - share)),
        (score[0] - score[1]).item(),
        1e-4,
        "The logit of how often the first won; a tie is half a win.",
    )


def _ragged(bench: Bench, seed: int, batch: int = 5, width: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    """Two tables of random numbers and a right-padded mask with lengths 1 … width."""
    lengths = torch.randint(1, width + 1, (batch,), generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(width) < lengths[:, None]).to(bench.device)
    return bench.numbers(batch, width, seed=seed), bench.numbers(batch, width, seed=seed + 1000), mask


def _to_left(x: Tensor, mask: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    out[mask.flip(1)] = x[mask]
    return out


def _brute_force_gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    out = torch.zeros_like(rewards)
    for row in range(len(rewards)):
        n = int(mask[row].sum())
        r, v = rewards[row, :n].tolist(), [*values[row, :n].tolist(), 0.0]
        for t in range(n):
            out[row, t] = sum((gamma * lam) ** (k - t) * (r[k] + gamma * v[k + 1] - v[k]) for k in range(t, n))
    return out
