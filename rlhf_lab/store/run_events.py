"""Writing a run's events, and what follows from each: its metrics, their pyramid, and where the run stands."""

import math
import sqlite3
from collections.abc import Sequence

from rlhf_lab.core.events import AnyEvent, Finished, Metrics, Progress, Resumed, Started, dump_event
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.schema import STEP_BITS


def record(connection: Connection, run: int, batch: Sequence[tuple[AnyEvent | None, int]]) -> None:
    """See `rlhf_lab.store.store.Store.record_events`."""
    with connection.write() as db:
        metric_ids = _metric_ids(db, [event for event, _ in batch if isinstance(event, Metrics)])
        for event, _ in batch:
            # What is there already has had its effect; the log may be read again from any place.
            if event is not None and _insert(db, run, event):
                _apply(db, run, event, metric_ids)
        db.execute("UPDATE runs SET log_offset = max(log_offset, ?) WHERE id = ?", (max(end for _, end in batch), run))


def _metric_ids(db: sqlite3.Connection, events: list[Metrics]) -> dict[str, int]:
    names = {name for event in events for name in event.values}
    if not names:
        return {}
    db.executemany("INSERT OR IGNORE INTO metric_names (name) VALUES (?)", [(name,) for name in sorted(names)])
    return {name: key for key, name in db.execute("SELECT id, name FROM metric_names")}


def _insert(db: sqlite3.Connection, run: int, event: AnyEvent) -> bool:
    cursor = db.execute(
        "INSERT OR IGNORE INTO events (run, attempt, seq, step, kind, body) VALUES (?, ?, ?, ?, ?, ?)",
        (run, event.attempt, event.seq, event.step, event.kind, dump_event(event).decode()),
    )
    return cursor.rowcount == 1


def _apply(db: sqlite3.Connection, run: int, event: AnyEvent, metric_ids: dict[str, int]) -> None:
    """What an event changes besides being there."""
    if isinstance(event, Metrics):
        rows = [
            (run, metric_ids[name], event.step, event.attempt, *_value_and_status(value))
            for name, value in event.values.items()
        ]
        db.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.executemany(
            "INSERT INTO metric_blocks VALUES (?1, ?2, ?3, ?4, ?4) "
            "ON CONFLICT DO UPDATE SET low = min(low, excluded.low), high = max(high, excluded.high)",
            [(run, row[1], event.step >> STEP_BITS, row[4]) for row in rows if row[4] is not None],
        )
    elif isinstance(event, Progress):
        db.execute("UPDATE runs SET step = ?, total = ? WHERE id = ?", (event.done, event.total, run))
    elif isinstance(event, Finished):
        db.execute("UPDATE runs SET outcome = ?, message = ? WHERE id = ?", (event.outcome, event.message, run))
    elif isinstance(event, Started | Resumed):
        if isinstance(event, Resumed):
            _supersede(db, run, event)
        db.execute(
            "UPDATE runs SET outcome = 'running', message = '', step = ?, total = coalesce(nullif(?, 0), total) WHERE id = ?",
            (event.step, event.total_steps, run),
        )


def _supersede(db: sqlite3.Connection, run: int, resumed: Resumed) -> None:
    """As `rlhf_lab.core.events.superseded_after` does it for a list."""
    db.execute("DELETE FROM metrics WHERE run = ? AND step > ?", (run, resumed.step))
    block = resumed.step >> STEP_BITS
    db.execute("DELETE FROM metric_blocks WHERE run = ? AND block >= ?", (run, block))
    db.execute(
        "INSERT INTO metric_blocks SELECT run, metric, ?2, min(value), max(value) FROM metrics "
        "WHERE run = ?1 AND step >= ?3 AND value IS NOT NULL GROUP BY metric",
        (run, block, block << STEP_BITS),
    )
    db.execute(
        "UPDATE events SET superseded = 1 WHERE run = ? AND (step > ? OR kind = 'finished') "
        "AND (attempt < ? OR (attempt = ? AND seq < ?))",
        (run, resumed.step, resumed.attempt, resumed.attempt, resumed.seq),
    )


def _value_and_status(value: float) -> tuple[float | None, str | None]:
    if math.isfinite(value):
        return value, None
    return None, str(value)
