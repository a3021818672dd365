"""DPO with LoRA: make the chosen answer likelier than the rejected one, without a reward model (Rafailov et al. 2023).

The implicit reward of an answer is β·(log π − log π_ref), summed over its tokens; the reference is the same base
with the adapter off, looked up in the step itself. Chosen and rejected go through the model in one forward, as
two branches behind one prompt. IPO (Azar et al. 2023) pulls the difference of mean log-ratios per token to
1/(2β), as its authors compute it. The fresh adapter changes nothing, so the first loss is ln 2 (IPO: 1/(4β²)).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rlhf_lab.core.config import DpoConfig, steps_in_words
from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.events import Event, Metrics, Phase, Samples, Warned
from rlhf_lab.core.grouping import micro_batches
from rlhf_lab.core.records import Pair
from rlhf_lab.engine import machine
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.beginning import load_base
from rlhf_lab.engine.evaluate import evaluate, heldout_prompts
from rlhf_lab.engine.examples import Data, Encoder, select
from rlhf_lab.engine.finite import NotFinite, require_finite
from rlhf_lab.engine.pairs import Compared, accuracy, branches, encode
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.prompts import Asked, unique_prompts
from rlhf_lab.engine.scoring import token_logprobs
from rlhf_lab.engine.training import Training

ADAPTER = "policy"
_MISSING = "The data set holds no pairs in the train split, and DPO learns from pairs only. Choose another data set."


def train(config: DpoConfig, parts: Parts) -> Iterator[Event]:
    """The stage; see `rlhf_lab.engine.stages`."""
    # 1. Load the model and a fresh adapter; find the pairs, and prompts to answer.
    yield Phase(name="loading the model")
    machine.use_threads(config.threads)
    backbone = load_base(config, parts)
    backbone.add_adapter(ADAPTER, r=config.lora_r, alpha=config.lora_alpha, seed=config.seed, layers=config.lora_layers)
    encoder = Encoder(backbone.tokenizer, config.max_prompt_tokens, config.max_new_tokens)
    training = Training(config, parts, backbone, ADAPTER)
    tick = parts.control.tick
    try:
        data = select(parts.records, lambda record: isinstance(record, Pair), tick, _MISSING)
        asked = heldout_prompts(backbone.tokenizer, unique_prompts(parts.records)[1], config.eval_size, config)
        # 2. Begin, or go on from the newest checkpoint.
        yield from training.begin()
        if not data.heldout:
            yield Warned(code="no_heldout", text="The data set has no held-out pairs, so nothing shows overfitting.")
        while True:
            # 3. Look at held-out pairs, and at what the policy now answers.
            if training.evaluation_due():
                yield Phase(step=training.step, name="evaluating")
                yield from _evaluate(config, parts, backbone, encoder, data, asked, training.step)
                training.evaluated()
                yield Phase(step=training.step, name="training")
            yield from training.save_if_due()
            if training.finished:
                break
            # 4. One step: the gradient of the batch's mean loss, gathered over micro-batches.
            yield from training.changes()
            batch = encode(encoder, data.batch(config.batch_size, training.step, config.seed))
            seen = Seen(batch, config)
            loss = 0.0
            # A pair is two rows.
            for rows in micro_batches(batch.lengths(), max(1, config.micro_batch_size // 2), backbone.tokens_at_once):
                tick()
                terms = seen.look(backbone, rows)
                summed = (batch.weight[rows].to(terms) * terms).sum() / config.batch_size
                require_finite({"the loss": summed})
                summed.backward()
                loss += summed.item()
            yield from training.learn({"dpo/loss": loss} | seen.metrics(), batch.answer_tokens)
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


def preference_loss(policy: Tensor, reference: Tensor, lengths: Tensor, wrong: Tensor, config: DpoConfig) -> Tensor:
    """The loss of each pair, [n].

    ``policy`` and ``reference`` [n, 2]: log-probabilities of chosen and rejected, summed over ``lengths`` [n, 2] tokens.
    ``wrong`` [n]: how probable it is that the label is the other way round; ½ for a tie.
    """
    log_ratios = policy - reference
    if config.loss == "ipo":
        log_ratios = log_ratios / lengths
    difference = log_ratios[:, 0] - log_ratios[:, 1]

    def as_labelled(difference: Tensor) -> Tensor:
        if config.loss == "ipo":
            return (difference - 1 / (2 * config.beta)).square()
        return functional.softplus(-config.beta * difference)

    return (1 - wrong) * as_labelled(difference) + wrong * as_labelled(-difference)


@dataclass(frozen=True)
class LaidOut:
    """Pairs as the model reads them; the same for every role."""

    told: tuple[Tensor, ...]
    """ids, who sees whom and positions of branches, where the model can branch; else ids and mask"""
    trunk: Tensor | None
    """[b, T, D], what the frozen trunk makes of them"""
    since: int
    """the lowest column that is read"""
    places: tuple[Tensor, Tensor]
    """row and column [m] of each answer token's foreteller, columns counted from there"""
    targets: Tensor
    """[m], the answer tokens"""
    owners: Tensor
    """[m], 2·pair for those of chosen, 2·pair + 1 for those of rejected"""


