"""An index of one data set's words, lengths and sources, in a file of its own that can be made anew at any time.

It lies outside the database, so that building it (half a minute for a million pairs) holds up nobody who
writes there, deleting a data set deletes a file, and backups and migrations need not carry it. It is never
changed: records that were edited, added or brought back since it was built are looked at themselves.
"""

import sqlite3
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from rlhf_lab.core.errors import LabError
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.datasets import ids_of
from rlhf_lab.store.filters import LENGTH, Filters
from rlhf_lab.store.sqlite_words import in_words

FORMAT = 1
"""`PRAGMA user_version` of the index files; another number is another format, and made anew."""

BATCH = 2000
"""Records in one step: about 50 ms, in which Python's other threads run on."""

STALE = 5000
"""From so many records on that changed since, looking at each takes longer than it should."""

FOLDER = "search"
"""Beside the database."""
_TOKENIZER = "tokenize = 'unicode61 remove_diacritics 2'"

# detail=none: which records have a word, not where: half the time and a third of the size. A place is the
# record's id less the first one of its data set.
_TABLES = f"""
    CREATE TABLE built (created REAL NOT NULL, change INTEGER NOT NULL, next INTEGER NOT NULL, done INTEGER NOT NULL);
    CREATE VIRTUAL TABLE words USING fts5 (text, content = '', columnsize = 0, detail = none, {_TOKENIZER});
    CREATE TABLE facts (place INTEGER PRIMARY KEY, kind TEXT NOT NULL, split TEXT NOT NULL, length INTEGER NOT NULL);
    CREATE TABLE source_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE sources (source INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (source, place)) WITHOUT ROWID;
    PRAGMA user_version = {FORMAT};
"""
# Each record is taken apart once; what the index needs of it waits in a table in memory.
_PART = f"""
    CREATE TEMP TABLE part AS SELECT
        id - :low AS place, kind, split, coalesce({LENGTH}, 0) AS length,
        json_extract(body, '$.chosen.source') AS one,
        coalesce(json_extract(body, '$.rejected.source'), json_extract(body, '$.completion.source')) AS other,
        json_extract(body, '$.completions') AS several,
        prompt
        || char(10) || coalesce(json_extract(body, '$.chosen.text'), '')
        || char(10) || coalesce(json_extract(body, '$.rejected.text'), '')
        || char(10) || coalesce(json_extract(body, '$.completion.text'), '')
        || char(10) || coalesce((SELECT group_concat(json_extract(value, '$.text'), char(10))
                                 FROM json_each(body, '$.completions')), '') AS text
    FROM records WHERE id >= :from AND id < :to
"""
_SOURCES = """
    SELECT place, one AS source FROM part WHERE one <> ''
    UNION ALL SELECT place, other FROM part WHERE other <> ''
    UNION ALL SELECT place, json_extract(value, '$.source') FROM part, json_each(several)
    WHERE several IS NOT NULL AND json_extract(value, '$.source') <> ''
"""
_INDEX = (
    "INSERT INTO words (rowid, text) SELECT place, text FROM part",
    "INSERT INTO facts SELECT place, kind, split, length FROM part",
    f"INSERT OR IGNORE INTO source_names (name) SELECT DISTINCT source FROM ({_SOURCES})",
    "INSERT OR IGNORE INTO sources SELECT id, place FROM source_names JOIN "
    f"({_SOURCES}) ON source_names.name = source ORDER BY id, place",
    "DROP TABLE part",
)


@dataclass(frozen=True)
class _Dataset:
    """What an index has to belong to."""

    id: int
    created: float
    changes: int
    last: int


