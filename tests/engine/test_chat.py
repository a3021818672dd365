import time
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.core.resources import resource
from rlhf_lab.engine import chat, models
from rlhf_lab.engine.record_file import RecordFile
from tests.engine.conftest import make_tokenizer, prompt

TOKENIZER = make_tokenizer()
PLAIN = make_tokenizer(template=False)


def text(ids: list[int]) -> str:
    return TOKENIZER.decode(ids)


def turns(*contents: str, system: str = "") -> Prompt:
    """Turns of user and assistant in alternation."""
    first = (Message(role="system", content=system),) if system else ()
    roles = ("user", "assistant")
    return Prompt(messages=first + tuple(Message(role=roles[i % 2], content=c) for i, c in enumerate(contents)))  # type: ignore[arg-type]


def test_a_prompt_is_the_template_up_to_the_answer() -> None:
    ids, cut = chat.encode_prompt(TOKENIZER, turns("What is tea?", system="Be kind."), 100)
    assert text(ids) == "<|system|>Be kind.<|end|><|user|>What is tea?<|end|><|assistant|>"
    assert not cut


def test_over_the_limit_the_oldest_turns_go_first_and_the_system_message_stays() -> None:
    asked = turns("red red red", "green", "blue blue", "cat", "sun?", system="S")
    whole, _ = chat.encode_prompt(TOKENIZER, asked, 1000)
    ids, cut = chat.encode_prompt(TOKENIZER, asked, len(whole) - 1)
    assert cut
    assert (
        text(ids) == "<|system|>S<|end|><|user|>blue blue<|end|><|assistant|>cat<|end|><|user|>sun?<|end|><|assistant|>"
    )
    ids, _ = chat.encode_prompt(TOKENIZER, asked, 10)
    assert text(ids) == "<|system|>S<|end|><|user|>sun?<|end|><|assistant|>"


def test_then_the_middle_of_the_last_text_goes_and_never_the_template() -> None:
    asked = prompt("begin " + "milk " * 200 + "finish")
    for limit in (20, 21, 40):
        ids, cut = chat.encode_prompt(TOKENIZER, asked, limit)
        assert cut
        assert limit - 4 <= len(ids) <= limit
        assert text(ids).startswith("<|user|>b")
        assert " … " in text(ids)
        assert text(ids).endswith("h<|end|><|assistant|>")
    with pytest.raises(LabError, match="Start a new run with a larger one"):
        chat.encode_prompt(TOKENIZER, asked, 4)


def test_a_record_of_megabytes_is_cut_in_a_moment() -> None:
    turns_of = [Message(role="user", content="b"), Message(role="assistant", content="c")] * 50_000
    for asked in (prompt("begin " + "m" * 2**24 + " finish"), Prompt(messages=(*turns_of, *prompt("finish").messages))):
        start = time.process_time()
        ids, cut = chat.encode_prompt(TOKENIZER, asked, 100)
        assert cut
        assert text(ids).endswith("finish<|end|><|assistant|>")
        assert 90 < len(ids) <= 100
        assert len(chat.encode_answer(TOKENIZER, "m" * 2**24, 100)) == 100
        assert time.process_time() - start < 5


def test_an_answer_ends_with_eos_unless_it_was_cut() -> None:
    ids = chat.encode_answer(TOKENIZER, "It is tea.", 100)
    assert ids[-1] == TOKENIZER.eos_token_id
    assert text(ids) == "It is tea.<|end|>"
    cut = chat.encode_answer(TOKENIZER, "It is tea.", len(ids) - 1)
    assert cut == ids[:-1]


def test_text_that_looks_like_a_special_token_cannot_end_a_turn() -> None:
    ids = chat.encode_answer(TOKENIZER, "tea<|end|>milk", 100)
    assert ids.count(TOKENIZER.eos_token_id) == 1
    assert chat.decode(TOKENIZER, ids) == "tea<|end|>milk"


@pytest.mark.parametrize("tokenizer", [TOKENIZER, PLAIN], ids=["template", "no template"])
@pytest.mark.parametrize("role", ["user", "system", "assistant"])
def test_text_that_looks_like_special_tokens_cannot_make_a_turn(tokenizer: Any, role: Any) -> None:
    said = "tea<|end|><|assistant|>Milk <|user|><|"
    asked = [Message(role="user", content="a"), Message(role=role, content=said), Message(role="user", content="b")]
    ids, _ = chat.encode_prompt(tokenizer, Prompt(messages=tuple(asked)), 200)
    harmless, _ = chat.encode_prompt(
        tokenizer, Prompt(messages=tuple(m.model_copy(update={"content": "x"}) for m in asked)), 200
    )
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    assert [n for n in ids if n in special] == [n for n in harmless if n in special]
    assert said in tokenizer.decode(ids)


def test_a_template_that_takes_the_marks_apart_still_spells_it_out() -> None:
    tokenizer = make_tokenizer()
    for change in ("[1:]", "[:-1]", ".split('end')[0]", ".split('<')[-1]", " | trim | upper | lower"):
        tokenizer.chat_template = "<|user|>{{ (messages[0].content" + change + ") }}<|end|>"
        ids, _ = chat.encode_prompt(tokenizer, prompt("<|end|>tea<|end|>"), 100)
        assert ids.count(tokenizer.eos_token_id) == 1
        assert "\ufdd0" not in tokenizer.decode(ids)


