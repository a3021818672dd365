"""Tables of two answers and a verdict, under the names that people usually give such columns."""

from collections.abc import Sequence

from rlhf_lab.core.records import Message, Pair
from rlhf_lab.data.build import Builder, text, unreadable, word
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.mapping import Verdict
from rlhf_lab.data.rows import Row

_QUESTION = ("question", "prompt", "instruction")
_A = ("response_a", "answer_a")
_B = ("response_b", "answer_b")
_VERDICT = ("preference", "winner", "label")

_TIES: dict[str, Verdict] = dict.fromkeys(("tie", "tied", "equal", "draw", "both", "same", "neither"), "tie")
_WORDS: dict[str, Verdict] = {
    **_TIES,
    **dict.fromkeys(("a", "response_a", "answer_a", "response a", "answer a", "model_a", "left"), "a"),
    **dict.fromkeys(("b", "response_b", "answer_b", "response b", "answer b", "model_b", "right"), "b"),
}
_FROM_ONE: dict[str, Verdict] = {**_TIES, "1": "a", "2": "b"}
_FROM_ZERO: dict[str, Verdict] = {**_TIES, "0": "a", "1": "b"}


def _column(row: Row, names: tuple[str, ...]) -> str:
    return next((name for name in names if name in row), "")


def _matches(row: Row, verdicts: dict[str, Verdict]) -> bool:
    columns = [_column(row, names) for names in (_QUESTION, _A, _B, _VERDICT)]
    return all(columns) and word(row[columns[3]]) in verdicts


def _read(row: Row, build: Builder, verdicts: dict[str, Verdict], expected: str) -> Pair:
    question, a, b, verdict = (_column(row, names) or names[0] for names in (_QUESTION, _A, _B, _VERDICT))
    prompt, first, second = text(row, question), text(row, a), text(row, b)
    found = verdicts.get(word(row.get(verdict)))
    if found is None:
        unreadable(verdict, row.get(verdict), expected)
    chosen, rejected = (second, first) if found == "b" else (first, second)
    return build.pair((Message(role="user", content=prompt),), chosen, rejected, tie=found == "tie")


def _unclear(rows: Sequence[Row]) -> str:
    """Numbers whose origin nobody can tell: read from the wrong one, every label would be the wrong way round."""
    numbers = {word(row.get(_column(row, _VERDICT))) for row in rows} & {"0", "1", "2"}
    if numbers == {"1"} or {"0", "2"} <= numbers:
        return f"The verdicts ({', '.join(sorted(numbers))}) do not say whether 1 is the first answer or the second."
    return ""


def _family(name: str, verdicts: dict[str, Verdict], expected: str, note: str = "") -> Family:
    return Family(
        name,
        "pair",
        (*_QUESTION, *_A, *_B, *_VERDICT),
        f"the better of the two answers = chosen ({expected})",
        lambda row: _matches(row, verdicts),
        lambda row, build: _read(row, build, verdicts, expected),
        note,
        flat=True,
        unclear=None if verdicts is _WORDS else _unclear,
    )


GENERIC = _family("two answers and a verdict", _WORDS, "a, b or tie")
# Numbers do not say where they count from; the values of the file decide, and the person is told.
GENERIC_FROM_ONE = _family(
    "two answers and a verdict, 1 or 2",
    _FROM_ONE,
    "1 for the first answer, 2 for the second, or tie",
    note="A verdict of 1 was read as: the first answer is better; 2: the second.",
)
GENERIC_FROM_ZERO = _family(
    "two answers and a verdict, 0 or 1",
    _FROM_ZERO,
    "0 for the first answer, 1 for the second, or tie",
    note="A verdict of 0 was read as: the first answer is better; 1: the second.",
)
