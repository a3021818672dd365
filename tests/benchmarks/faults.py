"""Faults to plant in real runs: each wraps an object of the engine, its data or its settings, as a mistake would."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from rlhf_lab.core.naming import Stage
from rlhf_lab.core.records import Demonstration, Pair
from rlhf_lab.core.resources import resource
from rlhf_lab.engine import dpo, evaluate, ppo_state, reward_scores, rollout, sampler, sft, training
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.optimiser import Optimiser
from rlhf_lab.engine.rewards import RewardSource
from rlhf_lab.engine.scoring import Episodes

Records = Sequence[Any]


@dataclass(frozen=True)
class Fault:
    """A mistake, and the verdicts any of which recognises it."""

    name: str
    stage: Stage
    expected: tuple[str, ...]
    plant: Callable[[], AbstractContextManager[object]] = nullcontext
    changes: dict[str, Any] = field(default_factory=dict)
    records: Callable[[Records], Records] = list
    rewards: Callable[[], list[RewardSource]] | None = None


def _wrapped(place: Any, name: str, wrapper: Callable[..., Any]) -> AbstractContextManager[object]:
    """``wrapper(original, …)`` instead of ``place.name``."""
    return patch.object(place, name, partial(wrapper, getattr(place, name)))


@contextmanager
def wrong_reference() -> Iterator[None]:
    """The reference is the base without the SFT adapter."""
    bare = Backbone.load(resource("model"), device="cpu")

    def score(original: Any, backbone: Backbone, episodes: Episodes, adapter: str | None, **options: Any) -> Any:
        return original(bare if adapter is None else backbone, episodes, adapter, **options)

    def pairs(original: Any, backbone: Backbone, laid: Any, adapter: str | None) -> Any:
        return original(bare if adapter is None else backbone, laid, adapter)

    with (
        _wrapped(rollout, "score_tokens", score),
        _wrapped(evaluate, "score_tokens", score),
        _wrapped(dpo, "answer_logprobs", pairs),
    ):
        yield


def top_k(k: int) -> Callable[[], AbstractContextManager[object]]:
    """The sampler keeps the k likeliest tokens; scoring does not know."""

    def draw(original: Any, logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
        least = logits.topk(k, dim=-1).values[:, -1:]
        return original(torch.where(logits < least, -torch.inf, logits), temperature, noise)

    return lambda: _wrapped(sampler, "draw", draw)


def temperature_of_sampler(factor: float) -> Callable[[], AbstractContextManager[object]]:
    """The sampler uses another temperature than scoring."""

    def draw(original: Any, logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
        return original(logits, factor * temperature, noise)

    return lambda: _wrapped(sampler, "draw", draw)


def sampler_without_policy() -> AbstractContextManager[object]:
    """Answers come from the reference: the adapter is off while sampling."""

    def sample(original: Any, *given: Any, adapter: str | None, **options: Any) -> Any:
        return original(*given, adapter=None, **options)

    return _wrapped(rollout, "sample", sample)


def _of_backbone(change: Callable[[Backbone], None]) -> AbstractContextManager[object]:
    def load(original: Any, *given: Any, **options: Any) -> Backbone:
        backbone = original(*given, **options)
        change(backbone)
        return backbone

    return _wrapped(Backbone, "load", load)


def dropout() -> AbstractContextManager[object]:
    """A tenth of the activations is dropped, as in training mode."""

    def change(backbone: Backbone) -> None:
        for block in backbone.model.modules():
            if type(block).__name__.endswith("DecoderLayer"):
                block.register_forward_hook(lambda _, __, out: nn.functional.dropout(out, 0.1))

    return _of_backbone(change)


def never_ends() -> AbstractContextManager[object]:
    """A model that never learned to end: its EOS was cut off in all that it read."""

    def logits(original: Any, backbone: Backbone, hidden: Tensor) -> Tensor:
        found = original(backbone, hidden).clone()
        found[..., backbone.tokenizer.eos_token_id] -= 6
        return found

    original = Backbone.logits
    return patch.object(Backbone, "logits", lambda self, hidden: logits(original, self, hidden))


@contextmanager
def frozen_adapter() -> Iterator[None]:
    """The optimiser holds copies: the adapter that is used gets no gradient that anyone reads."""

    def optimiser(parameters: dict[str, nn.Parameter], *given: Any, name: str = "", **options: Any) -> Optimiser:
        if name != "value":
            parameters = {key: nn.Parameter(found.detach().clone()) for key, found in parameters.items()}
        return Optimiser(parameters, *given, name=name, **options)

    with patch.object(ppo_state, "Optimiser", optimiser), patch.object(training, "Optimiser", optimiser):
        yield


def head_reads_the_prompt() -> AbstractContextManager[object]:
    """The score is read at the end of the prompt, which chosen and rejected share."""

    def branches(original: Any, batch: Any, rows: Sequence[int], pad_id: int) -> Any:
        ids, sees, positions, ends = original(batch, rows, pad_id)
        prompt = torch.tensor([[len(batch.prompts[i]) - 1] for i in rows])
        return ids, sees, positions, prompt.expand_as(ends)

    return _wrapped(reward_scores, "branches", branches)


@contextmanager
def damaged_batch(step: int = 30) -> Iterator[None]:
    """At one step the answers are random tokens."""
    dice, done = random.Random(0), 0

    def learn(original: Any, run: training.Training, *given: Any) -> Any:
        nonlocal done
        done += 1
        return original(run, *given)

    def answer_loss(original: Any, backbone: Backbone, adapter: str, rows: Any, *given: Any, **options: Any) -> Any:
        for example in (example for row in rows for example in row if done == step - 1):
            example.answer[:] = [dice.randrange(len(backbone.tokenizer)) for _ in example.answer]
        return original(backbone, adapter, rows, *given, **options)

    counted = training.Training.learn
    with (
        patch.object(training.Training, "learn", lambda run, *given: learn(counted, run, *given)),
        _wrapped(sft, "answer_loss", answer_loss),
    ):
        yield


@dataclass(frozen=True)
class Each:
    """A reward that looks at the ids of one answer alone."""

    score: Callable[[list[int]], float]

    def __call__(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        return torch.tensor([self.score(answer) for answer in episodes.answer_ids])


@dataclass(frozen=True)
class Rare:
    """A reward for tokens that are rare in the batch, the way to text that no model would write; ``sign`` −1: for common ones."""

    sign: float = 1.0

    def __call__(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        counts = Counter(token for answer in episodes.answer_ids for token in answer)
        total = sum(counts.values())
        surprise = {token: -torch.log(torch.tensor(n / total)).item() for token, n in counts.items()}
        means = [sum(surprise[token] for token in answer) / len(answer) for answer in episodes.answer_ids]
        return self.sign * torch.tensor(means)


def swapped(pair: Pair) -> Pair:
    """The label the other way round."""
    return pair.model_copy(update={"chosen": pair.rejected, "rejected": pair.chosen})


def swapped_in_training(records: Records) -> Records:
    return [swapped(r) if isinstance(r, Pair) and r.split == "train" else r for r in records]


def swapped_everywhere(records: Records) -> Records:
    return [swapped(r) if isinstance(r, Pair) else r for r in records]


def noisy(records: Records, share: float = 0.45) -> Records:
    """So large a share of all labels is wrong."""
    dice = random.Random(0)
    return [swapped(r) if isinstance(r, Pair) and dice.random() < share else r for r in records]


def few(count: int) -> Callable[[Records], Records]:
    """So many records to train on, spread over the data; the held-out ones stay."""

    def pick(records: Records) -> Records:
        train = [r for r in records if r.split == "train" and isinstance(r, Pair | Demonstration)]
        return train[:: max(1, len(train) // count)][:count] + [r for r in records if r.split == "heldout"]

    return pick


_KL = ("kl_high", "kl_doubling")
_STEPS = ("clipping", "large_steps")
FAULTS: tuple[Fault, ...] = (
    Fault("wrong reference", "ppo", ("first_kl", "first_eval_kl"), wrong_reference),
    Fault("wrong reference", "dpo", ("first_loss", "first_eval_kl"), wrong_reference),
    Fault("dropout on", "ppo", ("first_kl", "first_eval_kl", "first_ratio"), dropout),
    Fault("dropout on", "dpo", ("first_loss", "first_eval_kl"), dropout),
    Fault("top-k 5 in the sampler", "ppo", ("sampler",), top_k(5)),
    Fault("top-k 50 in the sampler", "ppo", ("sampler",), top_k(50)),
    Fault("temperature 0.7 in the sampler", "rloo", ("sampler",), temperature_of_sampler(0.7)),
    Fault("sampler without the policy's adapter", "ppo", ("kl_negative", "sampler"), sampler_without_policy),
    Fault("learning rate × 100", "sft", ("sft_diverges",), changes={"learning_rate": 0.3}),
    Fault("learning rate × 100", "reward", ("reward_diverges", "reward_stuck"), changes={"learning_rate": 0.15}),
    Fault("learning rate × 100", "ppo", (*_KL, *_STEPS), changes={"learning_rate": 0.06}),
    Fault("learning rate × 100", "rloo", (*_KL, *_STEPS), changes={"learning_rate": 0.06}),
    Fault("learning rate × 100", "dpo", ("dpo_diverges",), changes={"learning_rate": 0.05}),
    Fault("learning rate × 10, 4 epochs", "ppo", _STEPS, changes={"learning_rate": 6e-3, "epochs": 4}),
    Fault("learning rate / 1,000", "ppo", ("no_learning",), changes={"learning_rate": 6e-7}),
    Fault("learning rate / 1,000", "dpo", ("dpo_stuck",), changes={"learning_rate": 5e-7}),
    Fault("frozen adapter", "sft", ("no_gradient",), frozen_adapter),
    Fault("frozen adapter", "reward", ("no_gradient",), frozen_adapter),
    Fault("frozen adapter", "ppo", ("no_gradient",), frozen_adapter),
    Fault("frozen adapter", "dpo", ("no_gradient",), frozen_adapter),
    Fault("a batch of random tokens at step 30", "sft", ("gradient_jump",), damaged_batch),
    Fault(
        "critic's learning rate 0.3",
        "ppo",
        ("critic",),
        changes={"value_learning_rate": 0.3, "updates": 30, "batch_size": 8},
    ),
    Fault(
        "β = 0",
        "ppo",
        ("over_optimised", *_KL),
        changes={"kl_coef": 0.0, "learning_rate": 2e-3, "updates": 60, "eval_every": 5, "eval_size": 64},
    ),
    Fault("a model that does not end", "ppo", ("rambling",), never_ends, {"missing_eos": "none"}),
    Fault("length is the reward", "ppo", ("length_reward",), rewards=lambda: [Each(lambda ids: len(ids) / 10)]),
    Fault(
        "shortness is the reward",
        "ppo",
        ("length_changed", "over_optimised", "entropy_low"),
        changes={"eval_every": 5, "eval_size": 64, "updates": 40},
        rewards=lambda: [Each(lambda ids: -len(ids) / 10)],
    ),
    Fault(
        "repetition is the reward",
        "ppo",
        ("repetition",),
        changes={"kl_coef": 0.0, "learning_rate": 2e-3, "updates": 60},
        rewards=lambda: [Each(lambda ids: 5 * (1 - len(set(ids)) / len(ids)))],
    ),
    Fault(
        "rare tokens are the reward",
        "ppo",
        ("incoherent",),
        changes={"kl_coef": 0.0, "learning_rate": 2e-3, "updates": 60},
        rewards=lambda: [Rare()],
    ),
    Fault(
        "common tokens are the reward",
        "rloo",
        ("entropy_low",),
        changes={"kl_coef": 0.0, "learning_rate": 2e-3, "updates": 60},
        rewards=lambda: [Rare(-1.0)],
    ),
    Fault("constant reward", "ppo", ("no_spread",), rewards=lambda: [Each(lambda ids: 1.0)]),
    Fault("constant reward", "rloo", ("no_spread", "no_gradient"), rewards=lambda: [Each(lambda ids: 1.0)]),
    Fault("score read at the prompt's end", "reward", ("dead_head",), head_reads_the_prompt),
    Fault("learning rate / 1,000", "reward", ("reward_stuck",), changes={"learning_rate": 1.5e-6}),
    Fault("45% of the labels wrong", "reward", ("weak_labels", "reward_stuck"), records=noisy),
    Fault("swapped labels in training", "reward", ("reversed",), records=swapped_in_training),
    Fault("swapped labels in training", "dpo", ("reversed", "over_optimised"), records=swapped_in_training),
    # No curve of the pairs alone can tell: the model learns the taste that the labels have.
    Fault("swapped labels everywhere", "dpo", ("over_optimised",), records=swapped_everywhere),
    Fault("64 pairs, many epochs", "reward", ("overfitted", "reward_overfitted"), records=few(64)),
    Fault("32 demonstrations, many epochs", "sft", ("sft_overfitted",), records=few(32), changes={"max_steps": 120}),
)
