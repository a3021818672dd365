"""Runs, their events and their curves in the database: an index of each run's ``events.jsonl`` that can be rebuilt."""

import json
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlhf_lab.core.errors import LabError
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.schema import STEP_BITS

if TYPE_CHECKING:
    from rlhf_lab.core.events import AnyEvent
    from rlhf_lab.core.recipe import Place

Curve = tuple[list[int], list[float]]
"""Steps in rising order, and the values at them."""
_LAST = 2**62
_ROW = (
    "SELECT run, stage, outcome, step, total, message, created, dir, coalesce(config ->> 'dataset', ''), tags, "
    "coalesce(note, config ->> 'note', ''), trashed, place FROM runs"
)


@dataclass(frozen=True)
class RunRow:
    """One run as the Runs pane lists it; ``outcome`` is done, stopped, failed, or queued, running, interrupted."""

    run: str
    stage: str
    outcome: str
    step: int
    total: int
    message: str
    created: float
    dir: str
    dataset: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    trashed: float | None = None
    """When it was put into the trash."""
    place: "Place | None" = None
    """Which step of which recipe it is."""


class RunIndex:
    """Queries on runs; see `rlhf_lab.store.store.Store` for what each promises. Where there are none, no event is imported."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, run: str, stage: str, dir: str, config_json: str, created: float) -> None:
        with self._connection.write() as db:
            db.execute(
                "INSERT INTO runs (run, stage, dir, config, created, outcome) VALUES (?, ?, ?, ?, ?, 'queued') "
                "ON CONFLICT (run) DO NOTHING",
                (run, stage, dir, config_json, created),
            )

    def all(self, trashed: bool, stages: Collection[str] | None) -> list[RunRow]:
        which, values = f"trashed IS {'NOT ' if trashed else ''}NULL", tuple(stages or ())
        if stages is not None:
            which += f" AND stage IN ({', '.join('?' * len(values))})"
        return [_row(*row) for row in self._connection.rows(f"{_ROW} WHERE {which} ORDER BY created, id", values)]

    def models(self, newest: int) -> list[str]:
        sql = "SELECT coalesce(config ->> 'model', '') FROM runs WHERE trashed IS NULL ORDER BY created DESC, id DESC LIMIT ?"
        return [str(model) for model in dict.fromkeys(row[0] for row in self._connection.rows(sql, (newest,))) if model]

    def row(self, run: str) -> RunRow | None:
        rows = self._connection.rows(f"{_ROW} WHERE trashed IS NULL AND run = ?", (run,))
        return _row(*rows[0]) if rows else None

    def set_labels(self, run: str, tags: Sequence[str], note: str | None) -> None:
        key = self._id(run)
        with self._connection.write() as db:
            db.execute(
                "UPDATE runs SET tags = ?, note = ? WHERE id = ?",
                (json.dumps(list(tags), ensure_ascii=False), note, key),
            )

    def set_trashed(self, run: str, when: float | None) -> None:
        key = self._id(run)
        with self._connection.write() as db:
            db.execute("UPDATE runs SET trashed = ? WHERE id = ?", (when, key))

    def set_place(self, run: str, place_json: str | None) -> None:
        key = self._id(run)
        with self._connection.write() as db:
            db.execute("UPDATE runs SET place = ? WHERE id = ?", (place_json, key))

    def config(self, run: str) -> str:
        key = self._id(run)
        return str(self._connection.rows("SELECT config FROM runs WHERE id = ?", (key,))[0][0])

    def set_config(self, run: str, config_json: str) -> None:
        key = self._id(run)
        with self._connection.write() as db:
            db.execute("UPDATE runs SET config = ? WHERE id = ?", (config_json, key))

    def set_state(self, run: str, outcome: str, message: str) -> None:
        key = self._id(run)
        with self._connection.write() as db:
            db.execute("UPDATE runs SET outcome = ?, message = ? WHERE id = ?", (outcome, message, key))

    def delete(self, run: str) -> None:
        key = self._id(run)
        with self._connection.write() as db:
            db.execute("DELETE FROM events WHERE run = ?", (key,))
            db.execute("DELETE FROM metrics WHERE run = ?", (key,))
            db.execute("DELETE FROM metric_blocks WHERE run = ?", (key,))
            db.execute("DELETE FROM runs WHERE id = ?", (key,))

    def offset(self, run: str) -> int:
        return int(self._connection.rows("SELECT log_offset FROM runs WHERE id = ?", (self._id(run),))[0][0])

    def record(self, run: str, batch: Sequence[tuple["AnyEvent | None", int]]) -> None:
        if not batch:
            return
        from rlhf_lab.store.run_events import record

        record(self._connection, self._id(run), batch)

    def events(self, run: str, kinds: Iterable[str] | None) -> list["AnyEvent"]:
        from rlhf_lab.core.events import load_event

        key = self._id(run)
        if kinds is None:
            where, wanted = "", []
        else:
            wanted = list(kinds)
            where = f"AND kind IN ({', '.join('?' * len(wanted))})"
        rows = self._connection.rows(
            f"SELECT body FROM events WHERE run = ? AND NOT superseded {where} ORDER BY attempt, seq", [key, *wanted]
        )
        found = (load_event(body) for (body,) in rows)
        return [event for event in found if event is not None]

    def curves(self, run: str, names: Iterable[str] | None) -> dict[str, Curve]:
        key = self._id(run)
        ids = {name: metric for metric, name in self._connection.rows("SELECT id, name FROM metric_names")}
        wanted = sorted(ids) if names is None else [name for name in names if name in ids]
        found = {name: self._curve(key, ids[name]) for name in wanted}
        return {name: curve for name, curve in found.items() if curve[0]}

    def metric_names(self, run: str) -> list[str]:
        # Skips from metric to metric by the primary key: a run may have a million rows of each.
        key = self._id(run)
        rows = self._connection.rows(
            "SELECT name FROM metric_names AS n WHERE EXISTS (SELECT 1 FROM metrics WHERE run = ? AND metric = n.id) "
            "ORDER BY name",
            (key,),
        )
        return [str(name) for (name,) in rows]

    def newest(self, run: str, names: Iterable[str]) -> dict[str, float]:
        key, found = self._id(run), {}
        for name in names:
            rows = self._connection.rows(
                "SELECT value, status FROM metrics WHERE run = ? AND metric = (SELECT id FROM metric_names WHERE name = ?) "
                "ORDER BY step DESC, attempt DESC LIMIT 1",
                (key, name),
            )
            if rows:
                value, status = rows[0]
                found[name] = float(value if status is None else status)
        return found

    def seconds(self, run: str) -> float | None:
        key, times = self._id(run), []
        for order in ("attempt, seq", "attempt DESC, seq DESC"):
            rows = self._connection.rows(
                f"SELECT body ->> 'time' FROM events WHERE run = ? ORDER BY {order} LIMIT 1", (key,)
            )
            times += [float(time) for (time,) in rows if time]
        return times[1] - times[0] if len(times) == 2 else None

    def sketch(self, run: str, name: str, most: int, between: tuple[float, float] | None) -> tuple[Curve, bool]:
        key = self._id(run)
        ids = self._connection.rows("SELECT id FROM metric_names WHERE name = ?", (name,))
        if not ids:
            return ([], []), True
        metric = int(ids[0][0])
        low, high = (math.floor(between[0]), math.ceil(between[1])) if between else (0, _LAST)
        where, of = "FROM metrics WHERE run = ? AND metric = ? AND step BETWEEN ? AND ?", (key, metric, low, high)
        first = self._connection.rows(f"SELECT step {where} ORDER BY step LIMIT 1", of)
        last = self._connection.rows(f"SELECT step {where} ORDER BY step DESC LIMIT 1", of)
        if not first or last[0][0] - first[0][0] <= most:
            return self._curve(key, metric, low, high), True
        span = last[0][0] - first[0][0]
        bits = STEP_BITS + max(0, (span >> STEP_BITS).bit_length() - (most // 2).bit_length())
        newest, half = last[0][0] >> bits, 1 << (bits - 1)
        rows = self._connection.rows(
            "SELECT block >> ?1 << ?2, min(low), max(high) FROM metric_blocks WHERE run = ?3 AND metric = ?4 "
            "AND block >= ?5 AND block < ?6 GROUP BY 1 ORDER BY 1",
            (bits - STEP_BITS, bits, key, metric, first[0][0] >> STEP_BITS, newest << (bits - STEP_BITS)),
        )
        steps, values = [0] * (2 * len(rows)), [0.0] * (2 * len(rows))
        if rows:
            steps[::2], values[::2], values[1::2] = zip(*rows, strict=True)
            steps[1::2] = [step + half for step in steps[::2]]
        tail_steps, tail_values = self._curve(key, metric, newest << bits, high)
        return (steps + tail_steps, values + tail_values), False

    def means(self, run: str, name: str, most: int) -> Curve:
        key = self._id(run)
        of = (key, name)
        where = "FROM metrics WHERE run = ? AND metric = (SELECT id FROM metric_names WHERE name = ?)"
        [(first, last)] = self._connection.rows(f"SELECT min(step), max(step) {where}", of)
        if first is None or last - first <= most:
            return self.curves(run, [name]).get(name, ([], []))
        rows = self._connection.rows(
            f"SELECT CAST(round(avg(step)) AS INTEGER), avg(value) {where} AND value IS NOT NULL GROUP BY step / ? ORDER BY 1",
            (*of, -(-(last - first) // most)),
        )
        return [int(step) for step, _ in rows], [float(value) for _, value in rows]

    def _curve(self, run: int, metric: int, begin: int = 0, end: int = _LAST) -> Curve:
        rows = self._connection.rows(
            "SELECT step, value, status FROM metrics WHERE run = ? AND metric = ? AND step BETWEEN ? AND ? "
            "ORDER BY step, attempt",
            (run, metric, begin, end),
        )
        # A later attempt may look again at the step that it resumed from: the later look counts.
        values = {step: value if status is None else float(status) for step, value, status in rows}
        return list(values), list(values.values())

    def _id(self, run: str) -> int:
        rows = self._connection.rows("SELECT id FROM runs WHERE run = ?", (run,))
        if not rows:
            raise LabError(
                f"There is no run {run!r} in this project's index. `rlhf-lab reindex` reads the run folders anew."
            )
        return int(rows[0][0])


def _row(
    run: str,
    stage: str,
    outcome: str,
    step: int,
    total: int,
    message: str,
    created: float,
    dir: str,
    dataset: str,
    tags: str,
    note: str,
    trashed: float | None,
    place: str | None,
) -> RunRow:
    """As the table has it; tags and place are JSON there."""
    return RunRow(
        run,
        stage,
        outcome,
        step,
        total,
        message,
        created,
        dir,
        dataset,
        tuple(json.loads(tags)),
        note,
        trashed,
        _place(place) if place else None,
    )


def _place(text: str) -> "Place | None":
    """None where another version, or a stranger, wrote what is no place: that is not worth a run."""
    from rlhf_lab.core.recipe import Place

    try:
        return Place.model_validate_json(text)
    except ValueError:
        return None