class SearchIndex:
    """The index of one data set, there or not."""

    def __init__(self, connection: Connection, dataset: int) -> None:
        self._connection = connection
        ((created, changes),) = connection.rows("SELECT created, changes FROM datasets WHERE id = ?", (dataset,))
        low, high = ids_of(dataset)
        ((last,),) = connection.rows("SELECT max(id) FROM records WHERE id >= ? AND id < ?", (low, high))
        self._dataset = _Dataset(dataset, created, changes, low - 1 if last is None else last)
        self._low = low
        self._path = connection.path.absolute().parent / FOLDER / f"{dataset}.sqlite"

    def ready(self) -> bool:
        """Whether it is complete, of this data set, and not too far behind it."""
        return self._change() is not None and len(self.changed()) < STALE

    def changed(self) -> "array[int]":
        """Ids of the records that were touched since it was built; some are removed."""
        rows = self._connection.rows(
            "SELECT record FROM touched WHERE record >= ? AND record < ? AND change > ? ORDER BY record LIMIT ?",
            (*ids_of(self._dataset.id), self._change() or 0, STALE),
        )
        return array("q", (record for (record,) in rows))

    def build(self, step: Callable[[int, int], None], cancelled: Callable[[], bool]) -> bool:
        """Go on building, or begin; see `rlhf_lab.store.store.Store.build_search`."""
        remove_orphans(self._connection)
        if self.ready():
            return True
        if self._change() is not None:
            self._path.unlink(missing_ok=True)
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            return self._go_on(step, cancelled)
        except LabError as error:
            if getattr(error.__cause__, "sqlite_errorname", "") not in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
                raise
            self._path.unlink()
            return self._go_on(step, cancelled)

    def _go_on(self, step: Callable[[int, int], None], cancelled: Callable[[], bool]) -> bool:
        total = self._dataset.last - self._low + 1
        with self._writing() as db:
            while (place := self._next_batch(db, total)) < total:
                step(place, total)
                if cancelled():
                    return False
            db.execute("PRAGMA synchronous = FULL")
            db.execute("UPDATE built SET done = 1")
            # A reader then needs no second file beside it.
            db.execute("PRAGMA busy_timeout = 0")
            with suppress(sqlite3.OperationalError):  # another process is building as well
                db.execute("PRAGMA journal_mode = DELETE")
        step(total, total)
        return True

    def places(self, filters: Filters) -> "array[int]":
        """Ids of the records that the filters of words, kinds, splits, lengths and sources may let through, in order."""
        tables, where, values = ["facts"], ["1"], dict[str, object]()
        for name, part in (
            ("split", "facts.split = :split"),
            ("kind", "facts.kind = :kind"),
            ("shortest", "facts.length >= :shortest"),
            ("longest", "facts.length <= :longest"),
        ):
            if (value := getattr(filters, name)) is not None:
                where.append(part)
                values[name] = value
        if filters.source is not None:
            where.append(
                "facts.place IN (SELECT place FROM sources WHERE source = "
                "(SELECT id FROM source_names WHERE name = :source))"
            )
            values["source"] = filters.source
        if match := _match(filters):
            tables.insert(0, "words")
            where += ["words MATCH :match", "facts.place = words.rowid"]
            values["match"] = match
        first = "words.rowid" if match else "facts.place"
        # With nothing but words to ask for, the facts need not be looked at.
        if match and len(where) == 3:
            tables, where = ["words"], ["words MATCH :match"]
        sql = f"SELECT {first} FROM {' CROSS JOIN '.join(tables)} WHERE {' AND '.join(where)} ORDER BY {first}"
        with self._reading() as db:
            return array("q", (self._low + place for (place,) in db.execute(sql, values)))

    def sources(self) -> list[tuple[str, int]]:
        """Every source and how many records have it, most first."""
        with self._reading() as db:
            return db.execute(
                "SELECT name, count(*) FROM sources JOIN source_names ON source_names.id = source "
                "GROUP BY source ORDER BY count(*) DESC, name"
            ).fetchall()

    def _change(self) -> int | None:
        """The data set's change at which it was built; None where it is not there, complete and of this data set."""
        if not self._path.is_file():
            return None
        try:
            with self._reading() as db:
                if db.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                    return None
                rows = db.execute("SELECT created, change, done FROM built").fetchall()
        except (LabError, sqlite3.OperationalError):
            return None  # damaged, or just being made: as good as none
        if not rows or rows[0][0] != self._dataset.created or not rows[0][2]:
            return None
        return int(rows[0][1])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with in_words(self._path), closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with (
            in_words(self._path),
            closing(sqlite3.connect(self._path.as_uri(), uri=True, timeout=30, isolation_level=None)) as db,
        ):
            self._path.chmod(0o600)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA temp_store = MEMORY")
            # BEGIN IMMEDIATE would lock out everybody who writes there, were it not attached read-only.
            db.execute("ATTACH ? AS lab", (f"{self._connection.path.absolute().as_uri()}?mode=ro",))
            self._begin(db)
            yield db

    def _begin(self, db: sqlite3.Connection) -> None:
        """The tables, unless they are there for this data set: then building goes on where it was broken off."""
        db.execute("BEGIN IMMEDIATE")
        with suppress(sqlite3.OperationalError):
            if db.execute("SELECT created FROM built").fetchall() == [(self._dataset.created,)]:
                db.execute("COMMIT")
                return
        for name in ("built", "words", "facts", "source_names", "sources"):
            db.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in _TABLES.split(";"):
            db.execute(statement)
        db.execute("INSERT INTO built VALUES (?, ?, 0, 0)", (self._dataset.created, self._dataset.changes))
        db.execute("COMMIT")

    def _next_batch(self, db: sqlite3.Connection, total: int) -> int:
        """Index the next records in one transaction (another process may build as well); where it is now."""
        db.execute("BEGIN IMMEDIATE")
        try:
            (place,) = db.execute("SELECT next FROM built").fetchone()
            if place < total:
                part = {"from": self._low + place, "to": self._low + place + BATCH, "low": self._low}
                db.execute(_PART, part)
                for statement in _INDEX:
                    db.execute(statement)
                place += BATCH
                db.execute("UPDATE built SET next = ?", (place,))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return int(place)


