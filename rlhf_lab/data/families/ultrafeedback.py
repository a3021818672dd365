"""UltraFeedback: as chosen and rejected conversations with a score each, or raw, with every rating of every answer."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from rlhf_lab.core.records import Completion, Message, Pair, Rated, Tag
from rlhf_lab.data.build import Builder, Unreadable, as_number, number, optional_text, text, unreadable
from rlhf_lab.data.families.family import Family, is_list
from rlhf_lab.data.families.trl import read_conversations
from rlhf_lab.data.rows import Row


def _read(row: Row, build: Builder) -> Pair:
    margin = number(row, "score_chosen") - number(row, "score_rejected")
    if margin < 0:
        raise Unreadable(f"the rejected answer scores higher than the chosen one (by {-margin:g}), expected lower")
    return read_conversations(row, build, margin=margin, tie=margin == 0)


ULTRAFEEDBACK = Family(
    "UltraFeedback, binarised",
    "pair",
    ("prompt", "prompt_id", "chosen", "rejected", "messages", "score_chosen", "score_rejected"),
    "prompt and answers from chosen and rejected; margin = difference of the scores; equal scores = a tie",
    lambda row: is_list(row, "chosen", "rejected") and "score_chosen" in row and "score_rejected" in row,
    _read,
)

MEAN = "mean of the aspects"
_WHOLE = ("overall_score", "score", "fine-grained_score")


def _rating(answer: dict[str, Any], name: str) -> float | None:
    """One rating of an answer; None where it has none (the models that rated left some as "N/A")."""
    if name == MEAN:
        found = [rating for aspect in _aspects(answer) if (rating := _rating(answer, aspect)) is not None]
        return fmean(found) if found else None
    if name in answer:
        return as_number(answer[name])
    aspect = _aspects(answer).get(name)
    return as_number(aspect.get("Rating")) if isinstance(aspect, dict) else as_number(aspect)


def _aspects(answer: dict[str, Any]) -> dict[str, Any]:
    annotations = answer.get("annotations")
    return annotations if isinstance(annotations, dict) else {}


def _names(row: Row) -> Sequence[str]:
    answers = [item for item in row.get("completions") or [] if isinstance(item, dict)]
    aspects = sorted({name for answer in answers for name in _aspects(answer)})
    names = [*_WHOLE, *([MEAN] if len(aspects) > 1 else []), *aspects]
    return [name for name in names if any(_rating(answer, name) is not None for answer in answers)]


def _is_raw(row: Row) -> bool:
    answers = row.get("completions")
    return (
        isinstance(row.get("instruction"), str)
        and isinstance(answers, list)
        and bool(answers)
        and all(isinstance(item, dict) and "response" in item for item in answers)
    )


def _read_raw(row: Row, build: Builder) -> Rated:
    found = row.get("completions")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        unreadable("completions", found, "a list of answers with their ratings")
    answers, ratings = [], []
    for item in found:
        rating = _rating(item, build.rating)
        if rating is None:
            build.left_out[f"answers without a rating named {build.rating!r}"] += 1
            continue
        answers.append(Completion(text=text(item, "response"), source=optional_text(item, "model")))
        ratings.append(rating)
    tags: dict[str, Tag] = {"rating": build.rating}
    if isinstance(row.get("source"), str):
        tags["source"] = row["source"]
    return build.rated((Message(role="user", content=text(row, "instruction")),), answers, ratings, tags)


ULTRAFEEDBACK_RAW = Family(
    "UltraFeedback, raw",
    "rated",
    ("instruction", "completions", "source", "models"),
    "prompt = instruction; every answer with the rating that counts",
    _is_raw,
    _read_raw,
    ratings=_names,
    instead_of=("answers to rank",),
)
