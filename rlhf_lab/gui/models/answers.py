"""The answers of any record in the order in which one reads them: best first, each with what it is called."""

from dataclasses import dataclass

from rlhf_lab.core.records import AnyRecord, Candidates, Demonstration, Pair, PromptOnly, Ranking, Rated, Unpaired

KIND_WORDS = {
    "pair": "preference pairs",
    "demonstration": "demonstrations",
    "unpaired": "answers liked or not",
    "prompt": "prompts",
    "candidates": "prompts with answers to rank",
    "ranking": "rankings",
    "rated": "rated answers",
    "mixed": "records of several kinds",
}
_ONE = {
    "pair": "preference pair",
    "demonstration": "demonstration",
    "unpaired": "answer liked or not",
    "prompt": "prompt",
    "candidates": "prompt with answers to rank",
    "ranking": "ranking",
    "rated": "prompt with rated answers",
    "mixed": "record",
}
ONE_KIND = {
    "pair": "pair",
    "demonstration": "demonstration",
    "unpaired": "liked or not",
    "prompt": "prompt",
    "candidates": "to rank",
    "ranking": "ranking",
    "rated": "rated",
}


def counted(count: int, kind: str) -> str:
    """ "1 ranking", "2,000 rankings"."""
    return f"{count:,} {(_ONE if count == 1 else KIND_WORDS).get(kind, kind)}"


@dataclass(frozen=True)
class Answer:
    """One answer; ``place`` is where the record itself has it."""

    title: str
    text: str
    source: str
    place: int


def answers(record: AnyRecord | None) -> list[Answer]:
    """What there is to read, best first; answers that are equally good stay as they are stored."""
    match record:
        case Pair():
            tie = " (a tie: neither is better)" if record.tie else ""
            return [
                Answer(f"Chosen{tie}", record.chosen.text, record.chosen.source, 0),
                Answer(f"Rejected{tie}", record.rejected.text, record.rejected.source, 1),
            ]
        case Demonstration():
            return [Answer("Answer", record.completion.text, record.completion.source, 0)]
        case Unpaired():
            title = "Answer, liked" if record.label else "Answer, not liked"
            return [Answer(title, record.completion.text, record.completion.source, 0)]
        case Candidates():
            titles = [f"Answer {place + 1}" for place in range(len(record.completions))]
            order = list(range(len(titles)))
        case Ranking():
            titles = [f"Rank {rank}{_shared(record.ranks, rank)}" for rank in record.ranks]
            order = sorted(range(len(titles)), key=record.ranks.__getitem__)
        case Rated():
            titles = [f"Rating {rating:g}" for rating in record.ratings]
            order = sorted(range(len(titles)), key=lambda place: -record.ratings[place])
        case PromptOnly() | None:
            return []
    return [Answer(titles[at], record.completions[at].text, record.completions[at].source, at) for at in order]


def facts(record: AnyRecord | None) -> list[tuple[str, str]]:
    """What else is known of a record: margin, weight, and the tags of its prompt and its own."""
    if record is None:
        return []
    known: list[tuple[str, str]] = []
    if isinstance(record, Pair) and record.margin is not None:
        known.append(("margin", f"{record.margin:g}"))
    if isinstance(record, Pair) and record.weight != 1:
        known.append(("weight", f"{record.weight:g}"))
    return known + [(name, str(value)) for name, value in {**record.prompt.tags, **record.tags}.items()]


def _shared(ranks: tuple[int, ...], rank: int) -> str:
    return " (shared)" if ranks.count(rank) > 1 else ""