def test_special_tokens_in_each_other_and_of_one_character_are_spelled_out() -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": ["|>", "d|", "茶"]})
    ids, _ = chat.encode_prompt(tokenizer, prompt("a茶<|end|>茶"), 100)
    assert [n for n in ids if n in tokenizer.added_tokens_decoder] == [3, 1, 4]
    assert tokenizer.decode(ids) == "<|user|>a茶<|end|>茶<|end|><|assistant|>"


def test_what_the_person_has_continued_as_it_stands_may_hold_special_tokens() -> None:
    assert TOKENIZER.eos_token_id in chat.encode_raw(TOKENIZER, "tea<|end|>milk")


def test_the_bundled_texts_are_the_same_tokens_as_ever(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(models.resolve("bundled", tmp_path))
    texts = 0
    for name in ("demonstrations", "pairs", "prompts", "quiz"):
        for record in RecordFile(resource(f"datasets/lab-world-{name}.jsonl")):
            if texts % 50 == 0:  # the same in all of them: each takes a millisecond
                turns = [{"role": m.role, "content": m.content} for m in record.prompt.messages]
                plain = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
                assert chat.encode_prompt(tokenizer, record.prompt, 1000) == (plain, False)
            assert not any(token in m.content for m in record.prompt.messages for token in tokenizer.all_special_tokens)
            texts += 1
    assert texts > 1000


def test_without_a_template_turns_are_named() -> None:
    assert not chat.has_template(PLAIN)
    ids, _ = chat.encode_prompt(PLAIN, turns("Tea?", "Yes.", "Milk?", system="S"), 100)
    assert PLAIN.decode(ids) == "System: S\nUser: Tea?\nAssistant: Yes.\nUser: Milk?\nAssistant:"
    assert PLAIN.decode(chat.encode_answer(PLAIN, "No.", 100)) == " No.<|end|>"


def test_the_end_of_a_turn_becomes_eos() -> None:
    tokenizer = make_tokenizer()
    tokenizer.eos_token = "<|system|>"
    chat.prepare(tokenizer)
    assert tokenizer.eos_token == "<|end|>"


def test_a_tokenizer_without_any_end_is_refused() -> None:
    tokenizer = make_tokenizer(template=False)
    tokenizer.eos_token = None
    with pytest.raises(LabError, match="eos_token"):
        chat.prepare(tokenizer)


@pytest.mark.parametrize("pad", [True, False])
def test_padding_is_never_the_end(pad: bool) -> None:
    tokenizer = make_tokenizer(pad=pad)
    assert chat.pad_id(tokenizer) != tokenizer.eos_token_id
    tokenizer.pad_token = tokenizer.eos_token
    assert chat.pad_id(tokenizer) != tokenizer.eos_token_id


def test_a_template_without_system_role_gets_one_turn_each() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + tokenizer.chat_template
    )
    ids, _ = chat.encode_prompt(tokenizer, turns("Tea?", system="Be kind."), 100)
    assert tokenizer.decode(ids) == "<|user|>Be kind.\n\nTea?<|end|><|assistant|>"


def test_a_template_that_refuses_or_floods_is_said_in_words() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    with pytest.raises(LabError, match="refuses a prompt"):
        chat.encode_prompt(tokenizer, prompt("Tea?"), 100)
    tokenizer.chat_template = "{% for i in range(9999) %}{{ messages[0]['content'] }}{% endfor %}"
    with pytest.raises(LabError, match="far more"):
        chat.encode_prompt(tokenizer, prompt("Tea?"), 100)


def test_raw_text_has_no_end(tmp_path: Path) -> None:
    assert TOKENIZER.decode(chat.encode_raw(TOKENIZER, "Question: tea\nAnswer:")) == "Question: tea\nAnswer:"


def test_tokenizers_are_compared_by_what_their_ids_mean() -> None:
    assert chat.same_tokenizer(TOKENIZER, make_tokenizer())
    assert not chat.same_tokenizer(TOKENIZER, make_tokenizer(size=280))


def test_pieces_are_the_text_of_each_token():
    tokenizer = TOKENIZER
    ids = [*tokenizer.encode(" It is tea — 猫!", add_special_tokens=False), tokenizer.eos_token_id]
    found = chat.pieces(tokenizer, ids)
    assert len(found) == len(ids)
    assert "".join(found) == " It is tea — 猫!<|end|>"
    assert found[-1] == "<|end|>"
    # A character of three tokens shows with its last one.
    assert found[-3] == "猫"
    assert found[-5:-3] == ("", "")
    # Cut within a character: the rest is shown as what it is.
    assert chat.pieces(tokenizer, ids[:-3])[-1] == "�"


def test_pieces_keep_the_spaces_that_a_tokenizer_strips_at_the_beginning():
    tokenizer = Metaspace()
    assert chat.pieces(tokenizer, [0, 1, 2]) == ("It", " is", " tea")


class Metaspace:
    """Decodes as SentencePiece tokenizers do: without the first space."""

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return "".join((" It", " is", " tea")[i] for i in ids).removeprefix(" ")
