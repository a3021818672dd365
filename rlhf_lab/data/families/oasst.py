"""OpenAssistant trees: every message that two or more ranked answers follow gives one ranking."""

from collections.abc import Sequence
from typing import Any

from rlhf_lab.core.records import Completion, Message, Ranking, Tag
from rlhf_lab.data.build import Builder, Turns, Unreadable, as_number, unreadable
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.rows import Row

_MOST_MESSAGES = 10_000


def _matches(row: Row) -> bool:
    root = row.get("prompt")
    return isinstance(root, dict) and isinstance(root.get("text"), str) and isinstance(root.get("replies"), list)


def _read(row: Row, build: Builder) -> Sequence[Ranking]:
    found: list[Ranking] = []
    waiting: list[tuple[Any, Turns]] = [(row.get("prompt"), ())]
    seen = 0
    while waiting:
        node, before = waiting.pop()
        seen += 1
        if seen > _MOST_MESSAGES:
            raise Unreadable(f"found a tree of more than {_MOST_MESSAGES:,} messages, expected a conversation")
        spoken = (*before, _message(node))
        replies = node.get("replies") or []
        if not isinstance(replies, list):
            unreadable("replies", replies, "a list of messages")
        waiting += [(reply, spoken) for reply in reversed(replies)]
        if spoken[-1].role == "user":
            found += _ranking(row, spoken, replies, build)
    if not found:
        raise Unreadable("found no message with two ranked answers, expected one in the tree")
    return found


def _message(node: Any) -> Message:
    if not isinstance(node, dict) or not isinstance(node.get("text"), str):
        unreadable("a message of the tree", node, "an object with role and text")
    if node.get("role") not in ("prompter", "assistant"):
        unreadable("role", node.get("role"), "prompter or assistant")
    return Message(role="user" if node["role"] == "prompter" else "assistant", content=node["text"])


def _ranking(row: Row, spoken: Turns, replies: list[Any], build: Builder) -> list[Ranking]:
    """One ranking, or none where fewer than two answers have a rank; 0 is the best."""
    ranked, unranked = [], 0
    for reply in replies:
        message = _message(reply)
        rank = as_number(reply.get("rank"))
        if message.role != "assistant" or reply.get("deleted") is True or rank is None:
            unranked += 1
        else:
            ranked.append((rank, message.content, reply))
    if len(ranked) < 2:
        build.left_out["answers of OpenAssistant that nobody ranked against another"] += len(replies)
        return []
    build.left_out["answers of OpenAssistant that nobody ranked against another"] += unranked
    answers = [
        Completion(text=said, source=str(reply.get("model_name") or "") if reply.get("synthetic") else "human")
        for _, said, reply in ranked
    ]
    tags: dict[str, Tag] = {"tree": row["message_tree_id"]} if isinstance(row.get("message_tree_id"), str) else {}
    language = row["prompt"].get("lang")
    if isinstance(language, str):
        tags["language"] = language
    try:
        return [build.ranking(spoken, answers, [rank for rank, _, _ in ranked], tags)]
    except Unreadable as found:
        build.left_out[f"questions of a tree ({found})"] += 1
        return []


OASST = Family(
    "OpenAssistant tree",
    "ranking",
    ("message_tree_id", "prompt", "tree_state"),
    "a ranking for every question that two or more ranked answers follow, 0 the best; prompt = the branch down to it",
    _matches,
    _read,
)
