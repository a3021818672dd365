"""Prompts and answers as token ids: chat templates, limits, ends.

Text becomes ids once, here. Whatever a model samples stays ids: decoded text is for people only. What looks like
a special token in a message or an answer is spelled out: data can neither end a turn nor begin one. Only text that
a person asks a base model to continue as it stands (`encode_raw`) may hold special tokens.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.engine import templates
from rlhf_lab.engine.templates import Refused

_GAP = " … "
_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}
_MARK = "\ufdd0"
"""Breaks what would be read as a special token, while a template works on it: a code point that no text holds."""
_LONGEST_TOKEN = 256
_longest_tokens: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


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
    ids = _ids(tokenizer, text)
    while len(ids) > 1 and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    return ids


def encode_answer(tokenizer: Any, text: str, max_tokens: int) -> list[int]:
    """Ids of an answer and the end token. An answer that is cut at ``max_tokens`` has no end.

    Of a text that is much longer only the beginning is looked at.
    """
    if not has_template(tokenizer):
        text = " " + text.lstrip(" ")
    text = text[: 1000 + _most_characters(tokenizer, max_tokens)]
    ids = _ids(tokenizer, text, add_special_tokens=False, split_special_tokens=True)
    return [*ids, tokenizer.eos_token_id][:max_tokens]


def encode_prompt(tokenizer: Any, prompt: Prompt, max_tokens: int) -> tuple[list[int], bool]:
    """Ids of the prompt, ready for the answer, and whether it was shortened to fit.

    Over the limit the oldest turns go first, then the system message, then the middle of the last text.
    """
    if not prompt.messages:
        raise LabError("A record's prompt holds no message. Take it out of the data set.")
    shorter = _Shorter(prompt.messages)
    most = _most_characters(tokenizer, max_tokens)
    fitting: dict[int, list[int]] = {}

    def fits(dropped: int) -> bool:
        messages = shorter[dropped]
        # What cannot fit is not even tokenised: a record may be 16 MB.
        if len(messages) > max_tokens or sum(len(message.content) for message in messages) > most:
            return False
        ids = _encode(tokenizer, messages)
        if len(ids) <= max_tokens:
            fitting[dropped] = ids
        return dropped in fitting

    if fits(0):
        return fitting[0], False
    dropped = bisect_left(range(len(shorter)), True, lo=1, key=fits)
    if dropped < len(shorter):
        return fitting[dropped], True
    return _cut_middle(tokenizer, prompt.messages[-1], max_tokens, most), True


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


def _encode(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    specials = _specials(tokenizer)
    turns = [{"role": m.role, "content": _marked(m.content, specials)} for m in messages]
    if has_template(tokenizer):
        first, *rest = _render(tokenizer, turns).split(_MARK)
        ids = _ids(tokenizer, first, add_special_tokens=False)
    else:
        named = "\n".join(f"{_NAMES[turn['role']]}: {turn['content']}" for turn in turns)
        first, *rest = f"{named}\nAssistant:".split(_MARK)
        ids = encode_raw(tokenizer, first)
    for piece in rest:
        if piece:
            ids += _continued(tokenizer, piece, spelled=len(piece) == 1)
    if not ids:
        raise LabError("The model's chat template writes nothing for a prompt. Choose another model.")
    return ids


def _ids(tokenizer: Any, text: str, **how: bool) -> list[int]:
    try:
        return list(tokenizer.encode(text, **how))
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what Rust raises is no `Exception`
            raise
        raise LabError(
            f"The model's tokenizer broke down on a text ({str(error)[:200]}). Choose another model."
        ) from None


def _marked(text: str, specials: list[str]) -> str:
    """The text, with a mark in whatever would be read as a special token: its pieces are tokenised one by one."""
    if not any(special in text for special in specials):
        return text

    def broken(match: re.Match[str]) -> str:
        return f"{_MARK}{match[0]}{_MARK}" if match[0] in specials else f"{match[0]}{_MARK}"

    return re.sub(f"(?={'|'.join(map(re.escape, specials))}).", broken, text.replace(_MARK, ""), flags=re.DOTALL)


def _continued(tokenizer: Any, text: str, *, spelled: bool) -> list[int]:
    """Ids of a text that follows another one; ``spelled``: with no special tokens in it."""
    # After a line end, since some tokenizers put a space before the beginning of a text.
    end = _ids(tokenizer, "\n", add_special_tokens=False)
    ids = _ids(tokenizer, "\n" + text, add_special_tokens=False, split_special_tokens=spelled)
    if ids[: len(end)] == end:
        return ids[len(end) :]
    return _ids(tokenizer, text, add_special_tokens=False, split_special_tokens=spelled)


def _render(tokenizer: Any, turns: list[dict[str, str]]) -> str:
    try:
        return _apply(tokenizer, turns)
    except Refused:
        try:
            return _apply(tokenizer, _plainer(turns))
        except Refused as error:
            raise LabError(
                f"The model's chat template refuses a prompt that begins with {turns[0]['content'][:60]!r}: {error}. "
                "Take such records out of the data set, or choose another model."
            ) from None


def _apply(tokenizer: Any, turns: list[dict[str, str]], *, to_answer: bool = True) -> str:
    """The turns as the model's template writes them; raises `Refused`, and `LabError` beyond its bounds."""
    try:
        template = tokenizer.get_chat_template()
    except ValueError:
        raise LabError("The model has several chat templates and none of them is the usual one.") from None
    if not isinstance(template, str):
        raise LabError("The model's chat template is no text. Choose another model.")
    named = {
        name: list(map(str, t)) if isinstance(t, list) else str(t) for name, t in tokenizer.special_tokens_map.items()
    }
    values = {**named, "messages": turns, "tools": None, "documents": None, "add_generation_prompt": to_answer}
    # It is a program of the model's maker: it may not blow a prompt up without bound.
    return templates.render(template, values, 10_000 + 20 * sum(len(turn["content"]) + 50 for turn in turns))


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


