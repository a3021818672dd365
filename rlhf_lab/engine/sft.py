"""Supervised fine-tuning: a LoRA adapter learns to imitate the answers of demonstrations.

The loss is the mean negative log-likelihood per answer token over the whole batch (prompt tokens are read,
never predicted), so micro-batches change nothing. Data without demonstrations serves too: the chosen
answers of pairs and the liked ones of unpaired records. The learning rate falls straight to 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.events import Event, Metrics, Phase, SampleRow, Samples, Warned
from rlhf_lab.core.records import AnyRecord, Prompt
from rlhf_lab.engine import chat, machine
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import micro_batches, pad
from rlhf_lab.engine.examples import Data, Encoder, Example, select, shown_answer
from rlhf_lab.engine.finite import NotFinite, require_finite
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.sampler import sample
from rlhf_lab.engine.seeds import generator_for
from rlhf_lab.engine.training import Training

ADAPTER = "sft"
SHOWN = 16
"""Held-out prompts whose answers are shown before and after."""
_LOGITS_AT_ONCE = 2**24
_MISSING = (
    "The data set holds nothing to imitate: SFT needs demonstrations (or pairs, whose chosen answers it takes) "
    "in the train split. Choose another data set."
)


def train(config: SftConfig, parts: Parts) -> Iterator[Event]:
    """The stage; see `rlhf_lab.engine.stages`."""
    # 1. Load the model and a fresh adapter; find what there is to learn from.
    yield Phase(name="loading the model")
    machine.use_threads(config.threads)
    backbone = Backbone.load(parts.model, start_adapters=parts.start_adapters, dtype=config.dtype, device=config.device)
    backbone.check_length(config.max_prompt_tokens + config.max_new_tokens)
    backbone.add_adapter(ADAPTER, r=config.lora_r, alpha=config.lora_alpha, seed=config.seed)
    encoder = Encoder(backbone.tokenizer, config.max_prompt_tokens, config.max_new_tokens)
    training = Training(config, parts, backbone, ADAPTER)
    tick = parts.control.tick
    try:
        data = select(parts.records, lambda record: shown_answer(record) is not None, tick, _MISSING)
        # 2. Begin, or go on from the newest checkpoint.
        yield from training.begin()
        if not data.heldout:
            yield Warned(code="no_heldout", text="The data set has no held-out records, so nothing shows overfitting.")
        while True:
            # 3. Look at held-out data: the loss every so often, answers at the start and at the end.
            if training.evaluation_due():
                yield Phase(step=training.step, name="evaluating")
                yield from _evaluate(config, parts, backbone, encoder, data, training)
                training.evaluated()
                yield Phase(step=training.step, name="training")
            yield from training.save_if_due()
            if training.finished:
                break
            # 4. One step: the gradient of the batch's mean loss, gathered over micro-batches.
            yield from training.changes()
            batch = [encode(encoder, record) for record in data.batch(config.batch_size, training.step, config.seed)]
            total = sum(len(example.answer) for example in batch)
            loss = accuracy = 0.0
            lengths = [len(example.row) for example in batch]
            for rows in micro_batches(lengths, config.micro_batch_size, backbone.tokens_at_once):
                tick()
                part = answer_loss(backbone, ADAPTER, [batch[i] for i in rows], total, learn=True)
                loss += part.loss
                accuracy += part.hits / total
            yield from training.learn({"train/loss": loss, "train/token_accuracy": accuracy}, total)
        # 5. The result.
        if encoder.lost():
            yield Warned(step=training.step, code="cut", text=encoder.lost() + ".")
        yield from training.finish({}, f"{training.step} steps done.")
    except StopRequested:
        yield from training.stop({})
    except NotFinite as error:
        yield from training.fail({}, error)


@dataclass(frozen=True)
class AnswerLoss:
    """``loss``: the group's part of the mean over ``total`` tokens. ``hits``: tokens that were the argmax."""

    loss: float
    hits: int


