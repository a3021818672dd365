"""The lab's own format: one record a line, as `rlhf_lab.core.records.dump_record` writes it. Lossless."""

from math import isfinite

from pydantic import ValidationError

from rlhf_lab.core.records import RECORD, Demonstration, Pair, Several, Unpaired
from rlhf_lab.data.build import Builder, Unreadable, check_answers, check_prompt
from rlhf_lab.data.families.family import AnyKind, Family
from rlhf_lab.data.json_text import JsonFlaw, JsonText
from rlhf_lab.data.rows import Row


def _matches(row: Row) -> bool:
    return isinstance(row.get("kind"), str) and isinstance(row.get("prompt"), dict) and "messages" in row["prompt"]


def _read(row: Row, build: Builder) -> AnyKind:
    try:
        record = RECORD.validate_python(_with_tags(row))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the record"
        raise Unreadable(f"{where}: {first['msg']}") from None
    for name, value in (*record.tags.items(), *record.prompt.tags.items()):
        if isinstance(value, float) and not isfinite(value):  # tables can hold them, JSON cannot
            raise Unreadable(f"tags: found {value} as {name[:40]!r}, expected a finite number")
    check(record)
    if "split" not in row:
        return record.model_copy(update={"split": build.split(record.prompt)})
    return record


def check(record: AnyKind) -> None:
    """What every stored record fulfils; raises `Unreadable`."""
    check_prompt(record.prompt.messages)
    if isinstance(record, Pair):
        check_answers((record.chosen.text, record.rejected.text))
        if record.chosen.text == record.rejected.text:
            raise Unreadable("the chosen and the rejected answer are the same, expected two different ones")
    elif isinstance(record, Demonstration | Unpaired):
        check_answers((record.completion.text,))
    elif isinstance(record, Several):
        check_answers(answer.text for answer in record.completions)


def _with_tags(row: Row) -> Row:
    """Tags are JSON text in tables, whose columns have one type each."""
    prompt = row.get("prompt")
    if isinstance(prompt, dict) and isinstance(prompt.get("tags"), str):
        row = {**row, "prompt": {**prompt, "tags": _tags(prompt["tags"])}}
    return {**row, "tags": _tags(row["tags"])} if isinstance(row.get("tags"), str) else row


def _tags(cell: str) -> object:
    try:
        return JsonText().read(cell)
    except JsonFlaw:
        return cell


NATIVE = Family(
    "lab",
    "mixed",
    (
        *("kind", "prompt", "split", "tags", "completion", "label", "chosen", "rejected", "margin", "tie", "weight"),
        *("completions", "ranks", "ratings"),
    ),
    "as it is",
    _matches,
    _read,
)
