"""Oracles of one PPO update: first-update identities, and what may not change its gradient."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor

from rlhf_lab.core.config import PpoConfig, RlooConfig
from rlhf_lab.engine import maths, rloo
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.oracles.bench import Bench, asked, largest, quiet, with_roles
from rlhf_lab.engine.oracles.oracle import Oracle
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.ppo_update import Targets, describe, learn, targets_of
from rlhf_lab.engine.rollout import Rollout, sample_episodes, score_episodes
from rlhf_lab.engine.scoring import Episodes

CONFIG = PpoConfig(
    batch_size=12,
    micro_batch_size=5,
    max_new_tokens=12,
    temperature=0.8,
    epochs=1,
    learning_rate=3e-3,
    value_learning_rate=3e-3,
    kl_coef=0.1,
    threads=1,
)

Gradients = dict[str, Tensor]


class Watched(Trainable):
    """Keeps the gradients of each step, before clipping."""

    def __init__(self, backbone: Backbone, config: PpoConfig | RlooConfig) -> None:
        super().__init__(backbone, config)
        self._backbone = backbone
        self.steps: list[Gradients] = []

    def step(self) -> dict[str, float]:
        """As PPO's, after a copy."""
        self.steps.append(gradients_of(self._backbone))
        return super().step()


def gradients_of(backbone: Backbone) -> Gradients:
    """Copies of what policy and critic have gathered."""
    return {
        f"{name}/{key}": parameter.grad.detach().clone()
        for name in ("policy", "value")
        for key, parameter in backbone.parameters_of(name).items()
        if parameter.grad is not None
    }


def small_ids(episodes: Episodes, tick: object) -> Tensor:
    """A reward that needs no model: small ids are good."""
    return torch.tensor([1 - sum(answer) / (17 * len(answer)) for answer in episodes.answer_ids])


def roll(backbone: Backbone, config: PpoConfig = CONFIG) -> Rollout:
    """Twelve answers of mixed lengths, scored by every role."""
    generator = torch.Generator().manual_seed(3)
    answers = sample_episodes(backbone, asked(times=2), config, generator=generator, tick=quiet)
    return score_episodes(backbone, answers, (small_ids,), config, quiet)


def gradient(backbone: Backbone, rollout: Rollout, targets: Targets, config: PpoConfig | RlooConfig) -> Gradients:
    """Of the first step on ``rollout``, by the real update; the backbone stands where it stood afterwards."""
    watched = Watched(backbone, config)
    before = watched.snapshot()
    learn(backbone, watched, rollout, targets, config, generator=torch.Generator().manual_seed(1), tick=quiet)
    watched.restore(before)
    return watched.steps[0]


def relative(one: Gradients, other: Gradients) -> float:
    """The length of the difference of two gradients over the length of one; NaN where their tensors differ."""
    if one.keys() != other.keys():
        return float("nan")
    gap = sum((one[key] - other[key]).square().sum() for key in one)
    whole = sum(tensor.square().sum() for tensor in one.values())
    return (torch.as_tensor(gap) / torch.as_tensor(whole)).sqrt().item()


def rows_of(rollout: Rollout, targets: Targets, rows: Sequence[int]) -> tuple[Rollout, Targets]:
    """Some of the answers with what was worked out for them over all."""
    found = rollout.episodes
    part = Episodes(
        replace(found.asked, prompts=[found.asked.prompts[i] for i in rows], ids=[found.asked.ids[i] for i in rows]),
        [found.answer_ids[i] for i in rows],
    )
    width = max(part.lengths())

    def cut(dense: Tensor) -> Tensor:
        return dense[list(rows), :width] if dense.dim() > 1 else dense[list(rows)]

    parts = {f.name: getattr(rollout, f.name) for f in fields(rollout)}
    dense = {name: cut(value) for name, value in parts.items() if isinstance(value, Tensor)}
    aims = {f.name: cut(getattr(targets, f.name)) for f in fields(targets)}
    return replace(rollout, episodes=part, **dense), Targets(**aims)


def first_update(bench: Bench) -> Iterator[Oracle]:
    """At the first step the trained policy is the sampling policy, and PPO is the plain policy gradient."""
    backbone = with_roles(bench.backbone())
    rollout = roll(backbone)
    targets = targets_of(rollout, CONFIG, CONFIG.kl_coef)
    watched = Watched(backbone, CONFIG)
    before = watched.snapshot()
    found = learn(backbone, watched, rollout, targets, CONFIG, generator=torch.Generator().manual_seed(1), tick=quiet)
    words = "Old log-probs come from the training forward."
    yield Oracle("first step: largest |ratio − 1|", 0, found["policy/ratio_first_dev"], 1e-5, words)
    yield Oracle("first step: share clipped", 0, found["policy/clipfrac_avg"], 0, "Nothing to clip yet.")
    yield Oracle("first step: approximate KL", 0, found["policy/approxkl_avg"], 1e-9, "The policy has not moved.")
    watched.restore(before)
    gap = relative(_plain_gradient(backbone, rollout, targets), watched.steps[0])
    yield Oracle("first step: gradient − plain policy gradient", 0, gap, 1e-4, "−mean A·log π, row by row, relative.")
    backbone = with_roles(bench.backbone(), policy=0.0)
    rollout = roll(backbone)
    found = describe(rollout, targets_of(rollout, CONFIG, CONFIG.kl_coef), CONFIG.kl_coef)
    yield Oracle("first rollout of a fresh policy: KL", 0, found["objective/kl"], 0, "Zero adapter, temperature 0.8.")


