"""Supervised fine-tuning: a LoRA adapter learns to imitate the answers of demonstrations.

The loss is the mean negative log-likelihood per answer token over the whole batch (prompt tokens are read,
never predicted), so neither micro-batches nor packing change anything. Data without demonstrations serves too: the chosen
answers of pairs and the liked ones of unpaired records. The learning rate falls straight to 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rlhf_lab.core.config import SftConfig, steps_in_words
from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.events import Event, Metrics, Phase, Samples, Warned
from rlhf_lab.core.grouping import micro_batches
from rlhf_lab.core.records import AnyRecord
from rlhf_lab.engine import machine
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import fill_rows, pad, side_by_side
from rlhf_lab.engine.beginning import load_base
from rlhf_lab.engine.evaluate import evaluate
from rlhf_lab.engine.examples import Data, Encoder, Example, select, shown_answer
from rlhf_lab.engine.finite import NotFinite, require_finite
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.training import Training

ADAPTER = "sft"
SHOWN = 16
"""Held-out prompts that are answered at every look."""
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
    backbone = load_base(config, parts)
    backbone.add_adapter(ADAPTER, r=config.lora_r, alpha=config.lora_alpha, seed=config.seed, layers=config.lora_layers)
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
            # 3. Look at held-out data.
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
            for rows in _micro_batches(batch, config, backbone):
                tick()
                part = answer_loss(backbone, ADAPTER, rows, total, learn=True)
                loss += part.loss
                accuracy += part.hits / total
            yield from training.learn({"train/loss": loss, "train/token_accuracy": accuracy}, total)
        # 5. The result.
        if encoder.lost():
            yield Warned(step=training.step, code="cut", text=encoder.lost() + ".")
        yield from training.finish({}, f"{steps_in_words(config.stage, training.step)} done.")
    except StopRequested:
        yield from training.stop({})
    except NotFinite as error:
        yield from training.fail({}, error)
    except Exception as error:
        yield from training.break_off({}, error)


@dataclass(frozen=True)
class AnswerLoss:
    """``loss``: the group's part of the mean over ``total`` tokens. ``hits``: tokens that were the argmax."""

    loss: float
    hits: int


def answer_loss(
    backbone: Backbone, adapter: str | None, rows: Sequence[Sequence[Example]], total: int, *, learn: bool
) -> AnswerLoss:
    """Summed loss of answer tokens over ``total``; with ``learn``, its gradient is added to the adapter's.

    A row is one example, or several side by side. Only states [n, D] that predict answer tokens meet the
    vocabulary, so many at a time, each part's gradient taken at once: the logits [n, V] of a micro-batch never
    exist together.
    """
    examples = [example for row in rows for example in row]
    targets = torch.tensor([t for example in examples for t in example.answer], device=backbone.device)
    with torch.set_grad_enabled(learn):
        states = _predicting_states(backbone, adapter, rows)
        leaf = states.detach().requires_grad_(learn)
        loss = torch.zeros((), device=backbone.device)
        hits = torch.zeros((), dtype=torch.long, device=backbone.device)
        for part in _parts(len(targets), max(1, _LOGITS_AT_ONCE // backbone.vocabulary)):
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


def _predicting_states(backbone: Backbone, adapter: str | None, rows: Sequence[Sequence[Example]]) -> Tensor:
    """Hidden states [n, D] at the places before answer tokens, in the order of the examples."""
    since = min(len(row[0].prompt) for row in rows) - 1
    if all(len(row) == 1 for row in rows):
        ids, mask = pad([example.row for (example,) in rows], backbone.pad_id)
        hidden = backbone.hidden(ids, mask, adapter, places=since)
    else:
        ids, sees, positions = side_by_side([[example.row for example in row] for row in rows], backbone.pad_id)
        hidden = backbone.hidden_of_branches(ids, sees, positions, adapter, places=since)
    predicting = torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        start = 0
        for example in row:
            predicting[i, start + len(example.prompt) - 1 : start + len(example.row) - 1] = True
            start += len(example.row)
    return hidden[predicting[:, since:].to(backbone.device)]


def _micro_batches(batch: Sequence[Example], config: SftConfig, backbone: Backbone) -> list[list[list[Example]]]:
    """Groups of rows; rows of several examples where that is asked for and this model's attention allows it."""
    lengths = [len(example.row) for example in batch]
    rows = [[i] for i in range(len(batch))]
    if config.packing and backbone.can_branch(max(lengths)):
        rows = fill_rows(lengths, config.max_prompt_tokens + config.max_new_tokens)
    totals = [sum(lengths[i] for i in row) for row in rows]
    groups = micro_batches(totals, config.micro_batch_size, backbone.tokens_at_once)
    return [[[batch[i] for i in rows[place]] for place in group] for group in groups]


def encode(encoder: Encoder, record: AnyRecord) -> Example:
    """Prompt and the answer to imitate."""
    answer = shown_answer(record)
    assert answer is not None, "only records with an answer to imitate are selected"
    return Example(encoder.prompt(record.prompt), encoder.answer(answer))


def _evaluate(
    config: SftConfig, parts: Parts, backbone: Backbone, encoder: Encoder, data: Data, training: Training
) -> Iterator[Event]:
    """The loss of held-out examples, and answers to the same few prompts every time."""
    if not data.heldout:
        return
    tick = parts.control.tick
    records = data.heldout_records(config.eval_size, config.seed)
    examples = [encode(encoder, record) for record in records]
    total = sum(len(example.answer) for example in examples)
    loss = accuracy = 0.0
    lengths = [len(example.row) for example in examples]
    # Without a backward pass four times as much fits into memory.
    for rows in micro_batches(lengths, 4 * config.micro_batch_size, 4 * backbone.tokens_at_once):
        tick()
        part = answer_loss(backbone, ADAPTER, [[examples[i]] for i in rows], total, learn=False)
        loss += part.loss
        accuracy += part.hits / total
    asked = _asked(records, examples)
    answered, shown = evaluate(backbone, asked, (), config, parts.judge, tick, adapter=ADAPTER)
    yield Metrics(step=training.step, values={"eval/loss": loss, "eval/token_accuracy": accuracy} | answered)
    yield Samples(step=training.step, name="heldout", rows=shown)


def _asked(records: Sequence[AnyRecord], examples: Sequence[Example]) -> Asked:
    """The first different prompts: held-out records are a random choice already."""
    first: dict[str, int] = {}
    for i, record in enumerate(records):
        first.setdefault(record.prompt.model_dump_json(), i)
    places = list(first.values())[:SHOWN]
    return Asked([records[i].prompt for i in places], [examples[i].prompt for i in places])


def _parts(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]
