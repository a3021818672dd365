"""Chatbot Arena: two models' conversations and a vote; as whole conversations, or as the table of 55,000."""

from rlhf_lab.core.records import Completion, Message, Pair, Tag
from rlhf_lab.data.build import Builder, Unreadable, said_of, split_last, turns, unreadable, word
from rlhf_lab.data.families.family import Family, is_list
from rlhf_lab.data.json_text import JsonFlaw, JsonText
from rlhf_lab.data.rows import Row

_TIES = {"tie": False, "tie (bothbad)": True, "tie (both bad)": True, "bothbad": True}
_SEVERAL = "the two models answered several questions and differ before the last one, expected one prompt for both"


def _name(row: Row, column: str) -> str:
    return row[column] if isinstance(row.get(column), str) else ""


def _read(row: Row, build: Builder) -> Pair:
    asked, a = split_last(turns(row.get("conversation_a"), "conversation_a"), "conversation_a")
    asked_b, b = split_last(turns(row.get("conversation_b"), "conversation_b"), "conversation_b")
    if asked != asked_b:
        raise Unreadable(_SEVERAL)
    first = Completion(text=a, source=_name(row, "model_a"))
    second = Completion(text=b, source=_name(row, "model_b"))
    winner = word(row.get("winner"))
    tags: dict[str, Tag] = {"annotator": who} if (who := said_of(row.get("judge"))) else {}
    if winner in _TIES:
        return build.pair(asked, first, second, tie=True, tags={**tags, "both_bad": True} if _TIES[winner] else tags)
    if winner not in ("model_a", "model_b"):
        unreadable("winner", row.get("winner"), "model_a, model_b, tie or tie (bothbad)")
    return build.pair(asked, *((first, second) if winner == "model_a" else (second, first)), tags=tags)


def _only(row: Row, column: str) -> str:
    """The one text of a list of turns, which is JSON text in the table; several turns are apart from their questions."""
    value = row.get(column)
    if isinstance(value, str):
        if not value.startswith("["):
            return value
        try:
            value = JsonText().read(value)
        except JsonFlaw as flaw:
            raise Unreadable(f"{column}: {flaw}") from None
    if not isinstance(value, list):
        unreadable(column, value, "a list of texts")
    if len(value) != 1:
        raise Unreadable(_SEVERAL if len(value) > 1 else f"{column}: found nothing, expected a text")
    if not isinstance(value[0], str):
        unreadable(column, value[0], "text")
    return value[0]


def _read_table(row: Row, build: Builder) -> Pair:
    prompt = (Message(role="user", content=_only(row, "prompt")),)
    first = Completion(text=_only(row, "response_a"), source=_name(row, "model_a"))
    second = Completion(text=_only(row, "response_b"), source=_name(row, "model_b"))
    columns = ("winner_model_a", "winner_model_b", "winner_tie")
    votes = [word(row.get(column)) for column in columns]
    if sorted(votes) != ["0", "0", "1"]:
        raise Unreadable(f"{', '.join(columns)}: found {', '.join(v or 'nothing' for v in votes)}, expected one 1")
    if votes[2] == "1":
        return build.pair(prompt, first, second, tie=True)
    return build.pair(prompt, *((first, second) if votes[0] == "1" else (second, first)))


ARENA = Family(
    "Arena conversations",
    "pair",
    ("conversation_a", "conversation_b", "model_a", "model_b", "winner", "judge"),
    "prompt = what both conversations begin with; chosen = the last answer of the winner; annotator = judge",
    lambda row: is_list(row, "conversation_a", "conversation_b") and "winner" in row,
    _read,
)
ARENA_TABLE = Family(
    "Arena table",
    "pair",
    ("prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie", "model_a", "model_b"),
    "prompt as it is; chosen = the answer whose winner column is 1; winner_tie = a tie",
    lambda row: {"prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie"} <= row.keys(),
    _read_table,
)