def remove_orphans(connection: Connection) -> None:
    """Delete the indexes of data sets that are gone."""
    known = {str(key) for (key,) in connection.rows("SELECT id FROM datasets WHERE owner IS NULL")}
    for path in (connection.path.parent / FOLDER).glob("*.sqlite*"):
        if path.name.partition(".")[0] not in known:
            with suppress(OSError):
                path.unlink()


def unsure(filters: Filters) -> bool:
    """Whether the index lets through too much: it knows words, not what stands between or beside them."""
    return any(
        quoted or not term.isalnum() or _unspaced(term) or len(_tokens(term)) != 1 for term, quoted in filters.terms
    )


def _match(filters: Filters) -> str:
    """The FTS5 query: each word, or the beginning of one; "" where no word can be looked up."""
    parts = []
    for term, _ in filters.terms:
        tokens = [] if _unspaced(term) else _tokens(term)
        parts += [f'"{token}"' for token in tokens[:-1]] + [f'"{token}" *' for token in tokens[-1:]]
    return " AND ".join(parts)


def _tokens(term: str) -> list[str]:
    """As the index cuts them: by its own tokenizer."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE VIRTUAL TABLE words USING fts5 (text, {_TOKENIZER})")
        db.execute("CREATE VIRTUAL TABLE tokens USING fts5vocab (words, instance)")
        db.execute("INSERT INTO words VALUES (?)", (term,))
        return [token for (token,) in db.execute("SELECT term FROM tokens ORDER BY offset")]


def _unspaced(term: str) -> bool:
    """Whether it is in a script that puts no spaces between words: the index then knows whole sentences only."""
    return any(
        "\u0e00" <= sign <= "\u0eff"
        or "\u1000" <= sign <= "\u109f"
        or "\u1780" <= sign <= "\u17ff"
        or "\u2e80" <= sign <= "\u9fff"
        or "\uf900" <= sign <= "\ufaff"
        or "\U00020000" <= sign <= "\U0003ffff"
        for sign in term
    )
