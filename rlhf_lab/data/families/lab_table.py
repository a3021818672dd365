"""The lab's own table, for CSV: a column for each field of a record, lists and tags as JSON text. Lossless."""

import json
import re
from typing import Any

from pydantic import ValidationError

from rlhf_lab.core.records import RECORD
from rlhf_lab.data.build import Builder, Unreadable
from rlhf_lab.data.families.family import AnyKind, Family
from rlhf_lab.data.families.native import check
from rlhf_lab.data.json_text import JsonText
from rlhf_lab.data.rows import Row

_ANSWERS = ("completion", "chosen", "rejected")
_JSON = ("completions", "ranks", "ratings", "tags")
_NUMBERS = ("margin", "weight", "label", "tie")
COLUMNS = (
    *("kind", "split", "prompt", "completion", "chosen", "rejected", "label", "margin", "tie", "weight"),
    *("completions", "ranks", "ratings", "completion_source", "chosen_source", "rejected_source"),
    *("prompt_tags", "tags"),
)

_FORMULA = re.compile(r"[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def flat_row(record: AnyKind) -> dict[str, str]:
    """The cells of a record. A prompt of one message of the user is its text, any other a JSON list."""
    row = record.model_dump()
    messages, prompt_tags = row["prompt"]["messages"], row["prompt"]["tags"]
    text = messages[0]["content"]
    plain = len(messages) == 1 and messages[0]["role"] == "user" and not text.lstrip().startswith("[")
    cells = {
        "kind": record.kind,
        "split": record.split,
        "prompt": text if plain else _json(messages),
        "prompt_tags": _json(prompt_tags) if prompt_tags else "",
    }
    for name in _ANSWERS:
        if name in row:
            cells[name], cells[f"{name}_source"] = row[name]["text"], row[name]["source"]
    cells |= {name: _json(row[name]) for name in _JSON if row.get(name)}
    return cells | {name: _json(row[name]) for name in _NUMBERS if row.get(name) is not None}


def harmless(cell: str, escape: bool) -> str:
    """A cell that no spreadsheet takes for a formula; `as_written` undoes it.

    Without ``escape``, only what would be undone on reading is escaped, so that reading gives the same text.
    """
    return f"'{cell}" if _ESCAPED.match(cell) or (escape and _FORMULA.match(cell)) else cell


def as_written(cell: Any) -> Any:
    """A cell as it was before `harmless`."""
    return cell[1:] if isinstance(cell, str) and _ESCAPED.match(cell) else cell


def _matches(row: Row) -> bool:
    return all(isinstance(row.get(name), str) for name in ("kind", "split", "prompt")) and "prompt_tags" in row


def _read(row: Row, build: Builder) -> AnyKind:
    read_json = JsonText().read
    cells = {name: as_written(cell) for name, cell in row.items() if cell not in ("", None)}
    prompt = cells.get("prompt", "")
    try:
        listed = prompt.lstrip().startswith("[")
        found: dict[str, Any] = {"kind": cells.get("kind"), "split": cells.get("split")}
        found["prompt"] = {
            "messages": read_json(prompt) if listed else [{"role": "user", "content": prompt}],
            "tags": read_json(cells.get("prompt_tags", "{}")),
        }
        found |= {
            name: {"text": cells[name], "source": cells.get(f"{name}_source", "")} for name in _ANSWERS if name in cells
        }
        found |= {name: read_json(cells[name]) for name in (*_JSON, *_NUMBERS) if name in cells}
        record = RECORD.validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the row"
        raise Unreadable(f"{where}: {first['msg']}") from None
    except (ValueError, RecursionError, AttributeError) as error:
        raise Unreadable(f"found {str(error)[:80]!r}, expected cells as an export of the lab writes them") from None
    check(record)
    return record


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


LAB_TABLE = Family("lab table", "mixed", COLUMNS, "as it is", _matches, _read, own_cells=True)
