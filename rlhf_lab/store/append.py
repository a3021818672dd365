"""Adding records to a data set that everybody sees already, such as answers that models write one after the other."""

from collections.abc import Sequence

from rlhf_lab.core.records import AnyRecord, dump_record
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.datasets import dataset_id, ids_of


def append_records(connection: Connection, name: str, records: Sequence[AnyRecord]) -> list[int]:
    """See `rlhf_lab.store.store.Store.append`."""
    dataset = dataset_id(connection, name)
    low, high = ids_of(dataset)
    with connection.write() as db:
        # The place of a record that was removed stays free: it may come back.
        (last,) = db.execute(
            "SELECT max(id) FROM (SELECT :low - 1 AS id "
            "UNION ALL SELECT max(id) FROM records WHERE id >= :low AND id < :high "
            "UNION ALL SELECT max(record) FROM touched WHERE record >= :low AND record < :high)",
            {"low": low, "high": high},
        ).fetchone()
        ids = [last + 1 + n for n in range(len(records))]
        db.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
            (
                (key, one.kind, one.split, one.prompt.text, dump_record(one).decode())
                for key, one in zip(ids, records, strict=True)
            ),
        )
        train = sum(one.split == "train" for one in records)
        (change, kind) = db.execute(
            "UPDATE datasets SET changes = changes + 1, records = records + ?, train = train + ?, heldout = heldout + ? "
            "WHERE id = ? RETURNING changes, kind",
            (len(records), train, len(records) - train, dataset),
        ).fetchone()
        if any(one.kind != kind for one in records):
            db.execute("UPDATE datasets SET kind = 'mixed' WHERE id = ?", (dataset,))
        db.executemany("INSERT OR REPLACE INTO touched VALUES (?, ?)", ((key, change) for key in ids))
    return ids
