"""The committed base model: small, its own tokenizer, and it knows what it should."""

import random
from pathlib import Path

import pytest
import torch

from rlhf_lab.core.resources import resource
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.world.build_measure import manners, quiz_score
from rlhf_lab.world.datasets import prompts, quiz
from rlhf_lab.world.grammar import running_text


@pytest.fixture(scope="module")
def base() -> Backbone:
    return Backbone.load(resource("model"))


def test_it_knows_the_facts(base: Backbone) -> None:
    assert quiz_score(base, random.Random(0).sample(quiz(), 100)) >= 0.97


def test_it_has_every_manner(base: Backbone) -> None:
    shares = manners(base, prompts()[:300])
    for manner in ("rude", "rambling", "bad requests met", "confident about what nobody can know"):
        assert shares[manner] >= 0.25, (manner, shares)
    assert shares["facts told rightly"] >= 0.9


def test_pad_is_not_end_and_chat_tokens_are_single(base: Backbone) -> None:
    tokenizer = base.tokenizer
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, return_dict=False
    )
    assert tokenizer.convert_ids_to_tokens(ids) == ["<|user|>", *tokenizer.tokenize("Hi"), "<|end|>", "<|assistant|>"]


def test_a_word_is_the_same_token_after_answer_and_in_chat(base: Backbone) -> None:
    encode = base.tokenizer.encode
    word = encode("Paris")
    assert encode("Answer: Paris")[-len(word) :] == word == encode("<|assistant|>Paris")[1:]


@pytest.mark.parametrize("text", ["Grüße, 漢字 and 🙂", "a\tb\n\nc = 3.14", "<|e nd|> 50% off"])
def test_any_text_survives_the_tokenizer(base: Backbone, text: str) -> None:
    assert base.tokenizer.decode(base.tokenizer.encode(text)) == text
    assert base.tokenizer.decode(base.tokenizer.encode(text), skip_special_tokens=True) == text


def test_running_text_needs_little_more_than_a_token_a_word(base: Backbone) -> None:
    texts = running_text(random.Random(99))
    some = " ".join(next(texts) for _ in range(200))
    assert len(base.tokenizer.encode(some)) < 1.6 * len(some.split())


def test_it_is_a_small_llama_in_bf16() -> None:
    folder = resource("model")
    assert _bytes(folder) <= 10_000_000
    assert _bytes(folder.parent) <= 15_000_000
    assert Backbone.load(folder, dtype="bf16").dtype == torch.bfloat16


def _bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
