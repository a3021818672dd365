"""How a policy answers held-out prompts: the same prompts and random numbers every time."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.events import SampleRow
from rlhf_lab.engine import chat, maths
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.finite import require_finite
from rlhf_lab.engine.parts import Judge
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.rewards import RewardSource
from rlhf_lab.engine.rollout import sample_episodes, total_score
from rlhf_lab.engine.scoring import Episodes, score_tokens
from rlhf_lab.engine.seeds import generator_for


def evaluate(
    backbone: Backbone,
    heldout: Asked,
    rewards: Sequence[RewardSource],
    config: PpoConfig,
    judge: Judge | None,
    tick: Callable[[], None],
) -> tuple[dict[str, float], tuple[SampleRow, ...]]:
    """Metrics ``eval/…`` and one row for each held-out prompt. Raises `NotFinite`."""
    episodes = _sample(backbone, heldout, config, tick)
    kl = _kl(backbone, episodes, config, tick)
    scores = total_score(rewards, episodes, tick)
    require_finite({"the held-out KL": kl, "the held-out scores": scores})
    judgements, rows = judged_rows(backbone, episodes, range(len(episodes)), scores, kl, judge)
    metrics = {
        "eval/score": scores.mean().item(),
        "eval/score_sd": scores.std(correction=0).item(),
        "eval/kl": kl.mean().item(),
        "eval/length": sum(episodes.lengths()) / len(episodes),
    }
    return _means(judgements) | metrics, rows


def judged_rows(
    backbone: Backbone,
    episodes: Episodes,
    which: Iterable[int],
    scores: torch.Tensor,
    kl: torch.Tensor,
    judge: Judge | None,
) -> tuple[list[dict[str, float]], tuple[SampleRow, ...]]:
    """What the judge says of the episodes ``which``, and a row of each with that, its score and its KL."""
    judgements, rows = [], []
    for i in which:
        prompt, answer = episodes.asked.prompts[i], episodes.answer_ids[i]
        text = chat.decode(backbone.tokenizer, answer)
        judged = dict(judge(prompt, text)) if judge else {}
        judgements.append(judged)
        numbers = {"score": scores[i].item(), "kl": kl[i].item(), "tokens": float(len(answer))}
        rows.append(SampleRow(prompt=prompt.text, completion=text, values=judged | numbers, tags=prompt.tags))
    return judgements, tuple(rows)


def telling(scores: torch.Tensor, each: int = 3) -> list[int]:
    """Which of a rollout's answers to show, best first: the best, the worst, and some from between."""
    order = scores.argsort(descending=True).tolist()
    if len(order) <= 3 * each:
        return order
    middle = len(order) // 2
    return order[:each] + order[middle : middle + each] + order[-each:]


def _sample(backbone: Backbone, heldout: Asked, config: PpoConfig, tick: Callable[[], None]) -> Episodes:
    """In parts no larger than a rollout, which is known to fit."""
    generator = generator_for(config.seed, "held-out answers")
    answers: list[list[int]] = []
    for start in range(0, len(heldout), config.batch_size):
        part = heldout.part(start, config.batch_size)
        answers += sample_episodes(backbone, part, config, generator=generator, tick=tick).answer_ids
    return Episodes(heldout, answers)


def _kl(backbone: Backbone, episodes: Episodes, config: PpoConfig, tick: Callable[[], None]) -> torch.Tensor:
    """k1 to the reference, summed over each answer: [B]."""
    ours, reference = (
        score_tokens(
            backbone,
            episodes,
            adapter,
            temperature=config.temperature,
            micro_batch_size=config.micro_batch_size,
            tick=tick,
        )[0]
        for adapter in ("policy", None)
    )
    return maths.masked_row_sum(maths.k1(ours, reference), episodes.answer_mask(backbone.device))


def _means(judgements: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number that a judge gave, over the answers that it gave it for."""
    found: dict[str, list[float]] = {}
    for judged in judgements:
        for name, value in judged.items():
            found.setdefault(f"eval/{name}", []).append(float(value))
    return {name: sum(values) / len(values) for name, values in found.items()}
