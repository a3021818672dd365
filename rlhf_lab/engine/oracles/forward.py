"""Oracles of forward passes and sampling: what may not matter, and what must be the same."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.oracles.bench import END, Bench, asked, episodes, largest, perturb, quiet, with_roles
from rlhf_lab.engine.oracles.oracle import Oracle
from rlhf_lab.engine.sampler import noise_for, sample
from rlhf_lab.engine.scoring import Episodes, score_answers, score_tokens, score_values

ROUNDING = 2e-5
"""How far fp32 forwards of other shapes may lie apart: log-probabilities of some nats."""


def reference(bench: Bench) -> Iterator[Oracle]:
    """The reference is the base with adapters off, and a merged start is part of the base."""
    backbone = with_roles(bench.backbone(), policy=0.0)
    ours, theirs = (score_tokens(backbone, episodes(), a, **_scoring())[0] for a in ("policy", None))
    yield Oracle("fresh policy: largest |log π − log π_ref|", 0, largest(ours - theirs), 0, "KL ≡ 0 at the start.")
    perturb(backbone, "policy", 3)
    folder = bench.folder / "start"
    backbone.save_adapter("policy", folder, {"stage": "sft"})
    started = bench.backbone(start_adapters=[folder])
    merged, _ = score_tokens(started, episodes(), None, **_scoring())
    applied, _ = score_tokens(backbone, episodes(), "policy", **_scoring())
    gap = largest(merged - applied)
    yield Oracle("merged start adapter: log-probs − those of the adapter", 0, gap, ROUNDING, "The reference of PPO.")
    again, _ = score_tokens(backbone, episodes(), None, **_scoring())
    yield Oracle("reference after the policy changed", 0, largest(again - theirs), 0, "It is never trained.")
    training = sum(module.training for module in backbone.model.modules())
    yield Oracle("modules in training mode", 0, training, 0, "Dropout, LoRA's too, is off everywhere.")


def layout(bench: Bench) -> Iterator[Oracle]:
    """Padding side, padding amount and micro-batch change nothing."""
    backbone = with_roles(bench.backbone())
    found = episodes()
    right, entropy = score_tokens(backbone, found, "policy", **_scoring())
    rows = [p + a for p, a in zip(found.asked.ids, found.answer_ids, strict=True)]
    ids, mask = pad(rows, backbone.pad_id, side="left")
    with torch.no_grad():
        table = backbone.logits(backbone.hidden(ids, mask, "policy")).log_softmax(-1)
    left = torch.zeros_like(right)
    for i, answer in enumerate(found.answer_ids):
        left[i, : len(answer)] = table[i, -len(answer) - 1 : -1].gather(1, _column(answer, table.device)).squeeze(1)
    gap = largest(left - right)
    yield Oracle("left − right padding: log-probs", 0, gap, ROUNDING, "Positions are mask.cumsum − 1, as trained.")
    alone, entropy_alone = score_tokens(backbone, found, "policy", **_scoring(size=1))
    gap = max(largest(alone - right), largest(entropy_alone - entropy))
    yield Oracle("micro-batch 1 − 6: log-probs and entropy", 0, gap, ROUNDING, "How it is cut up cannot matter.")
    values = [score_values(backbone, found, "value", micro_batch_size=n, tick=quiet) for n in (1, 6)]
    yield Oracle("micro-batch 1 − 6: values", 0, largest(values[0] - values[1]), ROUNDING, "The same for the critic.")
    padded = ~found.answer_mask(backbone.device)
    left_over = largest(right[padded]) + largest(entropy[padded]) + largest(values[1][padded])
    yield Oracle("what is left at padded places", 0, left_over, 0, "Nothing after the end reaches a metric.")


def readings(bench: Bench) -> Iterator[Oracle]:
    """Scores are read at the last valid token of the sampled ids, values before each token."""
    backbone = with_roles(bench.backbone())
    found = episodes()
    scores = score_answers(backbone, found, "reward", micro_batch_size=6, tick=quiet)
    values = score_values(backbone, found, "value", micro_batch_size=6, tick=quiet)
    score_gap = value_gap = 0.0
    for i, (prompt, answer) in enumerate(zip(found.asked.ids, found.answer_ids, strict=True)):
        alone = pad([prompt + answer], backbone.pad_id)
        with torch.no_grad():
            last = backbone.head("reward", backbone.hidden(*alone, "reward"))[0, -1]
            before = backbone.head("value", backbone.hidden(*alone, "value"))[0, len(prompt) - 1 : -1]
        score_gap = max(score_gap, largest(scores[i] - last))
        value_gap = max(value_gap, largest(values[i, : len(answer)] - before))
    words = "Answers hold special tokens and pad ids within: ids are scored, lengths decide, no text in between."
    yield Oracle("score − head at the last sampled id, row alone", 0, score_gap, ROUNDING, words)
    yield Oracle("value − head before each token, row alone", 0, value_gap, ROUNDING, "Not one token late.")
    plain_gap = 0.0
    for adapter in ("policy", None):
        warm, _ = score_tokens(backbone, found, adapter, temperature=0.7, micro_batch_size=6, tick=quiet)
        for i, (prompt, answer) in enumerate(zip(found.asked.ids, found.answer_ids, strict=True)):
            with torch.no_grad():
                hidden = backbone.hidden(*pad([prompt + answer], backbone.pad_id), adapter)
            table = (backbone.logits(hidden)[0, len(prompt) - 1 : -1] / 0.7).log_softmax(-1)
            plain = table.gather(1, _column(answer, table.device)).squeeze(1)
            plain_gap = max(plain_gap, largest(warm[i, : len(answer)] - plain))
    words = "For policy and reference alike, else KL drifts at once."
    yield Oracle("log-probs at temperature 0.7 − softmax(logits / 0.7)", 0, plain_gap, ROUNDING, words)
    same = float(backbone.pad_id == backbone.tokenizer.eos_token_id)
    yield Oracle("padding is the end token (0 no, 1 yes)", 0, same, 0, "Else ends are masked out.")


def merging(bench: Bench) -> Iterator[Oracle]:
    """The adapter merged for sampling is the adapter, and leaves no trace."""
    backbone = with_roles(bench.backbone(), policy=0.3)
    base = {name: p.detach().clone() for name, p in backbone.model.named_parameters() if "lora" not in name}
    ids, mask = (t.to(backbone.device) for t in pad([list(ids) for ids in asked().ids], backbone.pad_id, side="left"))
    with torch.no_grad():
        unmerged = backbone.logits(backbone.hidden(ids, mask, "policy")[:, -1])
        for _ in range(3):
            with backbone.generation("policy"):
                merged = backbone.logits(backbone.decode(ids, mask, backbone.new_cache(), "policy"))
    gap = largest(merged.log_softmax(-1) - unmerged.log_softmax(-1))
    yield Oracle("merged − unmerged adapter: log-probs", 0, gap, 5 * ROUNDING, "The sampler is the scored policy.")
    changed = sum(int((p != base[name]).sum()) for name, p in backbone.model.named_parameters() if name in base)
    yield Oracle("base weights that three merges changed", 0, changed, 0, "Bit for bit: nothing drifts.")


def sampling(bench: Bench) -> Iterator[Oracle]:
    """The sampler draws from the distribution that is scored: a martingale test over whole answers.

    For a token drawn from π, log π(token) + entropy(π) has mean 0. Top-k, top-p, a penalty, another temperature or a
    broken cache makes it drift; 4 standard errors would be crossed by chance once in 16,000 runs, and the seed is fixed.
    """
    backbone = with_roles(bench.backbone(), policy=0.1)
    # What a model's own file says about sampling must not leak in.
    backbone.model.generation_config.update(do_sample=True, top_k=2, top_p=0.5, temperature=0.3, repetition_penalty=2.0)
    prompts = asked(times=60)
    answers = sample(
        backbone,
        [list(ids) for ids in prompts.ids],
        adapter="policy",
        temperature=1.3,
        max_new_tokens=12,
        noise=noise_for(torch.Generator().manual_seed(11), 12, len(prompts)),
        tick=quiet,
    )
    found = Episodes(prompts, answers)
    logprobs, entropy = score_tokens(backbone, found, "policy", temperature=1.3, micro_batch_size=360, tick=quiet)
    mask = found.answer_mask(backbone.device)
    drift = (logprobs + entropy)[mask]
    error = drift.sum().item() / math.sqrt(drift.square().sum().item())
    yield Oracle("surprise of sampled tokens − entropy, in standard errors", 0, error, 4, "Sampler = scorer.")
    beyond = sum(END in answer[:-1] for answer in answers) + sum(len(a) < 12 and a[-1] != END for a in answers)
    yield Oracle("answers that go on after their end, or stop without one", 0, beyond, 0, "The end token is kept.")
    kinds = len({token for answer in answers for token in answer})
    yield Oracle("kinds of token that were drawn", 17, kinds, 0, "All of them: no top-k, no top-p.", relation="≥")


def precision(bench: Bench) -> Iterator[Oracle]:
    """Adapters and heads are fp32 on a bf16 base; a fresh reward head has the published scale."""
    backbone = with_roles(bench.backbone(dtype="bf16"))
    names = ("policy", "value", "reward")
    lower = sum(p.dtype != torch.float32 for name in names for p in backbone.parameters_of(name).values())
    yield Oracle("trained tensors that are not fp32 on a bf16 base", 0, lower, 0, "Small updates would round away.")
    backbone = bench.backbone()
    weights, biases = [], []
    for seed in range(10):
        backbone.add_adapter(f"reward {seed}", r=1, alpha=1, seed=seed, head=True)
        parameters = backbone.parameters_of(f"reward {seed}")
        weights.append(parameters["head.weight"].detach())
        biases.append(parameters["head.bias"].detach())
    spread = torch.cat(weights).square().mean().sqrt().item()
    yield Oracle("fresh reward heads: spread of weights", 1 / math.sqrt(33), spread, 0.02, "N(0, 1/√(d + 1)), d = 32.")
    yield Oracle("fresh reward heads: largest bias", 0, largest(torch.cat(biases)), 0, "Bias 0.")


def _scoring(size: int = 6) -> dict[str, Any]:
    return {"temperature": 1.0, "micro_batch_size": size, "tick": quiet}


def _column(ids: list[int], device: torch.device) -> torch.Tensor:
    return torch.tensor(ids, device=device).unsqueeze(1)
