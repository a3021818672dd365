"""Records as the rows of other tools' formats; what a format has no place for goes into its column `LAB`.

Each function returns a row, or raises `CannotHold` with the reason.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from rlhf_lab.core.records import (
    Completion,
    Demonstration,
    Message,
    Pair,
    Prompt,
    PromptOnly,
    Ranking,
    Rated,
    Several,
    Unpaired,
)
from rlhf_lab.data.build import Builder, Unreadable
from rlhf_lab.data.families.family import AnyKind
from rlhf_lab.data.families.hh import HH
from rlhf_lab.data.lab_column import LAB, lab_of

Row = dict[str, Any]


class CannotHold(Exception):  # noqa: N818 - a finding about a record, not a fault of the program
    """Why a format has no place for a record."""


def trl(record: AnyKind) -> Row:
    """TRL with texts: prompt, chosen, rejected; prompt, completion (and label); or prompt alone."""
    return _trl(record, _single, lambda text: text)


def trl_conversational(record: AnyKind) -> Row:
    """TRL with lists of messages."""
    return _trl(record, _messages, lambda text: [_assistant(text)])


def _trl(record: AnyKind, asked: Callable[[Prompt], Any], said: Callable[[str], Any]) -> Row:
    prompt = asked(record.prompt)
    match record:
        case Pair():
            _no_tie(record)
            row = {"prompt": prompt, "chosen": said(record.chosen.text), "rejected": said(record.rejected.text)}
        case Demonstration():
            row = {"prompt": prompt, "completion": said(record.completion.text)}
        case Unpaired():
            row = {"prompt": prompt, "completion": said(record.completion.text), "label": record.label}
        case PromptOnly():
            row = {"prompt": prompt}
        case _:
            raise CannotHold(_no_place(record))
    return {**row, LAB: lab_of(record)}


def hh(record: AnyKind) -> Row:
    """Two dialogues as text; a text that would not be read back as it is cannot be held."""
    if not isinstance(record, Pair):
        raise CannotHold(_no_place(record))
    _no_tie(record)
    names = {"user": "Human", "assistant": "Assistant"}
    if any(message.role not in names for message in record.prompt.messages):
        raise CannotHold("prompts with a system message")
    dialogue = "".join(f"\n\n{names[message.role]}: {message.content}" for message in record.prompt.messages)
    texts = (record.chosen.text, record.rejected.text)
    row = dict(zip(("chosen", "rejected"), (f"{dialogue}\n\nAssistant: {text}" for text in texts), strict=True))
    changed = "texts that HH dialogues would change (spaces at their ends, or a speaker's name in them)"
    try:
        read = HH.read(row, Builder(0)) if HH.matches(row) else None
    except Unreadable:
        raise CannotHold(changed) from None
    if not isinstance(read, Pair) or (read.prompt.messages, read.chosen.text, read.rejected.text) != (
        record.prompt.messages,
        *texts,
    ):
        raise CannotHold(changed)
    return {**row, LAB: lab_of(record)}


def ultrafeedback(record: AnyKind) -> Row:
    """Pairs as the binarised set has them (the scores' difference is the margin), ratings as the raw set does."""
    if isinstance(record, Rated):
        _different(record)
        answers = zip(record.completions, record.ratings, strict=True)
        return {
            "instruction": _single(record.prompt),
            "completions": [
                {"response": answer.text, "model": answer.source, "overall_score": rating} for answer, rating in answers
            ],
            LAB: lab_of(record),
        }
    if not isinstance(record, Pair):
        raise CannotHold(_no_place(record))
    score = 0.0 if record.tie else 1.0 if record.margin is None else record.margin
    if not record.tie and score <= 0:
        raise CannotHold("pairs with a margin of zero or below that are no ties")
    asked = _messages(record.prompt)
    chosen = [*asked, _assistant(record.chosen.text)]
    return {
        "prompt": record.prompt.messages[-1].content,
        "prompt_id": hashlib.sha256(record.prompt.text.encode()).hexdigest(),
        "chosen": chosen,
        "rejected": [*asked, _assistant(record.rejected.text)],
        "messages": chosen,
        "score_chosen": score,
        "score_rejected": 0.0,
        LAB: lab_of(record),
    }


def argilla(record: AnyKind) -> Row:
    """Numbered responses and the ranks that one annotator gave them."""
    if isinstance(record, Pair):
        answers: Sequence[Completion] = (record.chosen, record.rejected)
        ranks: Sequence[int] = (1, 1 if record.tie else 2)
    elif isinstance(record, Ranking):
        _different(record)
        if len(record.completions) == 2:
            raise CannotHold("rankings of two answers, which Argilla has as pairs")
        answers, ranks = record.completions, record.ranks
    else:
        raise CannotHold(_no_place(record))
    names = [f"response{number}" for number in range(1, len(answers) + 1)]
    single = len(record.prompt.messages) == 1 and record.prompt.messages[0].role == "user"
    return {
        "prompt": record.prompt.messages[0].content if single else _messages(record.prompt),
        **{name: answer.text for name, answer in zip(names, answers, strict=True)},
        "preference": [
            {
                "user_id": str(record.tags.get("annotator", "")),
                "value": [{"rank": rank, "value": name} for name, rank in zip(names, ranks, strict=True)],
                "status": "submitted",
            }
        ],
        LAB: lab_of(record),
    }


def _single(prompt: Prompt) -> str:
    if len(prompt.messages) != 1 or prompt.messages[0].role != "user":
        raise CannotHold("prompts of several messages")
    return prompt.messages[0].content


def _messages(prompt: Prompt) -> list[Row]:
    return [_message(message) for message in prompt.messages]


def _message(message: Message) -> Row:
    return {"role": message.role, "content": message.content}


def _assistant(text: str) -> Row:
    return {"role": "assistant", "content": text}


def _no_tie(record: Pair) -> None:
    if record.tie:
        raise CannotHold("ties")


def _different(record: Several) -> None:
    if len({answer.text for answer in record.completions}) < len(record.completions):
        raise CannotHold("records with the same answer twice")


def _no_place(record: AnyKind) -> str:
    return f"records of kind {record.kind!r}"