class _Shorter(Sequence[tuple[Message, ...]]):
    """A conversation with ever more of its oldest turns gone; at the end only the last message is left."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._head = tuple(messages[:1]) if messages[0].role == "system" else ()
        self._messages = tuple(messages)
        last = len(messages) - 1
        # An answer without its question would stand first: it goes with it.
        later = (i for i in range(len(self._head) + 1, last + 1) if i == last or messages[i].role != "assistant")
        self._starts = [min(len(self._head), last), *later]
        if self._head and last:
            self._starts.append(-1)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, dropped: Any) -> Any:
        start = self._starts[dropped]
        return self._messages[-1:] if start < 0 or len(self._messages) == 1 else self._head + self._messages[start:]


def _most_characters(tokenizer: Any, tokens: int) -> int:
    """More characters than this are more tokens, whatever they are."""
    if tokenizer not in _longest_tokens:
        _longest_tokens[tokenizer] = min(_LONGEST_TOKEN, max(map(len, tokenizer.get_vocab()), default=1))
    return tokens * _longest_tokens[tokenizer]


def _cut_middle(tokenizer: Any, message: Message, max_tokens: int, most: int) -> list[int]:
    def shortened(keep: int) -> list[int]:
        head, tail = (keep + 1) // 2, keep // 2
        text = message.content[:head] + _GAP + message.content[len(message.content) - tail :]
        return _encode(tokenizer, [message.model_copy(update={"content": text})])

    low, high = 0, min(most, len(message.content))
    best = shortened(0)
    if len(best) > max_tokens:
        raise LabError(
            f"max_prompt_tokens = {max_tokens} is less than the chat template alone needs ({len(best)} tokens). "
            "Start a new run with a larger one."
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
        text = _apply(tokenizer, turns, to_answer=False)
    except Refused:
        return None
    after = text.rpartition(mark)[2].lstrip()
    return next((token for token in _specials(tokenizer) if after.startswith(token)), None)


def _specials(tokenizer: Any) -> list[str]:
    """Every text that is read as a special token, the longest first."""
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    return sorted({*map(str, tokenizer.all_special_tokens), *added} - {""}, key=len, reverse=True)
