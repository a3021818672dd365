"""Best of n, the baseline to beat: n answers to each held-out prompt, of which the one that scores best is kept.

Nothing is trained. All numbers for n = 1, 2, 4, … N come out of the same N answers, without bias: the best of n drawn
from them without replacement is the j-th worst with probability C(j−1, n−1)/C(N, n). Its KL to the start is at
most log n − (n−1)/n (Beirami et al. 2024). `Metrics` have n as their step; `Progress` counts batches of prompts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rlhf_lab.core.config import BestOfNConfig
from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import (
    AnyEvent,
    Checkpointed,
    Finished,
    Metrics,
    Phase,
    Progress,
    Samples,
    relative_path,
)
from rlhf_lab.engine import checkpoint, machine
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.beginning import begin, load_base
from rlhf_lab.engine.evaluate import heldout_prompts, judged_rows, weighted_means
from rlhf_lab.engine.finite import NotFinite, require_finite
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.prompts import Asked, unique_prompts
from rlhf_lab.engine.rewards import RewardSource, idle_weights, load_rewards
from rlhf_lab.engine.rollout import sample_episodes, total_score
from rlhf_lab.engine.scoring import Episodes
from rlhf_lab.engine.seeds import generator_for


@dataclass
class Drawn:
    """What was sampled so far, prompt by prompt: N neighbours each."""

    batches: int = 0
    answers: list[list[int]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, answers: list[list[int]], scores: list[float]) -> None:
        """One batch of prompts more."""
        self.answers += answers
        self.scores += scores
        self.batches += 1

    def go_back_to(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Take over what a checkpoint holds."""
        self.batches, self.scores = step, [float(score) for score in tensors["scores"].tolist()]
        self.answers = [[int(token) for token in answer] for answer in state["answers"]]
        if len(self.answers) != len(self.scores):
            raise ValueError(f"{len(self.answers)} answers have {len(self.scores)} scores")


