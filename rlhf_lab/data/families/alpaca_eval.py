"""AlpacaEval: two models' answers to an instruction, and how much a judge prefers the second, from 1 to 2."""

from rlhf_lab.core.records import Completion, Message, Pair, Tag
from rlhf_lab.data.build import Builder, number, said_of, text, unreadable
from rlhf_lab.data.families.family import Family, is_text
from rlhf_lab.data.rows import Row

_TIE = 1.5


def _source(row: Row, column: str) -> str:
    return row[column] if isinstance(row.get(column), str) else ""


def _read(row: Row, build: Builder) -> Pair:
    preference = number(row, "preference")
    if not 1 <= preference <= 2:
        unreadable("preference", preference, "1 (the first is better) to 2 (the second), 1.5 a tie")
    first = Completion(text=text(row, "output_1"), source=_source(row, "generator_1"))
    second = Completion(text=text(row, "output_2"), source=_source(row, "generator_2"))
    tags: dict[str, Tag] = {"preference": preference}
    if who := said_of(row.get("annotator")):
        tags["annotator"] = who
    prompt = (Message(role="user", content=text(row, "instruction")),)
    better = (second, first) if preference > _TIE else (first, second)
    return build.pair(prompt, *better, tie=preference == _TIE, tags=tags)


ALPACA_EVAL = Family(
    "AlpacaEval",
    "pair",
    ("instruction", "output_1", "output_2", "preference", "generator_1", "generator_2", "annotator"),
    "prompt = instruction; chosen = output_1 where preference is below 1.5, output_2 above it; 1.5 = a tie",
    lambda row: is_text(row, "instruction", "output_1", "output_2") and "preference" in row,
    _read,
)
