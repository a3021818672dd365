"""What a person changed in a record, as a record again or as the reason why it cannot be one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import RECORD, AnyRecord, Pair, Ranking, Rated, Split, Unpaired, competition_ranks


@dataclass(frozen=True)
class Draft:
    """A record in pieces that can be edited one by one; ``numbers`` are its ranks or ratings, if it has any."""

    turns: tuple[str, ...]
    texts: tuple[str, ...]
    split: Split
    numbers: tuple[float, ...] = ()
    liked: bool = True
    tie: bool = False

    def swapped(self) -> "Draft":
        """The other answer is the better one."""
        return replace(self, texts=self.texts[::-1])


def draft_of(record: AnyRecord) -> Draft:
    """The pieces of a record, its answers in the order in which it holds them."""
    return Draft(
        turns=tuple(message.content for message in record.prompt.messages),
        texts=tuple(text for text in _texts(record)),
        split=record.split,
        numbers=_numbers(record),
        liked=record.label if isinstance(record, Unpaired) else True,
        tie=record.tie if isinstance(record, Pair) else False,
    )


def edited(record: AnyRecord, draft: Draft) -> AnyRecord:
    """The record as the draft has it; what no draft holds (sources, tags, margin) stays. `LabError` says what is wrong."""
    if not any(turn.strip() for turn in draft.turns):
        raise LabError("The prompt is empty. Write what is asked, or cancel.")
    if not all(text.strip() for text in draft.texts):
        raise LabError("An answer is empty. Write it, or cancel and delete the record instead.")
    if isinstance(record, Pair) and not draft.tie and draft.texts[0] == draft.texts[1]:
        raise LabError("Both answers are the same, so none is better. Change one, or mark the pair as a tie.")
    fields = record.model_dump(mode="json")
    fields["split"] = draft.split
    for message, turn in zip(fields["prompt"]["messages"], draft.turns, strict=True):
        message["content"] = turn
    if isinstance(record, Pair):
        _swap_sources(fields, record, draft.texts)
        fields["tie"] = draft.tie
        fields["chosen"]["text"], fields["rejected"]["text"] = draft.texts
    elif "completions" in fields:
        for completion, text in zip(fields["completions"], draft.texts, strict=True):
            completion["text"] = text
    elif "completion" in fields:
        fields["completion"]["text"] = draft.texts[0]
    if isinstance(record, Unpaired):
        fields["label"] = draft.liked
    if isinstance(record, Ranking):
        fields["ranks"] = competition_ranks(draft.numbers)
    if isinstance(record, Rated):
        fields["ratings"] = draft.numbers
    try:
        return RECORD.validate_python(fields)
    except ValidationError as error:
        raise LabError(f"This cannot be stored: {error.errors(include_url=False)[0]['msg']}.") from error


def _swap_sources(fields: dict, record: Pair, texts: Sequence[str]) -> None:
    """Who wrote an answer goes with it when both change places; the margin then speaks against the order."""
    if texts == (record.rejected.text, record.chosen.text):
        fields["chosen"], fields["rejected"] = fields["rejected"], fields["chosen"]
        fields["margin"] = None


def _texts(record: AnyRecord) -> list[str]:
    if isinstance(record, Pair):
        return [record.chosen.text, record.rejected.text]
    if several := getattr(record, "completions", ()):
        return [completion.text for completion in several]
    single = getattr(record, "completion", None)
    return [single.text] if single is not None else []


def _numbers(record: AnyRecord) -> tuple[float, ...]:
    if isinstance(record, Ranking):
        return record.ranks
    return record.ratings if isinstance(record, Rated) else ()
