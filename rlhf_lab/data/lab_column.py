"""The column that carries what another tool's format has no place for, so that an export is imported unchanged."""

import json
from typing import Any

from pydantic import ValidationError

from rlhf_lab.core.records import RECORD, Pair
from rlhf_lab.data.build import Unreadable
from rlhf_lab.data.families.family import AnyKind
from rlhf_lab.data.json_text import JsonText

LAB = "lab"
"""Split, tags, sources, margin and weight as JSON text: text, since loaders guess the type of objects."""


def restored(record: AnyKind, lab: Any) -> AnyKind:
    """A record with what its row's column `LAB` says; raises `Unreadable` where that is not ours."""
    try:
        found = JsonText().read(lab) if isinstance(lab, str) else lab
        sources = found.get("sources", [])
        row = record.model_dump()
        row |= {"split": found["split"], "tags": found.get("tags", {})}
        row["prompt"]["tags"] = found.get("prompt_tags", {})
        answers = _answers(row)
        for answer, source in zip(answers, sources or [""] * len(answers), strict=True):
            answer["source"] = source
        if isinstance(record, Pair):
            row |= {"margin": found.get("margin"), "weight": found.get("weight", 1.0)}
        return RECORD.validate_python(row)
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unreadable(f"{LAB}: found no valid entry, expected what an export of the lab writes") from None


def lab_of(record: AnyKind) -> str:
    """What goes into the column."""
    sources = [answer["source"] for answer in _answers(record.model_dump())]
    pair = {"margin": record.margin, "weight": record.weight} if isinstance(record, Pair) else {}
    found = {"tags": record.tags, "prompt_tags": record.prompt.tags, "sources": sources if any(sources) else []}
    return json.dumps({"split": record.split, **{name: value for name, value in found.items() if value}, **pair})


def _answers(row: dict[str, Any]) -> list[dict[str, Any]]:
    if "completions" in row:
        return list(row["completions"])
    return [row[name] for name in ("chosen", "rejected", "completion") if name in row]
