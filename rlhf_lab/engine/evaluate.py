"""How a policy answers held-out prompts: the same prompts and random numbers every time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from rlhf_lab.core.events import SampleRow
from rlhf_lab.core.settings import BaseRun
from rlhf_lab.engine import chat, maths
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import choose
from rlhf_lab.engine.finite import require_finite
from rlhf_lab.engine.parts import Judge
from rlhf_lab.engine.prompts import Asked, PromptPool, encode
from rlhf_lab.engine.rewards import RewardSource
from rlhf_lab.engine.rollout import sample_episodes, temperature_of, total_score
from rlhf_lab.engine.scoring import Episodes, score_tokens
from rlhf_lab.engine.seeds import generator_for

DETAILED = 32
"""Answers of one kind and step whose tokens are kept one by one; a run of a thousand steps keeps a few megabytes."""


def heldout_prompts(tokenizer: Any, pool: PromptPool, size: int, config: BaseRun) -> Asked:
    """At most ``size`` of the held-out prompts, the same ones for the same seed."""
    chosen = choose(len(pool), size, config.seed) if pool else []
    return encode(tokenizer, pool, chosen, config.max_prompt_tokens)[0]


def evaluate(
    backbone: Backbone,
    heldout: Asked,
    rewards: Sequence[RewardSource],
    config: BaseRun,
    judge: Judge | None,
    tick: Callable[[], None],
    *,
    adapter: str = "policy",
) -> tuple[dict[str, float], tuple[SampleRow, ...]]:
    """Metrics ``eval/…`` and one row for each held-out prompt; no score where nothing gives one. Raises `NotFinite`."""
    episodes = _sample(backbone, heldout, config, tick, adapter)
    kl_of_tokens = _kl(backbone, episodes, config, tick, adapter)
    kl = kl_of_tokens.sum(dim=1)
    numbers = {"kl": kl}
    metrics = {"eval/kl": kl.mean().item(), "eval/length": sum(episodes.lengths()) / len(episodes)}
    require_finite({"the held-out KL": kl})
    if rewards:
        scores = total_score(rewards, episodes, tick)
        require_finite({"the held-out scores": scores})
        numbers["score"] = scores
        metrics |= {"eval/score": scores.mean().item(), "eval/score_sd": scores.std(correction=0).item()}
    judgements, rows = judged_rows(
        backbone, episodes, range(len(episodes)), numbers, judge, per_token={"kl": kl_of_tokens}
    )
    return weighted_means(judgements, [1.0] * len(judgements)) | metrics, rows


def judged_rows(
    backbone: Backbone,
    episodes: Episodes,
    which: Iterable[int],
    numbers: Mapping[str, Tensor],
    judge: Judge | None,
    *,
    per_token: Mapping[str, Tensor],
) -> tuple[list[dict[str, float]], tuple[SampleRow, ...]]:
    """What the judge says of the episodes ``which``, and a row of each with that and its ``numbers`` [B].

    The first rows also hold ``per_token`` [B, R].
    """
    judgements, rows = [], []
    for i in which:
        prompt, answer = episodes.asked.prompts[i], episodes.answer_ids[i]
        text = chat.decode(backbone.tokenizer, answer)
        judged = dict(judge(prompt, text)) if judge else {}
        judgements.append(judged)
        values = judged | {name: of[i].item() for name, of in numbers.items()} | {"tokens": float(len(answer))}
        detailed = per_token if len(rows) < DETAILED else {}
        rows.append(
            SampleRow(
                prompt=prompt.text,
                completion=text,
                values=values,
                tags=prompt.tags,
                pieces=chat.pieces(backbone.tokenizer, answer) if detailed else (),
                per_token={name: _short(of[i, : len(answer)]) for name, of in detailed.items()},
            )
        )
    return judgements, tuple(rows)


def telling(scores: Tensor, each: int = 3) -> list[int]:
    """Which of a rollout's answers to show, best first: the best, the worst, and some from between."""
    order = scores.argsort(descending=True).tolist()
    if len(order) <= 3 * each:
        return order
    middle = len(order) // 2
    return order[:each] + order[middle : middle + each] + order[-each:]


def weighted_means(judgements: Sequence[Mapping[str, float]], weights: Sequence[float]) -> dict[str, float]:
    """``eval/<key>``: the mean of each number that a judge gave, over the answers that it gave it for."""
    sums: dict[str, tuple[float, float]] = {}
    for judged, weight in zip(judgements, weights, strict=True):
        for name, value in judged.items():
            total, mass = sums.get(f"eval/{name}", (0.0, 0.0))
            sums[f"eval/{name}"] = (total + weight * float(value), mass + weight)
    return {name: total / mass for name, (total, mass) in sums.items() if mass > 0}


def _sample(
    backbone: Backbone, heldout: Asked, config: BaseRun, tick: Callable[[], None], adapter: str | None
) -> Episodes:
    """In parts no larger than a rollout, which is known to fit."""
    generator = generator_for(config.seed, "held-out answers")
    answers: list[list[int]] = []
    for start in range(0, len(heldout), config.batch_size):
        part = heldout.part(start, config.batch_size)
        answers += sample_episodes(backbone, part, config, generator=generator, tick=tick, adapter=adapter).answer_ids
    return Episodes(heldout, answers)


def _kl(
    backbone: Backbone, episodes: Episodes, config: BaseRun, tick: Callable[[], None], adapter: str | None
) -> Tensor:
    """k1 to the reference at each token: [B, R], 0 at padding."""
    ours, reference = (
        score_tokens(
            backbone,
            episodes,
            role,
            temperature=temperature_of(config),
            micro_batch_size=config.micro_batch_size,
            tick=tick,
        )[0]
        for role in (adapter, None)
    )
    return maths.k1(ours, reference)


def _short(values: Tensor) -> tuple[float, ...]:
    """Four digits are enough to look at, and keep the event small."""
    return tuple(float(f"{value:.4g}") for value in values.tolist())
