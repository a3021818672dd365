"""Which format a file has: judged by the columns and types of its first rows, never by its name."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Tag
from rlhf_lab.data.build import Builder, said_of
from rlhf_lab.data.families.all import FAMILIES, NAMES
from rlhf_lab.data.families.family import AnyKind, Family
from rlhf_lab.data.families.lab_table import LAB_TABLE
from rlhf_lab.data.families.native import NATIVE
from rlhf_lab.data.json_text import JsonFlaw, JsonText
from rlhf_lab.data.lab_column import LAB, restored
from rlhf_lab.data.mapping import Mapping, NeedsMapping, guessed
from rlhf_lab.data.rows import Container, Line, Row, container_of
from rlhf_lab.data.source import BreaksOff, Source

_ABOUT: dict[str, str] = {
    **dict.fromkeys(("source", "dataset", "domain"), "source"),
    **dict.fromkeys(("language", "lang"), "language"),
    **dict.fromkeys(("annotator", "annotator_id", "worker", "worker_id"), "annotator"),
}
"""Columns that say something of a record, whatever its format, and the tag that they become."""
_WHOLE = {NATIVE.name, LAB_TABLE.name}
"""Formats whose rows say all of a record themselves."""
_LONGEST_TAG = 200
_ROWS_LOOKED_AT = 200
MOST_LOOKED_AT = 16 * 2**20
"""Bytes of content that detecting or showing a file holds at most, and one record."""
_COLUMNS_SHOWN = 20


@dataclass(frozen=True)
class Detected:
    """What a file is, as the import dialog says it, and how its rows become records.

    ``rating_choices``: the ratings that answers have, ``rating`` the one that counts.
    ``in_json``: columns whose cells hold lists or objects as JSON text.
    """

    family: Family
    container: Container
    columns: tuple[str, ...]
    mapping: Mapping = field(default_factory=Mapping)
    rating_choices: tuple[str, ...] = ()
    rating: str = ""
    in_json: tuple[str, ...] = ()

    @property
    def format(self) -> str:
        """Format and container in words."""
        return f"{self.family.name} ({self.container.name})"

    @property
    def unused(self) -> tuple[str, ...]:
        """Columns that no record will hold."""
        if self.mapping.columns:
            used = {column.partition(".")[0] for column in self.mapping.columns.values()}
            return tuple(name for name in self.columns if name not in used | {*self.mapping.columns.values()})
        return tuple(name for name in self.columns if name not in {*self.family.columns, *_ABOUT, LAB})

    @property
    def roles(self) -> dict[str, str]:
        """The column of each role, to begin a mapping with; empty where a format is more than its columns."""
        if self.mapping.columns:
            return dict(self.mapping.columns)
        if not self.family.flat:
            return {}
        return dict(guessed(name for name in self.columns if name in self.family.columns or name in _ABOUT).columns)

    @property
    def note(self) -> str:
        """What the person should know: about this kind of data, and about columns that are left out."""
        several = len(self.rating_choices) > 1
        rating = (
            f"Answers are ranked by {self.rating!r}; {len(self.rating_choices)} ratings are there." if several else ""
        )
        left_out = f"Columns that are not used: {_listed(self.unused)}." if self.unused else ""
        return " ".join(filter(None, (self.family.note, rating, left_out)))

    def rows(self, source: Source) -> Iterator[Line]:
        """The rows as the family reads them."""
        lines: Iterator[Line] = self.container.read(source)
        if self.in_json:
            parser = JsonText()
            lines = (
                line if line.flaw else replace(line, row=_decoded(line.row, self.in_json, parser)) for line in lines
            )
        return lines if self.family.together is None else _together(lines, self.family.together)

    def read(self, row: Row, build: Builder) -> Sequence[AnyKind]:
        """The records of a row; raises `Unreadable`."""
        named = row
        if self.mapping.columns:
            named = _named(row, self.mapping)
            system = named.get("system")
            build.system = system if isinstance(system, str) else ""
        found = self.family.read(named, build)
        records = found if isinstance(found, Sequence) else (found,)
        if self.family.name in _WHOLE:
            return records
        if LAB in row:
            return [restored(record, row[LAB]) for record in records]
        if _ABOUT.keys().isdisjoint(named):
            return records
        about = _about(named)
        return [record.model_copy(update={"tags": {**about, **record.tags}}) for record in records]


def detect(source: Source, mapping: Mapping | None = None) -> Detected:
    """The format that fits most of the first rows, under the names that a mapping gives their columns.

    Raises `NeedsMapping`, with the columns, where no format fits any.
    """
    mapping = mapping or Mapping()
    if missing := mapping.missing():
        raise LabError(f"{source.name}: {missing}")
    container = container_of(source, NAMES)
    seen = _first(source, container)
    rows = [line.row for line in seen if not line.flaw]
    columns = tuple(dict.fromkeys((*container.header, *(name for row in rows for name in row))))
    mapping = _with_columns(mapping, columns, source)
    if not rows and (not columns or NAMES.keys() & {name.lower() for name in columns}):
        first = f" (line {seen[0].number}: {seen[0].flaw})" if seen else ""
        raise LabError(f"{source.name} holds no record that could be read{first}. Nothing of it was imported.")
    best = _best(rows, container, mapping)
    if best is None:
        asked = "the roles given to them fit" if mapping.columns else "which fit"
        raise NeedsMapping(
            f"{source.name} has the columns {_listed(columns)}, {asked} no format that the lab knows. "
            f"Say which column is which, or rename them to one of: {expected_columns()}.",
            columns,
            rows[:3],
        )
    family, in_json = best
    if family.unclear is not None:
        shown = [_decoded(row, in_json, JsonText()) for row in rows]
        why = family.unclear([_named(row, mapping) for row in shown] if mapping.columns else shown)
        if why:
            raise NeedsMapping(
                f"{source.name}: {why} Say what each verdict means: a (the first answer is better), b or tie.",
                columns,
                rows[:3],
            )
    found = Detected(family, container, columns, mapping, in_json=in_json)
    return found if family.ratings is None else _with_ratings(found, rows)


def _with_columns(mapping: Mapping, columns: Sequence[str], source: Source) -> Mapping:
    """Whoever says what verdicts mean, and no more, means the columns that are named like such columns."""
    if not mapping.verdicts or mapping.columns:
        return mapping
    found = guessed(columns).columns
    roles = {
        role: column for role, column in found.items() if role not in ("chosen", "rejected", "completion", "label")
    }
    if not {"prompt", "response_a", "response_b", "preference"} <= roles.keys():
        raise LabError(
            f"{source.name}: it is not clear which columns hold the question, the two answers and the verdict. "
            "Say so too, as prompt, response_a, response_b and preference."
        )
    return replace(mapping, columns=roles)


def expected_columns() -> str:
    """What a person can name columns, by what the data is for."""
    return (
        "prompt, chosen, rejected (pairs); question, response_a, response_b, winner (pairs by verdict); "
        "prompt, completion or instruction, input, output or messages (demonstrations); "
        "prompt, completion, label (liked or not); prompt, completions (answers to rank); prompt alone (prompts)"
    )


def _first(source: Source, container: Container) -> list[Line]:
    seen: list[Line] = []
    try:
        for line in islice(container.read(source), _ROWS_LOOKED_AT):
            seen.append(line)
            if not line.flaw and source.unpacked_position > MOST_LOOKED_AT:
                break
    except BreaksOff as broken:
        seen.append(Line(broken.line, {}, str(broken)))
    return seen


def _best(rows: Sequence[Row], container: Container, mapping: Mapping) -> tuple[Family, tuple[str, ...]] | None:
    """The family that fits most rows, as they are or with the JSON in their cells read."""
    in_json = _json_columns(rows)
    parser = JsonText()
    ways: list[tuple[tuple[str, ...], list[Row]]] = [((), list(rows))]
    own = next((family for family in FAMILIES if family.own_cells and rows and all(map(family.matches, rows))), None)
    if own is not None:
        return own, ()
    if in_json:
        # Tables can hold lists only as text; elsewhere, text that looks like JSON is more likely an answer.
        decoded = [_decoded(row, in_json, parser) for row in rows]
        ways.insert(0 if container.header else 1, (in_json, decoded))
    best: tuple[int, Family, tuple[str, ...]] | None = None
    for decoding, shown in ways:
        named = [_named(row, mapping) for row in shown] if mapping.columns else shown
        votes = {family.name: (sum(map(family.matches, named)), family) for family in FAMILIES}
        count, family = max(votes.values(), key=lambda vote: vote[0])
        for fewer, narrower in votes.values():
            if family.name in narrower.instead_of and 2 * fewer >= count > 0:
                family = narrower
        if count > (best[0] if best else 0):
            best = (count, family, decoding)
    return None if best is None else best[1:]


def _with_ratings(found: Detected, rows: Sequence[Row]) -> Detected:
    assert found.family.ratings is not None
    parser = JsonText()
    shown = [_decoded(row, found.in_json, parser) for row in rows]
    choices = tuple(dict.fromkeys(name for row in shown for name in found.family.ratings(row)))
    wanted = found.mapping.rating
    if wanted is not None and wanted not in choices:
        raise LabError(f"There is no rating named {wanted!r}. There are: {', '.join(choices)}.")
    return replace(found, rating_choices=choices, rating=wanted or next(iter(choices), ""))


def _json_columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """Columns of text nine tenths of whose cells are JSON lists or objects: a few may be broken."""
    parser = JsonText()
    found = []
    for name in dict.fromkeys(name for row in rows for name in row):
        cells = [row[name] for row in rows if row.get(name) not in (None, "")]
        if cells and all(isinstance(cell, str) for cell in cells):
            read = sum(not isinstance(_value(cell, parser), str) for cell in cells)
            if read and read >= 0.9 * len(cells):
                found.append(name)
    return tuple(found)


def _decoded(row: Row, columns: Sequence[str], parser: JsonText) -> Row:
    return {**row, **{name: _value(row[name], parser) for name in columns if isinstance(row.get(name), str)}}


def _value(cell: str, parser: JsonText) -> Any:
    """What a cell holds as JSON where that is a list or an object; else the text itself."""
    if not cell.lstrip().startswith(("[", "{")):
        return cell
    try:
        return parser.read(cell)
    except JsonFlaw:
        return cell


def _together(lines: Iterator[Line], key: Callable[[Row], Hashable]) -> Iterator[Line]:
    """Rows that follow each other with the same key as one; those that cannot be read stand for themselves."""
    begun: list[Line] = []
    of: Hashable = None
    for line in lines:
        if line.flaw:
            yield line
            continue
        found = key(line.row)
        if begun and (found != of or len(begun) >= _ROWS_LOOKED_AT):
            yield Line(begun[0].number, {"rows": [one.row for one in begun]})
            begun = []
        begun.append(line)
        of = found
    if begun:
        yield Line(begun[0].number, {"rows": [one.row for one in begun]})


def _named(row: Row, mapping: Mapping) -> Row:
    named = mapping.row(row)
    if mapping.verdicts and "preference" in named:
        named["preference"] = mapping.verdict(named["preference"])
    return named


def _about(row: Row) -> dict[str, Tag]:
    found: dict[str, Tag] = {}
    for column, tag in _ABOUT.items():
        said = said_of(row.get(column))
        if 0 < len(said) <= _LONGEST_TAG:
            found.setdefault(tag, said)
    return found


def _listed(columns: tuple[str, ...]) -> str:
    shown = ", ".join(repr(name[:40]) for name in columns[:_COLUMNS_SHOWN])
    more = len(columns) - _COLUMNS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown or "(none)"
