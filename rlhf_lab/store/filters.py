"""Which records of a data set to look at, and the same as SQL over the records themselves."""

import json
import re
from dataclasses import dataclass
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import RecordKind, Split
from rlhf_lab.store.schema import ID_BITS

MOST_TERMS = 200
"""Words and phrases of one search: SQLite takes no condition of more than 1,000 parts within each other."""
LONGEST_TERM = 5000
"""Characters of one of them: SQLite takes no pattern of more than 50,000 bytes."""


@dataclass(frozen=True)
class Filters:
    """All that is set must hold.

    ``search``: words, or beginnings of words, that occur in the prompt or an answer, in any order; "quoted
    words" as they stand. (While there is no index, parts of words are found as well, and accents matter.)
    ``source``: who or what wrote one of the answers. ``shortest`` and ``longest``: characters of the
    longest answer (of the prompt where there is none). ``edited``: changed here since it was imported.
    ``judged``: whether anybody gave a verdict here that counts.
    """

    search: str = ""
    split: Split | None = None
    source: str | None = None
    kind: RecordKind | None = None
    shortest: int | None = None
    longest: int | None = None
    edited: bool = False
    judged: bool | None = None

    @property
    def is_set(self) -> bool:
        """Whether they leave out anything."""
        return self != ALL

    @property
    def terms(self) -> list[tuple[str, bool]]:
        """The words of the search, and its quoted phrases with True; raises `LabError` for too many."""
        pairs = ((phrase or word, bool(phrase)) for phrase, word in re.findall(r'"([^"]+)"|(\S+)', self.search))
        found = [(text, quoted) for text, quoted in pairs if text.strip()]
        if len(found) > MOST_TERMS or any(len(text) > LONGEST_TERM for text, _ in found):
            raise LabError(
                f"The search is too long: it takes {MOST_TERMS} words of up to {LONGEST_TERM:,} characters. "
                'Look for some of them, or for a phrase in "quotation marks".'
            )
        return found


ALL = Filters()

_TEXT = """
    prompt LIKE {0} ESCAPE '\\'
    OR json_extract(body, '$.chosen.text') LIKE {0} ESCAPE '\\'
    OR json_extract(body, '$.rejected.text') LIKE {0} ESCAPE '\\'
    OR json_extract(body, '$.completion.text') LIKE {0} ESCAPE '\\'
    OR EXISTS (SELECT 1 FROM json_each(body, '$.completions') WHERE json_extract(value, '$.text') LIKE {0} ESCAPE '\\')
"""
_SOURCE = """
    json_extract(body, '$.chosen.source') = :source
    OR json_extract(body, '$.rejected.source') = :source
    OR json_extract(body, '$.completion.source') = :source
    OR EXISTS (SELECT 1 FROM json_each(body, '$.completions') WHERE json_extract(value, '$.source') = :source)
"""
LENGTH = """
    CASE kind
        WHEN 'prompt' THEN length(prompt)
        WHEN 'pair' THEN
            max(length(json_extract(body, '$.chosen.text')), length(json_extract(body, '$.rejected.text')))
        WHEN 'demonstration' THEN length(json_extract(body, '$.completion.text'))
        WHEN 'unpaired' THEN length(json_extract(body, '$.completion.text'))
        ELSE (SELECT max(length(json_extract(value, '$.text'))) FROM json_each(body, '$.completions'))
    END
"""
"""Characters of a record's longest answer."""

SOURCE_OF = """
    SELECT id, json_extract(body, '$.chosen.source') AS source FROM records WHERE id >= :from AND id < :to
    UNION ALL SELECT id, json_extract(body, '$.rejected.source') FROM records WHERE id >= :from AND id < :to
    UNION ALL SELECT id, json_extract(body, '$.completion.source') FROM records WHERE id >= :from AND id < :to
    UNION ALL SELECT records.id, json_extract(value, '$.source') FROM records, json_each(body, '$.completions')
    WHERE records.id >= :from AND records.id < :to
"""
"""Who or what wrote each answer of the records in a range of ids: (id, source)."""

EDITED = "SELECT record FROM edits WHERE dataset = :dataset AND undone = 0 AND after IS NOT NULL"
JUDGED = "SELECT record FROM verdicts WHERE dataset = :dataset AND state = 'live'"


def conditions(
    dataset: int, filters: Filters, *, low: int | None = None, high: int | None = None
) -> tuple[str, dict[str, Any]]:
    """SQL that holds for a row of ``records`` that the filters let through, and its parameters.

    Of the ids from ``low`` to below ``high`` alone, where given. They have to be given here: of two lower
    bounds, SQLite searches by the one that it comes to first, and looks at all rows from there on.
    """
    first, end = dataset << ID_BITS, (dataset + 1) << ID_BITS
    parts = ["id >= :low", "id < :high"]
    values: dict[str, Any] = {
        "dataset": dataset,
        "low": first if low is None else max(first, low),
        "high": end if high is None else min(end, high),
    }
    for name, part in (
        ("split", "split = :split"),
        ("kind", "kind = :kind"),
        ("source", f"({_SOURCE})"),
        ("shortest", f"{LENGTH} >= :shortest"),
        ("longest", f"{LENGTH} <= :longest"),
    ):
        if (value := getattr(filters, name)) is not None:
            parts.append(part)
            values[name] = value
    if filters.edited:
        parts.append(f"id IN ({EDITED})")
    if filters.judged is not None:
        parts.append(f"id {'' if filters.judged else 'NOT'} IN ({JUDGED})")
    for number, (term, _) in enumerate(filters.terms):
        # The quick pattern looks at the JSON as it lies there; only what passes is taken apart.
        parts.append(f"body LIKE :quick{number} ESCAPE '\\' AND ({_TEXT.format(f':text{number}')})")
        values[f"quick{number}"] = _pattern(json.dumps(term, ensure_ascii=False)[1:-1])
        values[f"text{number}"] = _pattern(term)
    return " AND ".join(parts), values


def _pattern(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
