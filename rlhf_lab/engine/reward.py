"""The reward model: a LoRA adapter and a scalar head learn which of two answers people prefer.

Bradley-Terry: P(chosen beats rejected) = σ(r_chosen − r_rejected). Chosen and rejected go through the model
in one forward, as two branches behind one prompt that is computed once. The score is read at the last valid
token of the answer (its EOS, unless it was cut), in training and in serving alike. Several heads on the one
adapter are an ensemble: each learns from its own draw of the pairs, their mean is the score. It trains on the
base with the start adapters merged, so that PPO, which starts there too, can share its backbone. Afterwards
answers *sampled* from that start give the zero and the unit of the score: without them β would mean something
else for each reward model.
"""

from collections.abc import Iterator
from typing import Any

import torch

from rlhf_lab.core.config import RewardConfig, steps_in_words
from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.events import Event, Phase, Samples, Warned
from rlhf_lab.core.grouping import micro_batches
from rlhf_lab.core.records import Pair
from rlhf_lab.engine import machine
from rlhf_lab.engine.beginning import load_base
from rlhf_lab.engine.examples import Encoder, select
from rlhf_lab.engine.finite import NotFinite, require_finite
from rlhf_lab.engine.pairs import accuracy, encode
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.reward_look import look, normalisation
from rlhf_lab.engine.reward_loss import bootstrap_weights, bradley_terry, centring
from rlhf_lab.engine.reward_scores import ADAPTER, head_scores
from rlhf_lab.engine.training import Training

_MISSING = "The data set holds no pairs in the train split, and a reward model learns from pairs only. Choose another data set."
_RAW = {"score_mean": 0.0, "score_std": 1.0, "normalised": False}


def train(config: RewardConfig, parts: Parts) -> Iterator[Event]:
    """The stage; see `rlhf_lab.engine.stages`."""
    # 1. Load the model, a fresh adapter and its head; find the pairs.
    yield Phase(name="loading the model")
    machine.use_threads(config.threads)
    backbone = load_base(config, parts)
    backbone.add_adapter(
        ADAPTER,
        r=config.lora_r,
        alpha=config.lora_alpha,
        seed=config.seed,
        layers=config.lora_layers,
        head=True,
        heads=config.heads,
    )
    encoder = Encoder(backbone.tokenizer, config.max_prompt_tokens, config.max_new_tokens)
    training = Training(config, parts, backbone, ADAPTER)
    tick = parts.control.tick
    # A pair is two rows.
    pairs_at_once = max(1, config.micro_batch_size // 2)
    try:
        data = select(parts.records, lambda record: isinstance(record, Pair), tick, _MISSING)
        times = bootstrap_weights(len(data.train), config.heads, config.seed)
        # 2. Begin, or go on from the newest checkpoint.
        yield from training.begin()
        if not data.heldout:
            yield Warned(code="no_heldout", text="The data set has no held-out pairs, so nothing shows overfitting.")
        while True:
            # 3. Look at held-out pairs.
            if training.evaluation_due():
                yield Phase(step=training.step, name="evaluating")
                yield from look(config, parts, backbone, encoder, data, training.step)
                training.evaluated()
                yield Phase(step=training.step, name="training")
            yield from training.save_if_due()
            if training.finished:
                break
            # 4. One step: the gradient of the batch's mean loss, gathered over micro-batches.
            yield from training.changes()
            places = data.places(config.batch_size, training.step, config.seed)
            batch = encode(encoder, data.at(places), use_margins=config.use_margins)
            drawn = times[places].float()
            differences = torch.empty(config.batch_size)
            loss = 0.0
            for rows in micro_batches(batch.lengths(), pairs_at_once, backbone.tokens_at_once):
                tick()
                chosen, rejected = head_scores(backbone, batch, rows)
                terms = bradley_terry(
                    chosen, rejected, batch.margin[rows, None].to(chosen), batch.tie[rows, None].to(chosen.device)
                )
                # The loss is the mean over pairs and heads; an ensemble's pairs count as often as each head drew them.
                share = (batch.weight[rows, None] * drawn[rows]).to(terms) / (config.batch_size * config.heads)
                summed = (share * terms).sum()
                off_centre = config.centre_coef * (share * centring(chosen, rejected)).sum()
                require_finite({"the loss": summed, "the centring": off_centre})
                (summed + off_centre).backward()
                loss += summed.item()
                differences[rows] = (chosen - rejected).detach().mean(-1).cpu()
            values = {
                "reward/loss": loss,
                "reward/accuracy": accuracy(differences, batch.tie),
                "reward/margin": differences.mean().item(),
            }
            yield from training.learn(values, batch.answer_tokens)
        # 5. The zero and the unit of the score.
        lab: dict[str, Any] = _RAW
        if config.normalise:
            yield Phase(step=training.step, name="normalising the scores")
            lab, shown = normalisation(config, parts, backbone, encoder)
            yield Samples(step=training.step, name="rollout", rows=shown)
            if lab["score_std"] < 1e-3:
                text = "All sampled answers score nearly the same: the reward model tells little apart."
                yield Warned(step=training.step, code="flat_scores", text=text)
        # 6. The result.
        if encoder.lost():
            yield Warned(step=training.step, code="cut", text=encoder.lost() + ".")
        yield from training.finish(lab, f"{steps_in_words(config.stage, training.step)} done.")
    except StopRequested:
        yield from training.stop(_RAW)
    except NotFinite as error:
        yield from training.fail(_RAW, error)
    except Exception as error:
        yield from training.break_off(_RAW, error)
