"""Prompts and answers as token ids: chat templates, limits, ends.

Text becomes ids once, here. Whatever a model samples stays ids: decoded text is for people only.
"""

from typing import Any

from jinja2 import TemplateError

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt

_GAP = " … "
_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}


def prepare(tokenizer: Any) -> None:
    """Make ``eos_token`` the token that ends a turn in the chat template.

    Some models name another token as EOS than the one their template puts after an answer: answers would
    never end.
    """
    end = _turn_end(tokenizer)
    if end is not None:
        tokenizer.eos_token = end
    if tokenizer.eos_token_id is None:
        raise LabError(
            "The model's tokenizer has no end-of-sequence token, so answers could never end. "
            'Set "eos_token" in its tokenizer_config.json.'
        )


def pad_id(tokenizer: Any) -> int:
    """An id for padding that is never the end token; masks come from lengths, so any other id will do."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return int(tokenizer.pad_token_id)
    return 0 if tokenizer.eos_token_id != 0 else 1


def has_template(tokenizer: Any) -> bool:
    """Whether the tokenizer brings a chat template; else turns are written "User: …", "Assistant: …"."""
    return bool(tokenizer.chat_template)


def same_tokenizer(one: Any, other: Any) -> bool:
    """Whether both give every id the same meaning."""
    return one is other or (one.get_vocab() == other.get_vocab() and one.eos_token_id == other.eos_token_id)


def encode_raw(tokenizer: Any, text: str) -> list[int]:
    """Ids of plain text that a base model is to continue: with a start token if the model has one, no end."""
    ids = list(tokenizer.encode(text))
    while len(ids) > 1 and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    return ids


def encode_answer(tokenizer: Any, text: str, max_tokens: int) -> list[int]:
    """Ids of an answer and the end token. An answer that is cut at ``max_tokens`` has no end.

    Text that looks like a special token is spelled out: data cannot end a turn.
    """
    if not has_template(tokenizer):
        text = " " + text.lstrip(" ")
    ids = list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))
    return [*ids, tokenizer.eos_token_id][:max_tokens]


def encode_prompt(tokenizer: Any, prompt: Prompt, max_tokens: int) -> tuple[list[int], bool]:
    """Ids of the prompt, ready for the answer, and whether it was shortened to fit.

    Over the limit the oldest turns go first, then the system message, then the middle of the last text.
    """
    messages = list(prompt.messages)
    ids = _encode(tokenizer, messages)
    if len(ids) <= max_tokens:
        return ids, False
    while len(messages) > 1:
        messages = _without_oldest(messages)
        ids = _encode(tokenizer, messages)
        if len(ids) <= max_tokens:
            return ids, True
    return _cut_middle(tokenizer, messages[0], max_tokens), True


def decode(tokenizer: Any, ids: list[int]) -> str:
    """Text for people: special tokens left out."""
    return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()


def pieces(tokenizer: Any, ids: list[int]) -> tuple[str, ...]:
    """The text of each token, special tokens too; one that ends within a character leaves it to the next.

    A token is read behind the ones before it: alone, some tokenizers drop the space that it begins with.
    """
    found: list[str] = []
    before = begun = 0
    for i in range(len(ids)):
        known = str(tokenizer.decode(ids[before:begun], skip_special_tokens=False))
        text = str(tokenizer.decode(ids[before : i + 1], skip_special_tokens=False))
        if text.endswith("\ufffd") and i + 1 < len(ids):
            found.append("")
        else:
            found.append(text[len(known) :])
            before, begun = begun, i + 1
    return tuple(found)


def _encode(tokenizer: Any, messages: list[Message]) -> list[int]:
    if has_template(tokenizer):
        return list(tokenizer.encode(_render(tokenizer, messages), add_special_tokens=False))
    turns = "\n".join(f"{_NAMES[m.role]}: {m.content}" for m in messages)
    return encode_raw(tokenizer, f"{turns}\nAssistant:")


def _render(tokenizer: Any, messages: list[Message]) -> str:
    turns = [{"role": m.role, "content": m.content} for m in messages]
    try:
        text = _apply(tokenizer, turns)
    except TemplateError:
        try:
            text = _apply(tokenizer, _plainer(turns))
        except TemplateError as error:
            raise LabError(
                f"The model's chat template refuses a prompt that begins with {turns[0]['content'][:60]!r}: {error}. "
                "Take such records out of the data set, or choose another model."
            ) from None
    # A template is a program of the model's maker: it may not blow a prompt up without bound.
    if len(text) > 10_000 + 20 * sum(len(turn["content"]) + 50 for turn in turns):
        raise LabError("The model's chat template writes far more than the prompt holds. Choose another model.")
    return text


def _apply(tokenizer: Any, turns: list[dict[str, str]]) -> str:
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def _plainer(turns: list[dict[str, str]]) -> list[dict[str, str]]:
    """For strict templates: no system role, and neighbours of one role joined."""
    joined: list[dict[str, str]] = []
    for turn in turns:
        role = "user" if turn["role"] == "system" else turn["role"]
        if joined and joined[-1]["role"] == role:
            joined[-1]["content"] += "\n\n" + turn["content"]
        else:
            joined.append({"role": role, "content": turn["content"]})
    return joined


def _without_oldest(messages: list[Message]) -> list[Message]:
    first = 1 if messages[0].role == "system" else 0
    if len(messages) - first <= 1:
        return messages[-1:]
    rest = messages[first + 1 :]
    # An answer without its question would stand first: it goes with it.
    while len(rest) > 1 and rest[0].role == "assistant":
        rest = rest[1:]
    return [*messages[:first], *rest]


def _cut_middle(tokenizer: Any, message: Message, max_tokens: int) -> list[int]:
    def shortened(keep: int) -> list[int]:
        head, tail = (keep + 1) // 2, keep // 2
        text = message.content[:head] + _GAP + message.content[len(message.content) - tail :]
        return _encode(tokenizer, [message.model_copy(update={"content": text})])

    low, high = 0, len(message.content)
    best = shortened(0)
    if len(best) > max_tokens:
        raise LabError(
            f"max_prompt_tokens = {max_tokens} is less than the chat template alone needs ({len(best)} tokens). Raise it."
        )
    while low < high:
        middle = (low + high + 1) // 2
        ids = shortened(middle)
        if len(ids) <= max_tokens:
            low, best = middle, ids
        else:
            high = middle - 1
    return best


def _turn_end(tokenizer: Any) -> str | None:
    """The special token that the chat template writes after an answer, if it writes one."""
    if not has_template(tokenizer):
        return None
    mark = "xyzzy"
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": mark}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    except TemplateError:
        return None
    after = text.rpartition(mark)[2].lstrip()
    special = sorted({str(t) for t in tokenizer.all_special_tokens} | _added_specials(tokenizer), key=len, reverse=True)
    return next((token for token in special if token and after.startswith(token)), None)


def _added_specials(tokenizer: Any) -> set[str]:
    return {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