def cutting_up(bench: Bench) -> Iterator[Oracle]:
    """The gradient does not know how the minibatch was cut into micro-batches."""
    backbone = with_roles(bench.backbone())
    rollout = roll(backbone)
    targets = targets_of(rollout, CONFIG, CONFIG.kl_coef)
    whole = gradient(backbone, rollout, targets, CONFIG.model_copy(update={"micro_batch_size": 12}))
    for size in (1, 5):
        cut = gradient(backbone, rollout, targets, CONFIG.model_copy(update={"micro_batch_size": size}))
        words = "Token mean over the whole minibatch: relative difference of policy and critic."
        yield Oracle(f"gradient: micro-batch {size} − 12", 0, relative(whole, cut), 1e-4, words)
    halves: Gradients = {}
    for rows in (range(4), range(4, 12)):
        part, aims = rows_of(rollout, targets, list(rows))
        share = int(part.mask.sum()) / int(rollout.mask.sum())
        for key, tensor in gradient(backbone, part, aims, CONFIG).items():
            halves[key] = halves.get(key, 0) + share * tensor
    words = "What processes that share a batch add up: each its answers, weighted by its tokens."
    yield Oracle("gradient: 4 answers and 8, by tokens, − 12 at once", 0, relative(whole, halves), 1e-4, words)


def after_the_end(bench: Bench) -> Iterator[Oracle]:
    """Garbage at padded places reaches no metric and no gradient."""
    config = CONFIG.model_copy(update={"whiten_rewards": True, "missing_eos": "subtract"})
    results = []
    for dirt in (0.0, float("nan")):
        backbone = with_roles(bench.backbone())
        rollout = roll(backbone, config)
        for dense in (rollout.logprobs, rollout.ref_logprobs, rollout.values, rollout.entropy):
            assert dense is not None
            dense[~rollout.mask] = dirt
        targets = targets_of(rollout, config, config.kl_coef)
        metrics = describe(rollout, targets, config.kl_coef)
        results.append((metrics, gradient(backbone, rollout, targets, config)))
    (clean, gradients), (dirty, dirty_gradients) = results
    gap = largest(torch.tensor([clean[name] - dirty[name] for name in clean], dtype=torch.float64))
    yield Oracle(
        "NaN after the ends: largest change of any metric", 0, gap, 1e-6, "Every metric is masked after the end."
    )
    gap = relative(gradients, dirty_gradients)
    yield Oracle("NaN after the ends: change of the gradient", 0, gap, 1e-5, "Every loss is masked after the end.")


def leave_one_out(bench: Bench) -> Iterator[Oracle]:
    """RLOO: advantages against the other answers, and the plain policy gradient at the first step."""
    r = bench.numbers(12, seed=6)
    found = maths.group_advantages(r, 4, baseline="leave_one_out").view(3, 4)
    groups = r.view(3, 4)
    by_hand = torch.stack(
        [groups[:, i] - torch.cat([groups[:, :i], groups[:, i + 1 :]], 1).mean(1) for i in range(4)], 1
    )
    yield Oracle(
        "RLOO: advantage − (r − mean of the others)", 0, largest(found - by_hand), 1e-5, "k/(k − 1)·(r_i − r̄)."
    )
    yield Oracle("RLOO: largest sum over a prompt's answers", 0, largest(found.sum(1)), 1e-5, "They sum to 0.")
    backbone = with_roles(bench.backbone())
    config = RlooConfig(
        samples=2,
        batch_size=12,
        micro_batch_size=5,
        temperature=0.8,
        kl_coef=0.1,
        learning_rate=3e-3,
        max_new_tokens=12,
    )
    rollout = roll(backbone)
    targets = rloo.targets_of(rollout, config, config.kl_coef)
    rewards = rollout.scores - config.kl_coef * maths.masked_row_sum(
        maths.k1(rollout.logprobs, rollout.ref_logprobs), rollout.mask
    )
    others = rewards.view(6, 2).flip(1).flatten()
    expected = torch.where(rollout.mask, (rewards - others).unsqueeze(1), 0)
    gap = largest(targets.advantages - expected)
    yield Oracle("RLOO: advantage of score − β·KL, two answers", 0, gap, 1e-5, "The same at all tokens of an answer.")
    plain = _plain_gradient(backbone, rollout, targets)
    gap = relative(plain, gradient(backbone, rollout, targets, config))
    yield Oracle("RLOO, first step: gradient − plain policy gradient", 0, gap, 1e-4, "−Σ A·log π over the tokens.")


def _plain_gradient(backbone: Backbone, rollout: Rollout, targets: Targets) -> Gradients:
    """Of the loss written out, row by row; nothing is left in the parameters."""
    total = int(rollout.mask.sum())
    found = rollout.episodes
    for row, (prompt, answer) in enumerate(zip(found.asked.ids, found.answer_ids, strict=True)):
        alone = pad([prompt + answer], backbone.pad_id)
        place = slice(len(prompt) - 1, len(prompt) + len(answer) - 1)
        table = (backbone.logits(backbone.hidden(*alone, "policy"))[0, place] / CONFIG.temperature).log_softmax(-1)
        logp = table[range(len(answer)), answer]
        (-(logp * targets.advantages[row, : len(answer)]).sum() / total).backward()
        if targets.returns is None:
            continue
        values = backbone.head("value", backbone.hidden(*alone, "value"))[0, place]
        missed = (values - targets.returns[row, : len(answer)]).square()
        (CONFIG.value_coef * 0.5 * missed.sum() / total).backward()
    gradients = gradients_of(backbone)
    for name in ("policy", "value"):
        for parameter in backbone.parameters_of(name).values():
            parameter.grad = None
    return gradients
