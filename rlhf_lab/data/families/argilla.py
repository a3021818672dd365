"""Argilla exports: answers in numbered columns, and what each annotator made of them."""

import re
from collections.abc import Sequence
from typing import Any

from rlhf_lab.core.records import Completion, Pair, Ranking, Tag
from rlhf_lab.data.build import Builder, Turns, Unreadable, as_number, prompt_turns, unreadable
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.rows import Row

_RESPONSE = re.compile(r"response[-_ ]?\d+")
_PROMPTS = ("prompt", "instruction", "question", "text")


def _responses(row: Row) -> dict[str, str]:
    return {name: value for name, value in row.items() if _RESPONSE.fullmatch(name) and isinstance(value, str)}


def _matches(row: Row) -> bool:
    given = row.get("preference")
    return (
        len(_responses(row)) >= 2
        and isinstance(given, list)
        and all(isinstance(item, dict) and "value" in item for item in given)
    )


def _read(row: Row, build: Builder) -> Sequence[Pair | Ranking]:
    column = next((name for name in _PROMPTS if name in row), "prompt")
    prompt, responses = prompt_turns(row.get(column), column), _responses(row)
    if len(responses) < 2 or not isinstance(row.get("preference"), list):
        raise Unreadable("found no two responses with a list of preferences, expected response1, response2, preference")
    submitted = []
    for given in row["preference"]:
        if not isinstance(given, dict):
            unreadable("preference", given, "an annotator's verdict")
        if given.get("status", "submitted") != "submitted":
            build.left_out["verdicts that were not submitted"] += 1
            continue
        submitted.append(given)
    if not submitted:
        raise Unreadable("preference: found no verdict that was submitted, expected at least one")
    return build.each(submitted, lambda given: _verdict(prompt, responses, given, build))


def _verdict(prompt: Turns, responses: dict[str, str], given: dict[str, Any], build: Builder) -> Pair | Ranking:
    who = given.get("user_id")
    tags: dict[str, Tag] = {"annotator": str(who)} if who is not None else {}
    return _judged(prompt, responses, _ranks(given.get("value"), responses), tags, build)


def _ranks(value: Any, responses: dict[str, str]) -> dict[str, float]:
    """The rank of each response that has one: from a ranking, or from the one that was picked."""
    if isinstance(value, str) and value in responses:
        return {name: 1.0 if name == value else 2.0 for name in responses}
    if not isinstance(value, list):
        unreadable("preference: value", value, "a list of ranks, or the name of the better response")
    ranks: dict[str, float] = {}
    for item in value:
        name = item.get("value") if isinstance(item, dict) else None
        rank = as_number(item.get("rank")) if isinstance(item, dict) else None
        if name not in responses or rank is None:
            unreadable("preference: value", name, f"one of {', '.join(responses)} with its rank")
        ranks[name] = rank
    return ranks


def _judged(
    prompt: Turns, responses: dict[str, str], ranks: dict[str, float], tags: dict[str, Tag], build: Builder
) -> Pair | Ranking:
    if len(responses) > 2:
        build.left_out["answers that an annotator did not rank"] += len(responses) - len(ranks)
        answers = [Completion(text=responses[name], source=name) for name in ranks]
        return build.ranking(prompt, answers, list(ranks.values()), tags)
    if len(ranks) != 2:
        raise Unreadable(f"preference: found a rank for {len(ranks)} of two responses, expected one for each")
    (better, first), (worse, last) = sorted(ranks.items(), key=lambda item: item[1])
    return build.pair(
        prompt,
        Completion(text=responses[better], source=better),
        Completion(text=responses[worse], source=worse),
        tie=first == last,
        tags=tags,
    )


ARGILLA = Family(
    "Argilla",
    "mixed",
    ("prompt", *(f"response{number}" for number in range(1, 10)), "preference"),
    "prompt as it is; a record for each annotator: a pair of two responses, a ranking of more; equal ranks are ties",
    _matches,
    _read,
)