def answer_loss(
    backbone: Backbone, adapter: str | None, examples: Sequence[Example], total: int, *, learn: bool
) -> AnswerLoss:
    """Summed loss of answer tokens over ``total``; with ``learn``, its gradient is added to the adapter's.

    Only states [n, D] that predict answer tokens meet the vocabulary, so many at a time, each part's
    gradient taken at once: the logits [n, V] of a micro-batch never exist together.
    """
    ids, mask = pad([example.row for example in examples], backbone.pad_id)
    predicting = torch.zeros_like(mask, dtype=torch.bool)
    for i, example in enumerate(examples):
        predicting[i, len(example.prompt) - 1 : len(example.row) - 1] = True
    targets = torch.tensor([t for example in examples for t in example.answer], device=backbone.device)
    with torch.set_grad_enabled(learn):
        states = backbone.hidden(ids, mask, adapter)[predicting.to(backbone.device)]
        leaf = states.detach().requires_grad_(learn)
        loss = torch.zeros((), device=backbone.device)
        hits = torch.zeros((), dtype=torch.long, device=backbone.device)
        for part in _parts(len(targets), max(1, _LOGITS_AT_ONCE // len(backbone.tokenizer))):
            logits = backbone.logits(leaf[part])
            summed = functional.cross_entropy(logits, targets[part], reduction="sum") / total
            loss += summed.detach()
            hits += (logits.detach().argmax(-1) == targets[part]).sum()
            if learn:
                summed.backward()
        require_finite({"the loss": loss})
        if learn:
            states.backward(leaf.grad)
    return AnswerLoss(loss.item(), int(hits))


def encode(encoder: Encoder, record: AnyRecord) -> Example:
    """Prompt and the answer to imitate."""
    answer = shown_answer(record)
    assert answer is not None, "only records with an answer to imitate are selected"
    return Example(encoder.prompt(record.prompt), encoder.answer(answer))


def _evaluate(
    config: SftConfig, parts: Parts, backbone: Backbone, encoder: Encoder, data: Data, training: Training
) -> Iterator[Event]:
    tick = parts.control.tick
    if data.heldout:
        examples = [encode(encoder, record) for record in data.heldout_records(config.eval_size, config.seed)]
        total = sum(len(example.answer) for example in examples)
        loss = accuracy = 0.0
        lengths = [len(example.row) for example in examples]
        # Without a backward pass four times as much fits into memory.
        for rows in micro_batches(lengths, 4 * config.micro_batch_size, 4 * backbone.tokens_at_once):
            tick()
            part = answer_loss(backbone, ADAPTER, [examples[i] for i in rows], total, learn=False)
            loss += part.loss
            accuracy += part.hits / total
        yield Metrics(step=training.step, values={"eval/loss": loss, "eval/token_accuracy": accuracy})
    if data.heldout and (training.step == 0 or training.finished):
        prompts = list(dict.fromkeys(r.prompt.model_dump_json() for r in data.heldout_records(SHOWN, config.seed)))
        rows_shown = _answers(config, parts, backbone, encoder, [Prompt.model_validate_json(p) for p in prompts])
        yield Samples(step=training.step, name="heldout", rows=tuple(rows_shown))


def _answers(
    config: SftConfig, parts: Parts, backbone: Backbone, encoder: Encoder, prompts: list[Prompt]
) -> list[SampleRow]:
    """Sampled with the same random numbers every time, so that what changed is the model."""
    answers = sample(
        backbone,
        [encoder.prompt(prompt) for prompt in prompts],
        adapter=ADAPTER,
        temperature=1.0,
        max_new_tokens=config.max_new_tokens,
        generator=generator_for(config.seed, "held-out answers"),
        tick=parts.control.tick,
    )
    shown = []
    for prompt, ids in zip(prompts, answers, strict=True):
        text = chat.decode(backbone.tokenizer, ids)
        values = dict(parts.judge(prompt, text)) if parts.judge else {}
        row = SampleRow(prompt=prompt.text, completion=text, values=values | {"tokens": len(ids)}, tags=prompt.tags)
        shown.append(row)
    return shown


def _parts(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]
