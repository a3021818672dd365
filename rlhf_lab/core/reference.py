"""The README's table of settings, made from the config models, so that it cannot disagree with them."""

from typing import Any

from rlhf_lab.core.config import STAGES, UNUSED, is_basic
from rlhf_lab.core.settings import BaseRun

_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def config_reference() -> str:
    """Markdown: the settings that all stages share, then what each stage adds."""
    shared = set(BaseRun.model_fields)
    parts = ["**All stages**\n\n" + _table(BaseRun, shared)]
    for stage, model in STAGES.items():
        own = set(model.model_fields) - shared - {"stage"}
        unused = ", ".join(f"`{name}`" for name in model.model_fields if name in UNUSED.get(stage, ()))
        adds = f"does without {unused}, and adds" if unused else "adds"
        parts.append(f"**`{stage}`** {adds}\n\n" + _table(model, own))
    return "\n\n".join(parts) + "\n"


def _table(model: type[BaseRun], names: set[str]) -> str:
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    fields = sorted((n for n in model.model_fields if n in names), key=lambda n: not is_basic(n, model))
    rows = ["| setting | default | may be | what it is |", "| --- | --- | --- | --- |"]
    for name in fields:
        field, schema = model.model_fields[name], properties[name]
        cells = [f"`{name}`", _default(field.default), _range(schema), f"{field.title}. {field.description}"]
        unit = schema.get("unit", "")
        cells[3] += f" In {unit}." if unit else ""
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _default(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _range(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f'`"{value}"`' for value in schema["enum"])
    kinds = {"string": "text", "integer": "whole", "number": "number", "boolean": "true, false"}
    kind = schema.get("type") or next(part["type"] for part in schema["anyOf"] if part["type"] != "null")
    bounds = [f"{sign} {_big(schema[key])}" for key, sign in _BOUNDS.items() if key in schema]
    return ", ".join([kinds[kind], *bounds])


def _big(value: float) -> str:
    return "2³¹" if value == 2**31 else f"{value:,.0f}" if value >= 1000 else f"{value:g}"
