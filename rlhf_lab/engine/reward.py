"""The reward model: a LoRA adapter and a scalar head learn which of two answers people prefer.

Bradley-Terry: P(chosen beats rejected) = σ(r_chosen − r_rejected). Chosen and rejected go through the model
in one forward, as two branches behind one prompt that is computed once. The score is read at the last valid token of the answer (its EOS, unless it was cut), in
training and in serving alike. It trains on the base with the start adapters merged, so that PPO, which
starts there too, can share its backbone. Afterwards answers *sampled* from that start give the zero and
the unit of the score: without them β would mean something else for each reward model.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rlhf_lab.core.config import RewardConfig
from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.events import Event, Histogram, Metrics, Phase, SampleRow, Samples, Warned
from rlhf_lab.core.records import Pair
from rlhf_lab.engine import chat, machine
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import choose, micro_batches, pad
from rlhf_lab.engine.examples import Data, Encoder, select
from rlhf_lab.engine.finite import NotFinite, require_finite
from rlhf_lab.engine.pairs import Compared, accuracy, branches, encode
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.prompts import unique_prompts
from rlhf_lab.engine.sampler import sample
from rlhf_lab.engine.seeds import generator_for
from rlhf_lab.engine.training import Training

ADAPTER = "reward"
SAMPLED = 256
"""Answers that decide the zero and the unit of the score."""
_BINS = 30
_MISSING = "The data set holds no pairs in the train split, and a reward model learns from pairs only. Choose another data set."
_RAW = {"score_mean": 0.0, "score_std": 1.0, "normalised": False}


def train(config: RewardConfig, parts: Parts) -> Iterator[Event]:
    """The stage; see `rlhf_lab.engine.stages`."""
    # 1. Load the model, a fresh adapter and its head; find the pairs.
    yield Phase(name="loading the model")
    machine.use_threads(config.threads)
    backbone = Backbone.load(parts.model, start_adapters=parts.start_adapters, dtype=config.dtype, device=config.device)
    backbone.check_length(config.max_prompt_tokens + config.max_new_tokens)
    backbone.add_adapter(ADAPTER, r=config.lora_r, alpha=config.lora_alpha, seed=config.seed, head=True)
    encoder = Encoder(backbone.tokenizer, config.max_prompt_tokens, config.max_new_tokens)
    training = Training(config, parts, backbone, ADAPTER)
    tick = parts.control.tick
    # A pair is two rows.
    pairs_at_once = max(1, config.micro_batch_size // 2)
    try:
        data = select(parts.records, lambda record: isinstance(record, Pair), tick, _MISSING)
        # 2. Begin, or go on from the newest checkpoint.
        yield from training.begin()
        if not data.heldout:
            yield Warned(code="no_heldout", text="The data set has no held-out pairs, so nothing shows overfitting.")
        while True:
            # 3. Look at held-out pairs.
            if training.evaluation_due():
                yield Phase(step=training.step, name="evaluating")
                yield from _evaluate(config, parts, backbone, encoder, data, training.step)
                training.evaluated()
                yield Phase(step=training.step, name="training")
            yield from training.save_if_due()
            if training.finished:
                break
            # 4. One step: the gradient of the batch's mean loss, gathered over micro-batches.
            yield from training.changes()
            batch = encode(
                encoder,
                data.batch(config.batch_size, training.step, config.seed),
                use_margins=config.use_margins,
            )
            differences = torch.empty(config.batch_size)
            loss = 0.0
            for rows in micro_batches(batch.lengths(), pairs_at_once, backbone.tokens_at_once):
                tick()
                chosen, rejected = scores(backbone, batch, rows)
                terms = bradley_terry(
                    chosen, rejected, batch.margin[rows].to(chosen), batch.tie[rows].to(chosen.device)
                )
                share = batch.weight[rows].to(terms) / config.batch_size
                summed = (share * terms).sum()
                off_centre = config.centre_coef * (share * centring(chosen, rejected)).sum()
                require_finite({"the loss": summed, "the centring": off_centre})
                (summed + off_centre).backward()
                loss += summed.item()
                differences[rows] = (chosen - rejected).detach().cpu()
            values = {
                "reward/loss": loss,
                "reward/accuracy": accuracy(differences, batch.tie),
                "reward/margin": differences.mean().item(),
            }
            yield from training.learn(values, sum(batch.lengths()))
        # 5. The zero and the unit of the score.
        lab: dict[str, Any] = _RAW
        if config.normalise:
            yield Phase(step=training.step, name="normalising the scores")
            lab, shown = _normalisation(config, parts, backbone, encoder)
            yield Samples(step=training.step, name="rollout", rows=shown)
            if lab["score_std"] < 1e-3:
                text = "All sampled answers score nearly the same: the reward model tells little apart."
                yield Warned(step=training.step, code="flat_scores", text=text)
        # 6. The result.
        if encoder.lost():
            yield Warned(step=training.step, code="cut", text=encoder.lost() + ".")
        yield from training.finish(lab, f"{training.step} steps done.")
    except StopRequested:
        yield from training.stop(_RAW)
    except NotFinite as error:
        yield from training.fail(_RAW, error)


def bradley_terry(chosen: Tensor, rejected: Tensor, margin: Tensor, tie: Tensor) -> Tensor:
    """−log σ(chosen − rejected − margin), all [B]; a tie is half a win for each side."""
    difference = chosen - rejected
    tied = (functional.softplus(-difference) + functional.softplus(difference)) / 2
    return torch.where(tie, tied, functional.softplus(margin - difference))


def centring(chosen: Tensor, rejected: Tensor) -> Tensor:
    """(chosen + rejected)², all [B]: what Bradley–Terry leaves free, the zero of each prompt (Eisenstein et al. 2023)."""
    return (chosen + rejected).square()


def scores(backbone: Backbone, batch: Compared, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Raw scores of chosen and rejected [n], both from one forward."""
    if backbone.can_branch(max(batch.lengths()[i] for i in rows)):
        ids, sees, positions, ends = branches(batch, rows, backbone.pad_id)
        hidden = backbone.hidden_of_branches(ids, sees, positions, ADAPTER)
        found = backbone.head(ADAPTER, hidden[torch.arange(len(rows)).unsqueeze(1), ends])
        return found[:, 0], found[:, 1]
    chosen = [batch.prompts[i] + batch.chosen[i] for i in rows]
    rejected = [batch.prompts[i] + batch.rejected[i] for i in rows]
    both = score_rows(backbone, ADAPTER, chosen + rejected)
    return both[: len(rows)], both[len(rows) :]


