"""A reward model's diagnosis as lines of text."""

from collections.abc import Iterator, Sequence

from rlhf_lab.core.diagnosis import Accuracy, RewardDiagnosis, WorstPair

HEADLINES = {
    "good": "Good enough to optimise against.",
    "check": "Look closer before you optimise against it.",
    "bad": "Not good enough to optimise against.",
}
_SHOWN_WORST = 5
_SHOWN_LETTERS = 70
_NAMES = {"train": "trained on", "heldout": "held out"}


def in_words(found: RewardDiagnosis) -> Iterator[str]:
    """The verdict, the tables, and the pairs that it gets most wrong."""
    yield HEADLINES[found.level]
    yield from found.verdict
    longer = [] if found.longer_wins is None else [found.longer_wins.model_copy(update={"name": "longer wins"})]
    yield ""
    yield from _table("Accuracy", [*found.accuracy[:2], *longer, *found.accuracy[2:]])
    yield ""
    yield from _table("Chosen is … tokens", found.by_length)
    yield ""
    if found.ece is not None:
        yield f"Calibration error: {found.ece:.1%}"
    if found.length_correlation is not None:
        yield f"Correlation of length and score: {found.length_correlation:+.2f}"
    if found.worst:
        yield ""
        yield "Most wrong:"
        for pair in found.worst[:_SHOWN_WORST]:
            yield from _pair(pair)


def _table(title: str, rows: Sequence[Accuracy]) -> Iterator[str]:
    names = [_NAMES.get(row.name, row.name) for row in rows]
    width = max(map(len, [title, *names]))
    yield f"{title:{width}}  right   95% interval    pairs"
    for name, row in zip(names, rows, strict=True):
        interval = f"{row.low:.1%} to {row.high:.1%}"
        yield f"{name:{width}}  {row.accuracy:>5.1%}   {interval:<14}  {row.pairs:>5}"


def _pair(pair: WorstPair) -> Iterator[str]:
    noise = ", whose label is known to be noise" if pair.flipped else ""
    yield f"  by {-pair.margin:.2f}{noise}: {_short(pair.prompt)}"
    yield f"    chosen:   {_short(pair.chosen)}"
    yield f"    rejected: {_short(pair.rejected)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_LETTERS else f"{line[: _SHOWN_LETTERS - 1]}…"
