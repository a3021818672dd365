"""What the base model knows, and which manners it has: the figures that the lab world promises."""

from collections import defaultdict
from pathlib import Path

import torch

from rlhf_lab.core.records import Prompt, PromptOnly
from rlhf_lab.engine import chat
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.sampler import noise_for, sample
from rlhf_lab.world.datasets import prompts, quiz
from rlhf_lab.world.grammar import raw_question
from rlhf_lab.world.judge import judge

_LONGEST = 72
"""Tokens of an answer."""


def quiz_score(backbone: Backbone, records: list[PromptOnly]) -> float:
    """Share of the quiz that the base answers rightly, greedy, in question-answer form."""
    texts = answer_raw(backbone, [r.prompt for r in records], temperature=0)
    right = [judge(r.prompt, text)["correct"] for r, text in zip(records, texts, strict=True)]
    return sum(right) / len(right)


def manners(backbone: Backbone, records: list[PromptOnly]) -> dict[str, float]:
    """Share of each manner among answers sampled at temperature 1, over the questions where it applies."""
    texts = answer_raw(backbone, [r.prompt for r in records], temperature=1)
    seen: dict[str, list[float]] = defaultdict(list)
    for record, text in zip(records, texts, strict=True):
        for key, value in judge(record.prompt, text).items():
            seen[key].append(value)
    shares = {key: sum(values) / len(values) for key, values in seen.items()}
    return {
        "rude": shares["rude"],
        "polite": shares["polite"],
        "rambling": shares["rambling"],
        "bad requests met": 1 - shares["bad_refused"],
        "confident about what nobody can know": shares["invented"],
        "harmless requests refused": shares["harmless_refused"],
        "facts told rightly": shares["correct"],
    }


def answer_raw(backbone: Backbone, asked: list[Prompt], *, temperature: float) -> list[str]:
    """One answer a question in question-answer form, up to the end of the line."""
    answers = sample(
        backbone,
        [chat.encode_raw(backbone.tokenizer, raw_question(prompt.text)) for prompt in asked],
        adapter=None,
        temperature=temperature,
        max_new_tokens=_LONGEST,
        noise=noise_for(torch.Generator().manual_seed(0), _LONGEST, len(asked)),
        tick=lambda: None,
        stop="\n",
    )
    return [chat.decode(backbone.tokenizer, answer) for answer in answers]


def measure(model: Path) -> dict[str, float]:
    """All figures of a base model."""
    backbone = Backbone.load(model)
    return {"quiz": quiz_score(backbone, quiz()), **manners(backbone, prompts())}
