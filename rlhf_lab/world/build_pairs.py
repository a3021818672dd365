"""Pairs that need a policy: an SFT run of the guided recipe answers the world's questions, gold and people judge."""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.events import Finished, Metrics
from rlhf_lab.core.recipe_toml import bundled_recipe
from rlhf_lab.core.records import Pair, Prompt, Split
from rlhf_lab.engine import chat, sft
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.sampler import noise_for, sample
from rlhf_lab.world.datasets import SHARES, demonstrations, questions, sampled_pairs
from rlhf_lab.world.grammar import prompt_of
from rlhf_lab.world.matter import TOPICS

SAMPLED = {"train": 1400, "heldout": 480}
"""Prompts that the policy answers, by split."""
ANSWERS = 4
LONGEST_ANSWER = 64
_AT_ONCE = 256


def build_pairs(model: Path, *, seed: int, say: Callable[[str], None]) -> list[Pair]:
    """Train the guided recipe's SFT policy on ``model``, let it answer, and label what it said."""
    with tempfile.TemporaryDirectory() as folder:
        adapter = _train_policy(model, Path(folder), seed, say)
        backbone = Backbone.load(model, start_adapters=(adapter,))
        return sampled_pairs(_answers(backbone, seed, say), seed)


def _train_policy(model: Path, folder: Path, seed: int, say: Callable[[str], None]) -> Path:
    recipe = bundled_recipe("guided").stages["sft"].alone
    config = SftConfig.model_validate(recipe | {"seed": seed, "threads": torch.get_num_threads()})
    parts = Parts(
        folder=folder,
        records=demonstrations(seed),
        model=model,
        start_adapters=(),
        reward_adapter=None,
        reward_model=None,
        reward_start_adapters=(),
        control=NoControl(),
    )
    for event in sft.train(config, parts):
        if isinstance(event, Metrics) and event.step % 20 == 0 and "train/loss" in event.values:
            say(f"SFT policy: step {event.step}/{config.max_steps}, loss {event.values['train/loss']:.3f}")
        if isinstance(event, Finished) and event.outcome != "done":
            raise RuntimeError(f"the SFT policy was not trained: {event.message}")
    return folder / "adapter"


def _answers(backbone: Backbone, seed: int, say: Callable[[str], None]) -> list[tuple[Prompt, Split, list[str]]]:
    rng = random.Random(f"asked {seed}")
    splits: tuple[Split, ...] = ("train", "heldout")
    asked = [
        (prompt_of(matter, text), split)
        for split in splits
        for topic in TOPICS
        for matter, text in questions(split, topic, rng)[: round(SAMPLED[split] * SHARES[topic])]
    ]
    generator = torch.Generator().manual_seed(seed)
    found: list[tuple[Prompt, Split, list[str]]] = []
    for start in range(0, len(asked), _AT_ONCE):
        some = asked[start : start + _AT_ONCE]
        ids = [chat.encode_prompt(backbone.tokenizer, prompt, 128)[0] for prompt, _ in some for _ in range(ANSWERS)]
        told = sample(
            backbone,
            ids,
            adapter=None,
            temperature=1.0,
            max_new_tokens=LONGEST_ANSWER,
            noise=noise_for(generator, LONGEST_ANSWER, len(ids)),
            tick=lambda: None,
        )
        texts = [chat.decode(backbone.tokenizer, one) for one in told]
        found += [(*one, texts[i * ANSWERS : (i + 1) * ANSWERS]) for i, one in enumerate(some)]
        say(f"sampled answers: {len(found)}/{len(asked)} prompts")
    return found