def lay_out(backbone: Backbone, batch: Compared, rows: Sequence[int]) -> LaidOut:
    """The pairs ``rows``, both answers of each behind one prompt where the model can branch, else in rows of their own."""
    prompts = [len(batch.prompts[i]) for i in rows]
    chosen, rejected = [batch.chosen[i] for i in rows], [batch.rejected[i] for i in rows]
    told: tuple[Tensor, ...]
    if backbone.can_branch(max(batch.lengths()[i] for i in rows)):
        ids, sees, positions, _ = branches(batch, rows, backbone.pad_id)
        told, trunk = (ids, sees, positions), backbone.trunk_of_branches(ids, sees, positions)
        begins = [prompt + len(answer) for prompt, answer in zip(prompts, chosen, strict=True)]
        second = 0
    else:
        both = [batch.prompts[i] + batch.chosen[i] for i in rows] + [batch.prompts[i] + batch.rejected[i] for i in rows]
        ids, mask = pad(both, backbone.pad_id)
        told, trunk = (ids, mask), backbone.trunk(ids, mask)
        begins = prompts
        second = len(rows)
    row_of, column_of, targets, owners = [], [], [], []
    for i, prompt in enumerate(prompts):
        # An answer's first token is foretold at the prompt's end, wherever the answer stands.
        for side, row, begin, answer in ((0, i, prompt, chosen[i]), (1, second + i, begins[i], rejected[i])):
            row_of += [row] * len(answer)
            column_of += [prompt - 1, *range(begin, begin + len(answer) - 1)]
            targets += answer
            owners += [2 * i + side] * len(answer)
    tensors = (torch.tensor(of, device=backbone.device) for of in (row_of, column_of, targets, owners))
    at_row, at_column, target, owner = tensors
    since = min(prompts) - 1
    return LaidOut(told, trunk, since, (at_row, at_column - since), target, owner)


def answer_logprobs(backbone: Backbone, laid: LaidOut, adapter: str | None) -> Tensor:
    """log π of chosen and rejected, summed over their tokens: [n, 2], both from one forward."""
    forward = backbone.hidden if len(laid.told) == 2 else backbone.hidden_of_branches
    hidden = forward(*laid.told, adapter, laid.trunk, laid.since)
    logprobs = token_logprobs(backbone, hidden[laid.places], laid.targets, temperature=1.0)
    sums = logprobs.new_zeros(int(laid.owners[-1]) + 1).index_add(0, laid.owners, logprobs)
    return sums.view(-1, 2)


class Seen:
    """What policy and reference make of a batch of pairs, gathered group by group."""

    def __init__(self, batch: Compared, config: DpoConfig) -> None:
        self._batch, self._config = batch, config
        self._logprobs = torch.zeros(len(batch.prompts), 2)
        self._rewards = torch.zeros(len(batch.prompts), 2)

    def look(self, backbone: Backbone, rows: Sequence[int]) -> Tensor:
        """The losses of the pairs ``rows``, differentiable where gradients are on: [n]."""
        batch, config = self._batch, self._config
        laid = lay_out(backbone, batch, rows)
        with torch.no_grad():
            reference = answer_logprobs(backbone, laid, None)
        policy = answer_logprobs(backbone, laid, ADAPTER)
        self._logprobs[rows] = policy.detach().cpu()
        self._rewards[rows] = config.beta * (policy.detach() - reference).cpu()
        lengths = torch.tensor([[len(batch.chosen[i]), len(batch.rejected[i])] for i in rows]).to(policy)
        wrong = torch.where(batch.tie[rows], 0.5, config.label_smoothing).to(policy)
        return preference_loss(policy, reference, lengths, wrong, config)

    @property
    def margins(self) -> Tensor:
        """Implicit reward of chosen minus that of rejected, [B]."""
        return self._rewards[:, 0] - self._rewards[:, 1]

    def metrics(self) -> dict[str, float]:
        """Of the batch, and of both sides."""
        found = {
            "dpo/accuracy": accuracy(self.margins, self._batch.tie),
            "dpo/margin": self.margins.mean().item(),
        }
        for side, name in enumerate(("chosen", "rejected")):
            found[f"dpo/reward_{name}"] = self._rewards[:, side].mean().item()
            found[f"dpo/logp_{name}"] = self._logprobs[:, side].mean().item()
        return found


@torch.no_grad()
def _evaluate(
    config: DpoConfig, parts: Parts, backbone: Backbone, encoder: Encoder, data: Data, asked: Asked, step: int
) -> Iterator[Event]:
    tick = parts.control.tick
    values: dict[str, float] = {}
    if data.heldout:
        records = data.heldout_records(config.eval_size, config.seed)
        batch = encode(encoder, records)
        seen, terms = Seen(batch, config), torch.empty(len(records))
        # Without a backward pass four times as much fits into memory.
        for rows in micro_batches(batch.lengths(), 2 * config.micro_batch_size, 4 * backbone.tokens_at_once):
            tick()
            terms[rows] = seen.look(backbone, rows).cpu()
        require_finite({"the held-out loss": terms})
        values = {
            "eval/dpo_loss": terms.mean().item(),
            "eval/accuracy": accuracy(seen.margins, batch.tie),
            "eval/margin": seen.margins.mean().item(),
            "eval/pairs": float(len(records)),
        }
        if any("flipped" in record.tags for record in records):
            clean = torch.where(batch.flipped, -seen.margins, seen.margins)
            values["eval/accuracy_clean"] = accuracy(clean, batch.tie)
    if asked:
        found, rows_shown = evaluate(backbone, asked, (), config, parts.judge, tick, adapter=ADAPTER)
        values |= found
        yield Samples(step=step, name="heldout", rows=rows_shown)
    if values:
        yield Metrics(step=step, values=values)
