"""UltraFeedback, binarised: whole conversations as chosen and rejected, each with a score."""

from rlhf_lab.core.records import Pair
from rlhf_lab.data.build import Builder, Unreadable, unreadable
from rlhf_lab.data.families.family import Family, is_list
from rlhf_lab.data.families.trl import read_conversations
from rlhf_lab.data.rows import Row


def _score(row: Row, column: str) -> float:
    value = row.get(column)
    if isinstance(value, bool) or not isinstance(value, int | float):
        unreadable(column, value, "a number")
    return float(value)


def _read(row: Row, build: Builder) -> Pair:
    margin = _score(row, "score_chosen") - _score(row, "score_rejected")
    if margin < 0:
        raise Unreadable(f"the rejected answer scores higher than the chosen one (by {-margin:g}), expected lower")
    pair = read_conversations(row, build, margin=margin)
    return pair if margin > 0 else pair.model_copy(update={"tie": True})


ULTRAFEEDBACK = Family(
    "UltraFeedback, binarised",
    "pair",
    ("prompt", "prompt_id", "chosen", "rejected", "messages", "score_chosen", "score_rejected"),
    "prompt and answers from chosen and rejected; margin = difference of the scores; equal scores = a tie",
    lambda row: is_list(row, "chosen", "rejected") and "score_chosen" in row and "score_rejected" in row,
    _read,
)