def score_rows(backbone: Backbone, adapter: str, rows: Sequence[list[int]]) -> Tensor:
    """Raw score [B] of each row of ids: the head at its last token."""
    ids, mask = pad(rows, backbone.pad_id)
    hidden = backbone.hidden(ids, mask, adapter)
    last = torch.tensor([len(row) - 1 for row in rows], device=backbone.device)
    return backbone.head(adapter, hidden[torch.arange(len(rows), device=backbone.device), last])


@torch.no_grad()
def _evaluate(
    config: RewardConfig, parts: Parts, backbone: Backbone, encoder: Encoder, data: Data, step: int
) -> Iterator[Event]:
    if not data.heldout:
        return
    records = data.heldout_records(config.eval_size, config.seed)
    batch = encode(encoder, records, use_margins=config.use_margins)
    chosen, rejected = torch.empty(len(records)), torch.empty(len(records))
    # Without a backward pass four times as much fits into memory.
    for rows in micro_batches(batch.lengths(), 2 * config.micro_batch_size, 4 * backbone.tokens_at_once):
        parts.control.tick()
        found = scores(backbone, batch, rows)
        chosen[rows], rejected[rows] = found[0].cpu(), found[1].cpu()
    terms = bradley_terry(chosen, rejected, batch.margin, batch.tie)
    require_finite({"the held-out loss": terms})
    values = {
        "eval/reward_loss": terms.mean().item(),
        "eval/accuracy": accuracy(chosen - rejected, batch.tie),
        "eval/margin": (chosen - rejected).mean().item(),
        "eval/pairs": float(len(records)),
    }
    if any("flipped" in record.tags for record in records):
        clean = torch.where(batch.flipped, rejected - chosen, chosen - rejected)
        values["eval/accuracy_clean"] = accuracy(clean, batch.tie)
    yield Metrics(step=step, values=values)
    edges = torch.linspace(*_span(torch.cat([chosen, rejected])), _BINS + 1)
    for name, part in (("chosen", chosen), ("rejected", rejected)):
        counts = torch.histogram(part, edges).hist
        yield Histogram(
            step=step, name=f"eval/scores_{name}", edges=tuple(edges.tolist()), counts=tuple(counts.int().tolist())
        )


def _span(values: Tensor) -> tuple[float, float]:
    low, high = values.min().item(), values.max().item()
    return (low, high) if high - low > 1e-6 else (low - 0.5, high + 0.5)


@torch.no_grad()
def _normalisation(
    config: RewardConfig, parts: Parts, backbone: Backbone, encoder: Encoder
) -> tuple[dict[str, Any], tuple[SampleRow, ...]]:
    """Mean and deviation of the scores of answers that the start samples to training prompts; some of them."""
    pool, _ = unique_prompts(parts.records)
    prompts = [pool[i] for i in choose(len(pool), SAMPLED, config.seed)]
    generator = generator_for(config.seed, "normalisation")
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
            generator=generator,
            tick=parts.control.tick,
        )
        rows = [prompt + answer for prompt, answer in zip(asked, answers, strict=True)]
        raw = torch.empty(len(rows))
        for group in micro_batches([len(row) for row in rows], at_once, 4 * backbone.tokens_at_once):
            parts.control.tick()
            raw[group] = score_rows(backbone, ADAPTER, [rows[i] for i in group]).cpu()
        found.append(raw)
        shown += [
            SampleRow(
                prompt=prompt.text,
                completion=chat.decode(backbone.tokenizer, answer),
                values={"raw_score": score, "tokens": float(len(answer))},
                tags=prompt.tags,
            )
            for prompt, answer, score in zip(part, answers, raw.tolist(), strict=True)
        ]
    scored = torch.cat(found)
    require_finite({"the scores of sampled answers": scored})
    mean, deviation = scored.mean().item(), scored.std(correction=0).item()
    # A model that scores everything alike would make a unit of nothing.
    lab = {"score_mean": mean, "score_std": max(deviation, 1e-4), "normalised": True}
    return lab, tuple(sorted(shown, key=lambda row: row.values["raw_score"])[:: max(1, len(shown) // 16)])
