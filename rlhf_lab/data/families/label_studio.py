"""Label Studio exports: a task's two answers and which side was selected, or its items in a ranked bucket."""

from collections.abc import Iterator, Sequence
from typing import Any

from rlhf_lab.core.records import Completion, Pair, Ranking, Tag
from rlhf_lab.data.build import Builder, Turns, Unreadable, prompt_turns, unreadable
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.rows import Row

_PROMPTS = ("prompt", "question", "instruction", "text", "query")
_FIRST = ("answer1", "answer_1", "response1", "response_1", "answer_a", "response_a", "text1", "left")
_SECOND = ("answer2", "answer_2", "response2", "response_2", "answer_b", "response_b", "text2", "right")
_TEXTS = ("text", "body", "answer", "content", "html", "title")


_Given = tuple[dict[str, Tag], Any]
"""Tags and value of a verdict."""


def _results(row: Row, kind: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each annotation's results that hold such a value, with the annotation."""
    annotations = row.get("annotations")
    for annotation in annotations if isinstance(annotations, list) else []:
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
            continue
        for result in annotation["result"]:
            value = result.get("value") if isinstance(result, dict) else None
            if isinstance(value, dict) and kind in value:
                yield annotation, value


def _matches(row: Row, kind: str) -> bool:
    return isinstance(row.get("data"), dict) and any(True for _ in _results(row, kind))


def _given(row: Row, kind: str, build: Builder) -> list[_Given]:
    """Tags and value of each verdict; refuses a task without one, and counts those that were cancelled."""
    if not isinstance(row.get("data"), dict):
        unreadable("data", row.get("data"), "an object with the task")
    found: list[_Given] = []
    for annotation, value in _results(row, kind):
        if annotation.get("was_cancelled") is True:
            build.left_out["verdicts that were cancelled"] += 1
            continue
        who = annotation.get("completed_by")
        who = who.get("email", who.get("id")) if isinstance(who, dict) else who
        found.append(({"annotator": str(who)} if isinstance(who, str | int) else {}, value[kind]))
    if not found:
        raise Unreadable(f"annotations: found no result of kind {kind!r}, expected one for this task")
    return found


def _column(data: dict[str, Any], names: tuple[str, ...], what: str) -> Any:
    found = next((data[name] for name in names if name in data), None)
    if found is None:
        raise Unreadable(f"data: found no {what}, expected it as {', '.join(names[:3])}")
    return found


def _prompt(data: dict[str, Any]) -> Turns:
    return prompt_turns(_column(data, _PROMPTS, "prompt"), "data: prompt")


def _answer(data: dict[str, Any], names: tuple[str, ...], what: str) -> str:
    found = _column(data, names, what)
    if not isinstance(found, str):
        unreadable(f"data: {what}", found, "text")
    return found


def _read_pairwise(row: Row, build: Builder) -> Sequence[Pair]:
    def read(given: _Given) -> Pair:
        tags, side = given
        if side not in ("left", "right"):
            unreadable("selected", side, "left or right")
        data = row["data"]
        left, right = _answer(data, _FIRST, "first answer"), _answer(data, _SECOND, "second answer")
        return build.pair(_prompt(data), *((left, right) if side == "left" else (right, left)), tags=tags)

    return build.each(_given(row, "selected", build), read)


def _items(data: dict[str, Any]) -> dict[str, str]:
    """Text by id, from a list of items, or from the task's own columns."""
    listed = next((v for v in data.values() if isinstance(v, list) and v and all(isinstance(i, dict) for i in v)), None)
    if listed is None:
        return {name: value for name, value in data.items() if isinstance(value, str)}
    found = {}
    for item in listed:
        said = next((item[name] for name in _TEXTS if isinstance(item.get(name), str)), None)
        if "id" in item and said is not None:
            found[str(item["id"])] = said
    return found


def _read_ranker(row: Row, build: Builder) -> Sequence[Ranking]:
    def read(given: _Given) -> Ranking:
        tags, buckets = given
        # "_" is where items lie that nobody has moved yet.
        if not isinstance(buckets, dict) or len(buckets) == 0:
            unreadable("ranker", buckets, "a bucket with the ids in their order")
        ranked = {name: ids for name, ids in buckets.items() if name != "_" and ids} or buckets
        if len(ranked) != 1:
            raise Unreadable(f"ranker: found {len(ranked)} buckets with items, expected one: their order says nothing")
        (ids,) = ranked.values()
        texts = _items(row["data"])
        if not isinstance(ids, list) or not all(str(key) in texts for key in ids):
            unreadable("ranker", ids, f"ids of the task's items ({', '.join(list(texts)[:9])})")
        answers = [Completion(text=texts[str(key)]) for key in ids]
        build.left_out["answers that an annotator did not rank"] += sum(
            len(rest) for name, rest in buckets.items() if name not in ranked and isinstance(rest, list)
        )
        return build.ranking(_prompt(row["data"]), answers, range(len(answers)), tags)

    return build.each(_given(row, "ranker", build), read)


LABEL_STUDIO_PAIRWISE = Family(
    "Label Studio, pairwise",
    "pair",
    ("data", "annotations"),
    "prompt and the two answers from data; chosen = the side that was selected; a record for each annotation",
    lambda row: _matches(row, "selected"),
    _read_pairwise,
)
LABEL_STUDIO_RANKER = Family(
    "Label Studio, ranker",
    "ranking",
    ("data", "annotations"),
    "prompt and items from data; the first id in the bucket is the best; a record for each annotation",
    lambda row: _matches(row, "ranker"),
    _read_ranker,
)
