"""Nectar: several answers to one prompt, each with its place in a ranking, 1 the best."""

from rlhf_lab.core.records import Completion, Ranking
from rlhf_lab.data.build import Builder, Turns, as_number, optional_text, prompt_turns, text, unreadable
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.families.hh import dialogue_turns
from rlhf_lab.data.rows import Row


def _matches(row: Row) -> bool:
    answers = row.get("answers")
    return (
        isinstance(row.get("prompt"), str | list)
        and isinstance(answers, list)
        and bool(answers)
        and all(isinstance(item, dict) and {"answer", "rank"} <= item.keys() for item in answers)
    )


def _prompt(value: object) -> Turns:
    is_dialogue = isinstance(value, str) and value.lstrip().startswith("Human:")
    return dialogue_turns(str(value)) if is_dialogue else prompt_turns(value, "prompt")


def _read(row: Row, build: Builder) -> Ranking:
    found = row.get("answers")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        unreadable("answers", found, "a list of answers with their ranks")
    answers, places = [], []
    for item in found:
        place = as_number(item.get("rank"))
        if place is None:
            unreadable("answers: rank", item.get("rank"), "a number, 1 for the best")
        answers.append(Completion(text=text(item, "answer"), source=optional_text(item, "model")))
        places.append(place)
    return build.ranking(_prompt(row.get("prompt")), answers, places)


NECTAR = Family(
    "Nectar",
    "ranking",
    ("prompt", "answers"),
    "prompt as it is; answers in the order of their ranks, 1 the best, equal ranks tied",
    _matches,
    _read,
    instead_of=("answers to rank",),
)
