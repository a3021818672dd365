"""SHP (Stanford Human Preferences): a post and two comments on it, of which people liked one better."""

from rlhf_lab.core.records import Message, Pair
from rlhf_lab.data.build import Builder, Unreadable, as_number, text, unreadable, word
from rlhf_lab.data.families.family import Family, is_text
from rlhf_lab.data.rows import Row


def _read(row: Row, build: Builder) -> Pair:
    a, b = text(row, "human_ref_A"), text(row, "human_ref_B")
    label = word(row.get("labels"))
    if label not in ("0", "1"):
        unreadable("labels", row.get("labels"), "1 where A is preferred, 0 where B is")
    first, second = as_number(row.get("score_A")), as_number(row.get("score_B"))
    margin = None if first is None or second is None else (first - second if label == "1" else second - first)
    if margin is not None and margin < 0:
        raise Unreadable(f"the answer that labels prefers scores lower (by {-margin:g}), expected higher")
    prompt = (Message(role="user", content=text(row, "history")),)
    return build.pair(prompt, *((a, b) if label == "1" else (b, a)), margin=margin)


SHP = Family(
    "SHP",
    "pair",
    ("history", "human_ref_A", "human_ref_B", "labels", "score_A", "score_B"),
    "prompt = history; chosen = human_ref_A where labels is 1, else human_ref_B; margin = difference of the scores",
    lambda row: is_text(row, "history", "human_ref_A", "human_ref_B") and "labels" in row,
    _read,
)