def train(config: BestOfNConfig, parts: Parts, rewards: Sequence[RewardSource] | None = None) -> Iterator[AnyEvent]:
    """The stage; see `rlhf_lab.engine.stages`. ``rewards`` instead of those that the config names are summed."""
    # 1. The start, as it is; where the scores come from; the questions.
    yield Phase(name="loading the model")
    machine.use_threads(config.threads)
    backbone = load_base(config, parts)
    rewards = load_rewards(backbone, config, parts) if rewards is None else rewards
    asked = heldout_prompts(backbone.tokenizer, unique_prompts(parts.records)[1], config.eval_size, config)
    if not asked:
        raise LabError(
            "The data set has no held-out prompts, and best of n answers only those. Choose another data set."
        )
    total = -(-len(asked) // config.batch_size)
    # 2. Begin, or go on with what was sampled before.
    drawn = Drawn()
    yield from begin(parts, backbone, total, drawn.go_back_to, said_up_to=0)
    done = saved = drawn.batches
    if not done:
        yield from idle_weights(config)
    yield Progress(step=done, done=done, total=total)
    # 3. Batches of prompts, until all are answered, a person stops the run, or a number stops being one.
    try:
        while done < total:
            parts.control.changes()
            yield Phase(step=done, name="sampling")
            part = asked.part(done * config.batch_size, config.batch_size)
            drawn.add(*draw(backbone, part, rewards, config, parts, done))
            done = drawn.batches
            yield Progress(step=done, done=done, total=total)
            if config.checkpoint_every and done % config.checkpoint_every == 0:
                yield _save(parts, backbone, drawn)
                saved = done
        end = Finished(step=done, outcome="done", message=f"{config.samples} answers to each of {len(asked)} prompts.")
    except StopRequested:
        end = Finished(step=done, outcome="stopped", message=f"Stopped after {done} of {total} batches of prompts.")
    except NotFinite as bad:
        message = f"In batch {done + 1} of the prompts, {bad}. Look at where the scores come from."
        end = Finished(step=done, outcome="failed", message=message)
    except LabError as error:  # a reward function that failed
        end = Finished(step=done, outcome="failed", message=f"{error} Whole batches of prompts before it are kept.")
    if saved != done:
        yield _save(parts, backbone, drawn)
    # 4. What the best of n is like, for each n.
    if end.outcome == "done":
        yield from _report(config, parts, backbone, Episodes(asked.repeated(config.samples), drawn.answers), drawn)
    yield end


def draw(
    backbone: Backbone,
    part: Asked,
    rewards: Sequence[RewardSource],
    config: BestOfNConfig,
    parts: Parts,
    batch: int,
) -> tuple[list[list[int]], list[float]]:
    """N scored answers to each prompt of a batch, one to each at a time: no more at once than a rollout has."""
    tick = parts.control.tick
    generator = generator_for(config.seed, "best of n", batch)
    rounds, scores = [], []
    for _ in range(config.samples):
        episodes = sample_episodes(backbone, part, config, generator=generator, tick=tick, adapter=None)
        rounds.append(episodes.answer_ids)
        scores.append(total_score(rewards, episodes, tick).cpu())
    scored = torch.stack(scores, dim=1)
    require_finite({"the scores": scored})
    answers = [rounds[k][i] for i in range(len(part)) for k in range(config.samples)]
    return answers, scored.flatten().tolist()


def sizes(most: int) -> list[int]:
    """1, 2, 4, … and ``most``."""
    return sorted({2**i for i in range(most.bit_length()) if 2**i <= most} | {most})


def best_weights(scores: Tensor, n: int) -> Tensor:
    """How probable it is that each of the N answers [P, N] is the best of n drawn from its row: [P, N], rows sum to 1."""
    count = scores.shape[1]
    by_rank = [math.comb(rank, n - 1) / math.comb(count, n) for rank in range(count)]
    ranks = scores.argsort(dim=1, stable=True).argsort(dim=1)
    return torch.tensor(by_rank, dtype=torch.float64)[ranks]


def win_rate(scores: Tensor, n: int) -> float:
    """How often the best of n scores above one answer more, ties half; unbiased, for n below the N of scores [P, N]."""
    count = scores.shape[1]
    ordered = scores.sort(dim=1).values
    below = torch.searchsorted(ordered, scores.contiguous())
    not_above = torch.searchsorted(ordered, scores.contiguous(), right=True) - 1  # itself is none of the others
    all_within = torch.tensor([math.comb(k, n) / math.comb(count - 1, n) for k in range(count)], dtype=torch.float64)
    return 1 - (all_within[below] + all_within[not_above]).mean().item() / 2


def kl_bound(n: int) -> float:
    """What the KL of best of n to its start is at most, in nats."""
    return math.log(n) - (n - 1) / n


def _report(
    config: BestOfNConfig, parts: Parts, backbone: Backbone, episodes: Episodes, drawn: Drawn
) -> Iterator[AnyEvent]:
    yield Phase(name="evaluating")
    flat = torch.tensor(drawn.scores)
    judgements, rows = judged_rows(backbone, episodes, range(len(episodes)), {"score": flat}, parts.judge, per_token={})
    scores = flat.view(-1, config.samples).double()
    lengths = torch.tensor(episodes.lengths(), dtype=torch.float64)
    for n in sizes(config.samples):
        weights = best_weights(scores, n)
        mean = (weights * scores).sum(dim=1).mean().item()
        square = (weights * scores.square()).sum(dim=1).mean().item()
        share = weights.flatten() / len(scores)
        values = weighted_means(judgements, share.tolist()) | {
            "eval/score": mean,
            "eval/score_sd": math.sqrt(max(0.0, square - mean**2)),
            "eval/kl": kl_bound(n),
            "eval/length": (share * lengths).sum().item(),
            "bon/kl_bound": kl_bound(n),
        }
        if n < config.samples:
            values["bon/win_rate"] = win_rate(scores, n)
        yield Metrics(step=n, values=values)
    best = (scores.argmax(dim=1) + torch.arange(len(scores)) * config.samples).tolist()
    yield Samples(step=config.samples, name="heldout", rows=tuple(rows[i] for i in best))


def _save(parts: Parts, backbone: Backbone, drawn: Drawn) -> Checkpointed:
    state = {"base_hash": backbone.base_hash, "answers": drawn.answers}
    tensors = {"scores": torch.tensor(drawn.scores, dtype=torch.float64)}
    path = checkpoint.save(parts.folder / "checkpoints", drawn.batches, tensors, state, parts.control)
    return Checkpointed(step=drawn.batches, path=relative_path(path, parts.folder))
