"""ShareGPT: conversations of {"from", "value"}, as demonstrations or with two last answers (ranking)."""

from rlhf_lab.core.records import Demonstration, Pair
from rlhf_lab.data.build import Builder, Turns, answer, optional_text, split_last, turns, with_system
from rlhf_lab.data.families.family import Family, is_list
from rlhf_lab.data.rows import Row


def _conversation(row: Row) -> Turns:
    return with_system(optional_text(row, "system"), turns(row.get("conversations"), "conversations"))


def _read(row: Row, build: Builder) -> Demonstration:
    return build.demonstration(*split_last(_conversation(row), "conversations"))


def _read_ranking(row: Row, build: Builder) -> Pair:
    return build.pair(_conversation(row), answer(row.get("chosen"), "chosen"), answer(row.get("rejected"), "rejected"))


SHAREGPT = Family(
    "ShareGPT",
    "demonstration",
    ("conversations", "system"),
    "prompt = the conversation up to its last answer; answer = that one",
    lambda row: is_list(row, "conversations") and not {"chosen", "rejected", "kto_tag", "label"} & row.keys(),
    _read,
)
SHAREGPT_RANKING = Family(
    "ShareGPT ranking",
    "pair",
    ("conversations", "chosen", "rejected", "system"),
    "prompt = the conversation; chosen and rejected = the two answers that follow it",
    lambda row: is_list(row, "conversations") and {"chosen", "rejected"} <= row.keys(),
    _read_ranking,
)
