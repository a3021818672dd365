"""The arithmetic of PPO against hand-worked tensors, brute force and exact expectations."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_lab.engine import maths
from tests.engine.conftest import on_apple

RIGHT = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)


def ragged(seed: int, *, batch: int = 5, width: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random rewards, values and a right-padded mask with lengths 1 … width."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, width + 1, (batch,), generator=g)
    mask = torch.arange(width) < lengths[:, None]
    draw = lambda: torch.randn(batch, width, generator=g, dtype=torch.float64)  # noqa: E731
    return draw(), draw(), mask


def to_left(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The same rows with their padding on the other side."""
    out = torch.zeros_like(x)
    out[mask.flip(1)] = x[mask]
    return out


def test_masked_mean_ignores_padding_even_when_it_is_not_finite():
    x = torch.tensor([[1.0, 2.0, 3.0, math.nan], [4.0, math.inf, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    assert maths.masked_mean(x, RIGHT).item() == pytest.approx(14 / 8)
    assert maths.masked_row_sum(x, RIGHT).tolist() == [6.0, 4.0, 4.0]


def test_whitening_gives_the_published_vector():
    x = torch.linspace(1.2, 2.0, 9).unsqueeze(0)
    expected = [0.0508, 0.4381, 0.8254, 1.2127, 1.6000, 1.9873, 2.3746, 2.7619, 3.1492]
    white = maths.masked_whiten(x, torch.ones_like(x, dtype=torch.bool), shift_mean=False)
    assert white[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_whitening_sees_only_the_mask():
    x, _, mask = ragged(0)
    polluted = torch.where(mask, x, 1e6)
    white = maths.masked_whiten(polluted, mask)
    assert white[mask].mean().item() == pytest.approx(0, abs=1e-9)
    assert white[mask].var(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(white[~mask], torch.zeros_like(white[~mask]))
    kept = maths.masked_whiten(polluted, mask, shift_mean=False)
    assert kept[mask].mean().item() == pytest.approx(x[mask].mean().item())


def test_selective_log_softmax_and_its_gradient_are_those_of_log_softmax():
    g = torch.Generator().manual_seed(0)
    logits = (torch.randn(3, 4, 11, generator=g, dtype=torch.float64) * 5).requires_grad_()
    ids = torch.randint(0, 11, (3, 4), generator=g)
    ours, table = maths.selective_log_softmax(logits.detach(), ids)
    full = logits - logits.logsumexp(-1, keepdim=True)
    torch.testing.assert_close(table, full.detach())
    chosen = full.gather(-1, ids[..., None])[..., 0]
    torch.testing.assert_close(ours, chosen.detach())
    (theirs,) = torch.autograd.grad(chosen.sum(), logits)
    torch.testing.assert_close(maths.selective_slope(table, ids), theirs)


def test_entropy_of_known_distributions():
    assert maths.entropy(torch.zeros(2, 8).log_softmax(-1)).tolist() == pytest.approx([math.log(8)] * 2)
    assert maths.entropy(torch.tensor([0.0, -100.0, -100.0])).item() == pytest.approx(0, abs=1e-6)
    p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    assert maths.entropy(p.log()).item() == pytest.approx(-(p * p.log()).sum().item())


def test_k1_and_k3_have_the_exact_kl_as_expectation():
    g = torch.Generator().manual_seed(1)
    policy = torch.randn(17, generator=g, dtype=torch.float64).log_softmax(0)
    reference = torch.randn(17, generator=g, dtype=torch.float64).log_softmax(0)
    exact = torch.nn.functional.kl_div(reference, policy, log_target=True, reduction="sum").item()
    assert (policy.exp() * maths.k1(policy, reference)).sum().item() == pytest.approx(exact)
    assert (policy.exp() * maths.k3(policy, reference)).sum().item() == pytest.approx(exact)


@given(st.floats(-30, 0), st.floats(-30, 0))
def test_k3_is_never_negative(log_p: float, log_q: float):
    assert maths.k3(torch.tensor(log_p), torch.tensor(log_q)).item() >= 0


def test_kl_in_the_reward_has_the_gradient_of_the_exact_kl():
    """Σ_a π(a)·k1(a)·∇log π(a), the expected policy gradient of k1 as a cost, is ∇KL; k1 as a loss is not."""
    g = torch.Generator().manual_seed(2)
    logits = torch.randn(13, generator=g, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(13, generator=g, dtype=torch.float64).log_softmax(0)
    logp = logits.log_softmax(0)
    (exact,) = torch.autograd.grad((logp.exp() * (logp - reference)).sum(), logits, retain_graph=True)
    cost = maths.k1(logp, reference).detach()
    (reinforce,) = torch.autograd.grad((logp.exp().detach() * cost * logp).sum(), logits, retain_graph=True)
    torch.testing.assert_close(reinforce, exact)
    (as_loss,) = torch.autograd.grad((logp.exp().detach() * maths.k1(logp, reference)).sum(), logits)
    assert as_loss.abs().max() < 1e-12


def test_score_stands_at_the_last_valid_token_and_kl_at_every_token():
    logp = torch.tensor([[-1.0, -2.0, -3.0, 9.0], [-1.0, 9.0, 9.0, 9.0], [0.0, 0.0, 0.0, 0.0]])
    ref = torch.tensor([[-2.0, -2.0, -1.0, 0.0], [-1.5, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 1.0]])
    rewards = maths.token_rewards(torch.tensor([10.0, 20.0, 30.0]), logp, ref, RIGHT, 0.5)
    assert rewards.tolist() == [[-0.5, 0.0, 11.0, 0.0], [19.75, 0.0, 0.0, 0.0], [-0.5, 0.0, 0.0, 30.5]]
    left = maths.token_rewards(
        torch.tensor([10.0, 20.0, 30.0]), to_left(logp, RIGHT), to_left(ref, RIGHT), RIGHT.flip(1), 0.5
    )
    assert torch.equal(left, to_left(rewards, RIGHT))


def test_rewards_are_constants():
    logp = torch.zeros(3, 4, requires_grad=True)
    scores = torch.ones(3, requires_grad=True)
    assert not maths.token_rewards(scores, logp, torch.ones(3, 4), RIGHT, 1.0).requires_grad


@pytest.mark.parametrize(
    ("how", "expected"), [("none", [2.0, 3.0]), ("replace", [2.0, -1.5]), ("subtract", [2.0, 1.5])]
)
def test_missing_eos(how, expected):
    scores, ended = torch.tensor([2.0, 3.0]), torch.tensor([True, False])
    assert maths.missing_eos(scores, ended, how, 1.5).tolist() == expected


def brute_force_gae(rewards, values, mask, gamma, lam):
    """Sum over l of (γλ)^l δ_{t+l}, written out for each token."""
    out = torch.zeros_like(rewards)
    for b in range(len(rewards)):
        n = int(mask[b].sum())
        r, v = rewards[b, :n].tolist(), [*values[b, :n].tolist(), 0.0]
        for t in range(n):
            out[b, t] = sum((gamma * lam) ** (k - t) * (r[k] + gamma * v[k + 1] - v[k]) for k in range(t, n))
    return out


@given(st.integers(0, 1000), st.floats(0.5, 1), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_gae_is_the_brute_force_sum_and_does_not_care_for_the_padding_side(seed, gamma, lam):
    rewards, values, mask = ragged(seed)
    advantages, returns = maths.gae(rewards, values, mask, gamma, lam)
    torch.testing.assert_close(advantages, brute_force_gae(rewards, values, mask, gamma, lam))
    torch.testing.assert_close(returns[mask], (advantages + values)[mask])
    assert not returns[~mask].any()
    left, _ = maths.gae(to_left(rewards, mask), to_left(values, mask), mask.flip(1), gamma, lam)
    assert torch.equal(left, to_left(advantages, mask))


def test_gae_with_lambda_one_is_monte_carlo_and_with_lambda_zero_is_td():
    rewards, values, mask = ragged(3)
    rewards = torch.where(mask, rewards, 0)
    monte_carlo, returns = maths.gae(rewards, values, mask, 1.0, 1.0)
    to_go = rewards.flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(monte_carlo, torch.where(mask, to_go - values, 0))
    torch.testing.assert_close(returns, torch.where(mask, to_go, 0))
    td, _ = maths.gae(rewards, values, mask, 0.9, 0.0)
    following = torch.where(mask, values, 0)[:, 1:]
    following = torch.cat([following, torch.zeros(len(mask), 1, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(td, torch.where(mask, rewards + 0.9 * following - values, 0))


def test_policy_loss_by_hand():
    old = torch.zeros(5)
    ratio = torch.tensor([1.0, 1.5, 1.5, 0.5, 0.5])
    advantages = torch.tensor([2.0, 1.0, -1.0, 1.0, -1.0])
    loss, clipped = maths.clipped_policy_loss(ratio.log(), old, advantages, 0.2)
    assert loss.tolist() == pytest.approx([-2.0, -1.2, 1.5, -0.5, 0.8])
    assert clipped.tolist() == [False, True, False, False, True]


def test_policy_loss_at_ratio_one_has_the_plain_policy_gradient():
    logp = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    advantages = torch.tensor([1.0, -2.0, 0.3])
    loss, clipped = maths.clipped_policy_loss(logp, logp.detach(), advantages, 0.2)
    (gradient,) = torch.autograd.grad(loss.sum(), logp)
    assert torch.equal(gradient, -advantages)
    assert not clipped.any()


def test_value_loss_by_hand():
    old, returns = torch.zeros(4), torch.tensor([1.0, 1.0, 1.0, -1.0])
    values = torch.tensor([0.1, 0.5, 1.5, 0.5])
    loss, clipped = maths.clipped_value_loss(values, old, returns, 0.2)
    assert loss.tolist() == pytest.approx([0.5 * 0.81, 0.5 * 0.64, 0.5 * 0.64, 0.5 * 2.25])
    assert clipped.tolist() == [False, True, True, False]


def test_approx_kl_by_hand():
    assert maths.approx_kl(torch.tensor([0.2, -1.0]), torch.tensor([0.0, -1.0])).tolist() == pytest.approx([0.02, 0.0])


def test_explained_variance():
    mask = torch.tensor([[True, True, False], [True, False, False]])
    returns = torch.tensor([[1.0, 2.0, 50.0], [3.0, -50.0, 0.0]])
    assert maths.explained_variance(returns.clone(), returns, mask) == pytest.approx(1)
    assert maths.explained_variance(torch.zeros(2, 3), returns, mask) == pytest.approx(0)
    assert maths.explained_variance(-returns, returns, mask) == pytest.approx(-3)
    assert maths.explained_variance(returns, torch.ones(2, 3), mask) == 0.0


def test_adaptive_kl_coefficient():
    assert maths.adapted_kl_coef(0.1, 6.0, 6.0, 10_000, 64) == 0.1
    assert maths.adapted_kl_coef(0.1, 60.0, 6.0, 10_000, 100) == pytest.approx(0.1 * 1.002)
    assert maths.adapted_kl_coef(0.1, 0.0, 6.0, 10_000, 100) == pytest.approx(0.1 * 0.998)
    assert maths.adapted_kl_coef(0.1, 6.6, 6.0, 1_000, 100) == pytest.approx(0.1 * 1.01)


def test_repetition_counts_four_grams_seen_before():
    assert maths.repetition([[1, 2, 3, 4, 5, 6]]) == 0
    assert maths.repetition([[7] * 8]) == pytest.approx(4 / 5)
    assert maths.repetition([[1, 2, 3, 4, 1, 2, 3, 4], [1, 2]]) == pytest.approx(0.5 * 1 / 5)
    assert maths.repetition([]) == 0


@pytest.mark.parametrize("sharpness", [1.0, 1e-2], ids=["unsure", "sure"])
def test_exact_sampling_has_a_normal_surprise_and_a_cut_tail_shows(sharpness: float):
    """Over many batches of 600 tokens; ``sharpness`` makes all but one token rare."""
    dice = torch.Generator().manual_seed(3)
    weights = torch.rand(600, 20, generator=dice)
    weights[:, 1:] *= sharpness
    logp = weights.log().log_softmax(-1)
    entropy = maths.entropy(logp).view(20, 30)

    def z(exact: bool) -> float:
        mass = logp.exp() if exact else torch.where(logp < logp.topk(3).values[:, -1:], 0.0, logp.exp())
        ids = torch.multinomial(mass, 1, generator=dice)
        return maths.sampling_z(logp.gather(1, ids).view(20, 30), entropy, torch.ones(20, 30, dtype=torch.bool))

    right = torch.tensor([z(True) for _ in range(200)])
    assert abs(right.mean()) < 0.3
    assert right.std() < 1.3
    assert right.abs().max() < 5
    wrong = torch.tensor([z(False) for _ in range(20)])
    assert wrong.mean() < -4


def test_surprise_of_padding_does_not_count():
    logp, entropy = torch.tensor([[-1.0, -9.0]]), torch.tensor([[0.5, 7.0]])
    assert maths.sampling_z(logp, entropy, torch.tensor([[True, False]])) == pytest.approx(0.5 / 1.0)
    assert maths.sampling_z(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)) == 0.0


def test_where_there_is_no_float64_sums_are_the_same() -> None:
    values, other = torch.randn(2, 40, generator=torch.Generator().manual_seed(0)).unbind()
    assert maths.NOTHING_SEEN.with_(on_apple(values)) == maths.NOTHING_SEEN.with_(values)
    mask = (values > -1).expand(1, -1)
    there = maths.sampling_z(on_apple(values[None]), on_apple(other.abs()[None]), on_apple(mask))
    assert there == maths.sampling_z(values[None], other.abs()[None], mask)
