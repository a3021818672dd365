"""What a reward run says of its model besides training it: held-out pairs, the diagnosis, the scale of the scores."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from rlhf_lab.core.config import RewardConfig
from rlhf_lab.core.diagnosis import RewardDiagnosis
from rlhf_lab.core.events import Diagnosis, Event, Histogram, Metrics, SampleRow
from rlhf_lab.core.grouping import micro_batches
from rlhf_lab.core.records import Pair
from rlhf_lab.engine import chat
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import choose
from rlhf_lab.engine.diagnose import ScoredPairs, diagnose
from rlhf_lab.engine.examples import Data, Encoder
from rlhf_lab.engine.finite import require_finite
from rlhf_lab.engine.pairs import Compared, accuracy, encode
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.prompts import unique_prompts
from rlhf_lab.engine.reward_loss import bradley_terry
from rlhf_lab.engine.reward_scores import ADAPTER, head_scores, last_states
from rlhf_lab.engine.sampler import noise_for, sample
from rlhf_lab.engine.seeds import generator_for

SAMPLED = 256
"""Answers that decide the zero and the unit of the score."""
MOST_TRAIN_PAIRS = 256
"""Pairs to train on that a look scores too, for the difference."""
_BINS = 30


@torch.no_grad()
def look(
    config: RewardConfig, parts: Parts, backbone: Backbone, encoder: Encoder, data: Data, step: int
) -> Iterator[Event]:
    """Metrics and histograms of held-out pairs, and once something was learnt, the diagnosis."""
    if not data.heldout:
        return
    records = _pairs(data.heldout_records(config.eval_size, config.seed))
    batch = encode(encoder, records, use_margins=config.use_margins)
    by_head = _scores(config, parts, backbone, batch)
    chosen, rejected = by_head.mean(-1)
    terms = bradley_terry(chosen, rejected, batch.margin, batch.tie)
    require_finite({"the held-out loss": terms})
    values = {
        "eval/reward_loss": terms.mean().item(),
        "eval/accuracy": accuracy(chosen - rejected, batch.tie),
        "eval/margin": (chosen - rejected).mean().item(),
        "eval/pairs": float(len(records)),
    }
    if config.heads > 1:
        centred = by_head - by_head.mean((0, 1))  # where a head has its zero says nothing
        values["eval/head_spread"] = centred.std(-1, correction=0).mean().item()
    if any("flipped" in record.tags for record in records):
        clean = torch.where(batch.flipped, rejected - chosen, chosen - rejected)
        values["eval/accuracy_clean"] = accuracy(clean, batch.tie)
    found = None
    if step > 0:
        seen = _pairs(data.train_records(min(MOST_TRAIN_PAIRS, config.eval_size), config.seed))
        known = encode(encoder, seen, use_margins=config.use_margins)
        trained = _scored(seen, known, *_scores(config, parts, backbone, known).mean(-1))
        found = diagnose(_scored(records, batch, chosen, rejected), trained, config.seed)
        values |= _figures(found)
    yield Metrics(step=step, values=values)
    if found is not None:
        yield Diagnosis(step=step, found=found)
    yield from _histograms(chosen, rejected, step)


def _figures(found: RewardDiagnosis) -> dict[str, float]:
    """What of a diagnosis makes a curve."""
    longer = found.longer_wins
    figures = {
        "eval/train_accuracy": found.accuracy[0].accuracy,
        "eval/ece": found.ece,
        "eval/longer_wins": None if longer is None else longer.accuracy,
        "eval/length_corr": found.length_correlation,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _histograms(chosen: Tensor, rejected: Tensor, step: int) -> Iterator[Histogram]:
    """Of the scores of both sides, over the same edges."""
    edges = torch.linspace(*_span(torch.cat([chosen, rejected])), _BINS + 1)
    for name, part in (("chosen", chosen), ("rejected", rejected)):
        counts = torch.histogram(part, edges).hist
        yield Histogram(
            step=step, name=f"eval/scores_{name}", edges=tuple(edges.tolist()), counts=tuple(counts.int().tolist())
        )


def _pairs(records: Sequence[Any]) -> list[Pair]:
    return [record for record in records if isinstance(record, Pair)]


def _scores(config: RewardConfig, parts: Parts, backbone: Backbone, batch: Compared) -> Tensor:
    """Of chosen and rejected by each head: [2, n, K]."""
    found = torch.empty(2, len(batch.prompts), config.heads)
    # Without a backward pass four times as much fits into memory.
    for rows in micro_batches(batch.lengths(), 2 * config.micro_batch_size, 4 * backbone.tokens_at_once):
        parts.control.tick()
        chosen, rejected = head_scores(backbone, batch, rows)
        found[0, rows], found[1, rows] = chosen.cpu(), rejected.cpu()
    return found


def _scored(records: Sequence[Pair], batch: Compared, chosen: Tensor, rejected: Tensor) -> ScoredPairs:
    lengths = [torch.tensor([len(ids) for ids in side]) for side in (batch.chosen, batch.rejected)]
    return ScoredPairs(records, chosen, rejected, *lengths)


def _span(values: Tensor) -> tuple[float, float]:
    low, high = values.min().item(), values.max().item()
    return (low, high) if high - low > 1e-6 else (low - 0.5, high + 0.5)


@torch.no_grad()
def normalisation(
    config: RewardConfig, parts: Parts, backbone: Backbone, encoder: Encoder
) -> tuple[dict[str, Any], tuple[SampleRow, ...]]:
    """Mean and deviation of the scores of answers that the start samples to training prompts; some of them.

    The heads of an ensemble get a common mean on these answers, by their biases: pairs do not fix a head's zero, so
    that heads which agree on every pair would else seem to disagree on every answer. Their mean, the score, stays.
    """
    pool, _ = unique_prompts(parts.records)
    prompts = [pool[i] for i in choose(len(pool), SAMPLED, config.seed)]
    # Each answer has its own numbers, so that it is the same one however many are sampled at a time.
    noise = noise_for(generator_for(config.seed, "normalisation"), config.max_new_tokens, len(prompts))
    found: list[Tensor] = []
    shown: list[SampleRow] = []
    at_once = 4 * config.micro_batch_size
    for start in range(0, len(prompts), at_once):
        part = prompts[start : start + at_once]
        asked = [encoder.prompt(prompt) for prompt in part]
        answers = sample(
            backbone,
            asked,
            adapter=None,
            temperature=1.0,
            max_new_tokens=config.max_new_tokens,
            noise=noise[:, start : start + at_once],
            tick=parts.control.tick,
        )
        rows = [prompt + answer for prompt, answer in zip(asked, answers, strict=True)]
        by_head = torch.empty(len(rows), config.heads)
        for group in micro_batches([len(row) for row in rows], at_once, 4 * backbone.tokens_at_once):
            parts.control.tick()
            states = last_states(backbone, ADAPTER, [rows[i] for i in group])
            by_head[group] = backbone.heads(ADAPTER, states).cpu()
        found.append(by_head)
        shown += [
            SampleRow(
                prompt=prompt.text,
                completion=chat.decode(backbone.tokenizer, answer),
                values={"raw_score": score, "tokens": float(len(answer))},
                tags=prompt.tags,
            )
            for prompt, answer, score in zip(part, answers, by_head.mean(-1).tolist(), strict=True)
        ]
    every = torch.cat(found)
    require_finite({"the scores of sampled answers": every})
    scored = every.mean(-1)
    bias = backbone.parameters_of(ADAPTER)["head.bias"]
    bias -= (every.mean(0) - every.mean()).to(bias.device)
    mean, deviation = scored.mean().item(), scored.std(correction=0).item()
    # A model that scores everything alike would make a unit of nothing.
    lab = {"score_mean": mean, "score_std": max(deviation, 1e-4), "normalised": True}
    return lab, tuple(sorted(shown, key=lambda row: row.values["raw_score"])[:: max(1, len(shown) // 16)])
