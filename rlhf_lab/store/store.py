"""The project's database as everybody sees it: data sets, judgements, runs, events and curves."""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rlhf_lab.core.judgement import Judgement, QueueName
from rlhf_lab.core.records import AnyRecord, Split
from rlhf_lab.store.append import append_records
from rlhf_lab.store.browse import PAGE, Browse, Row
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.dataset_writer import DatasetWriter
from rlhf_lab.store.datasets import DatasetRow, Datasets
from rlhf_lab.store.edits import Change, Edits
from rlhf_lab.store.filters import ALL, Filters
from rlhf_lab.store.judgements import Judged, Judgements
from rlhf_lab.store.queues import Queues
from rlhf_lab.store.ranked import HowMany, RankedDataset, make_ranked
from rlhf_lab.store.run_index import Curve, RunIndex, RunRow
from rlhf_lab.store.scores import Scores
from rlhf_lab.store.search_index import remove_orphans

if TYPE_CHECKING:
    from rlhf_lab.core.events import AnyEvent
    from rlhf_lab.core.recipe import Place

_JUDGING_WAITS_MS = 120
"""A verdict waits a little longer for another process's batch than the window does for what it can ask again."""


class Store:
    """One connection. Use it from the thread that opened it; another thread opens its own.

    Every method raises `LabError` where the database is locked, full, read-only or damaged, and for a
    name that is not there. Writes are short transactions; what a method wrote is there when it returns.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._datasets = Datasets(connection)
        self._browse = Browse(connection)
        self._edits = Edits(connection)
        self._scores = Scores(connection)
        self._queues = Queues(connection)
        self._runs = RunIndex(connection)
        self._durable: Connection | None = None

    @classmethod
    def open(cls, path: Path, *, busy_ms: int = 5000) -> Self:
        """Open or create; an older database is backed up beside itself, then migrated; a newer one is refused.

        ``busy_ms``: how long a statement waits for another process's lock (the window: 50).
        """
        return cls(Connection(path, busy_ms))

    def close(self) -> None:
        """Close the connection."""
        if self._durable is not None:
            self._durable.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The database file, by which another thread opens its own."""
        return self._connection.path

    # Data sets

    def datasets(self) -> list[DatasetRow]:
        """All complete data sets, oldest first."""
        return self._datasets.all()

    def data_state(self, name: str) -> str:
        """Another one whenever the records of the data set may be others than before; "" where there is none."""
        return self._datasets.state(name)

    def new_dataset(
        self, name: str, format: str, kind: str, *, source: str = "", sha256: str = "", note: str = ""
    ) -> AbstractContextManager[DatasetWriter]:
        """A writer whose data set appears when the block is left normally, and leaves nothing otherwise.

        A name that is taken gets " (2)", and so on; ``writer.name`` says which it became.
        """
        return self._datasets.new(name, format, kind, source, sha256, note)

    def append(self, name: str, records: Sequence[AnyRecord]) -> list[int]:
        """Add records at the end of a data set, in one short transaction; their ids."""
        return append_records(self._connection, name, records)

    def records(self, name: str, split: Split | None = None) -> Iterator[AnyRecord]:
        """All records in order, read page by page."""
        return self._browse.records(name, split)

    def asking(self, name: str, prompts: Iterable[str]) -> "Iterator[Row]":
        """Records whose prompt's `text` is one of these, in order; no index helps, but only they are decoded."""
        return self._browse.asking(name, prompts)

    def page(self, name: str, after: int | None = None, limit: int = PAGE, filters: Filters = ALL) -> list[Row]:
        """Records that the filters let through and whose id is greater than ``after``."""
        return self._browse.page(name, after, limit, filters)

    def page_at(self, name: str, position: int, limit: int = PAGE, filters: Filters = ALL) -> list[Row]:
        """Of the records that the filters let through, those from the n-th one on (counted from 0).

        Every jump costs the same without filters, and with them where `search_ready`.
        """
        return self._browse.page_at(name, position, limit, filters)

    def count(self, name: str, filters: Filters = ALL) -> int:
        """How many records there are that the filters let through."""
        return self._browse.count(name, filters)

    def find(self, name: str, filters: Filters) -> "Iterator[array[int]]":
        """Ids of all records that the filters let through, in order, in parts: `rows` reads them, also elsewhere.

        Where `search_ready` all come at once, soon; else a part for each 20,000 records that were looked through.
        """
        return self._browse.find(name, filters)

    def sources(self, name: str) -> list[tuple[str, int]]:
        """Who or what wrote answers, and in how many records, most first; quick where `search_ready`."""
        return self._browse.sources(name)

    def build_search(
        self,
        name: str,
        step: Callable[[int, int], None] = lambda done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Make the index that filters use, in short steps; whether it is complete now (not where cancelled).

        It goes on where it was broken off, does nothing where it is ready, and writes nothing into the
        database: whoever else writes there need not wait. ``step(done, total)`` comes between steps.
        """
        return self._browse.build_search(name, step, cancelled)

    def search_ready(self, name: str) -> bool:
        """Whether filters are fast: the index is there, and few records have changed since."""
        return self._browse.search_ready(name)

    def rows(self, name: str, ids: Iterable[int]) -> list[Row]:
        """The records of these ids in this order; those that are removed are left out."""
        return self._browse.rows(name, ids)

    def record(self, name: str, record_id: int) -> AnyRecord:
        """One record; raises `LabError` where it was removed."""
        return self._browse.record(name, record_id)

    def edit(self, name: str, record_id: int, record: AnyRecord) -> Change | None:
        """Put another record in a record's place; None where it is the same. Drops the record's scores.

        The kind stays; so do the order and the number of answers that somebody has judged.
        """
        return self._edits.edit(name, record_id, record)

    def remove(self, name: str, record_ids: Iterable[int]) -> Change | None:
        """Remove records in one step; verdicts on them wait in case it is undone. None where none were there."""
        return self._edits.remove(name, record_ids)

    def undo_edit(self, name: str) -> Change | None:
        """Take back the newest edit or removal in a data set; None where there is none."""
        return self._edits.undo(name)

    def redo_edit(self, name: str) -> Change | None:
        """Do again what was undone last; None where there is nothing, or something was changed since."""
        return self._edits.redo(name)

    def edit_steps(self, name: str) -> tuple[int, int]:
        """How many steps can be undone, and how many redone."""
        return self._edits.steps(name)

    def problems(self, name: str, limit: int = 1000) -> tuple[list[tuple[int, str]], int]:
        """The first problems as (line, reason), and how many there were in all."""
        return self._datasets.problems(name, limit)

    def rename_dataset(self, name: str, new: str) -> None:
        """Give a data set another name."""
        self._datasets.rename(name, new)

    def delete_dataset(self, name: str) -> None:
        """Remove a data set; runs keep their own copy of what they were trained on."""
        self._datasets.delete(name)
        remove_orphans(self._connection)

    # Judgements

    @property
    def _judgements(self) -> Judgements:
        """On a connection of their own, opened when somebody first judges: each of its commits is synced to the disk."""
        if self._durable is None:
            self._durable = Connection(self.path, max(self._connection.busy_ms, _JUDGING_WAITS_MS), synchronous="FULL")
        return Judgements(self._durable)

    def judge(self, dataset: str, record_id: int, judgement: Judgement) -> int:
        """Store a verdict, on the disk when this returns; gives its number, which rises from verdict to verdict.

        It replaces what the same person said of the record before, unless it is a ``repeat``, and drops what
        that person could redo. A person not seen before is added. Waits up to 250 ms for another process.
        """
        return self._judgements.judge(dataset, record_id, judgement)

    def undo(self, who: str) -> Judged | None:
        """Take back this person's newest verdict, in whichever data set; what it had replaced counts again.

        Returns it as (data set, record id, judgement); None where there is nothing to undo.
        """
        return self._judgements.undo(who)

    def redo(self, who: str) -> Judged | None:
        """Bring back the verdict that this person undid last; None where there is none, or another was given since."""
        return self._judgements.redo(who)

    def annotators(self) -> list[str]:
        """The people who rank in this project, in the order in which they came."""
        return self._judgements.annotators()

    def add_annotator(self, name: str) -> None:
        """Add a person who ranks; one who is there already stays as they are."""
        self._judgements.add_annotator(name)

    def verdicts(self, dataset: str, who: str | None = None) -> Iterator[tuple[int, Judgement]]:
        """The verdicts that count, of one person or of all, as (record id, judgement) in the order in which they were given."""
        return self._judgements.verdicts(dataset, who)

    def verdict_count(self, dataset: str, who: str | None = None) -> int:
        """How many verdicts count, of one person or of all."""
        return self._judgements.count(dataset, who)

    def guidelines(self, dataset: str) -> str:
        """What the people who rank this data set are asked to look at; "" where nobody wrote it yet."""
        return self._judgements.guidelines(dataset)

    def set_guidelines(self, dataset: str, text: str) -> None:
        """Write the guidelines."""
        self._judgements.set_guidelines(dataset, text)

    def ranked_dataset(
        self, dataset: str, new_name: str, *, who: str | None = None, how_many: HowMany = "majority"
    ) -> RankedDataset:
        """Write the verdicts that count as a new data set: a pair for two answers, a ranking for more.

        "majority": one record for each record that was judged, by the mean rank of its answers. "each": one for
        each verdict, tagged with its annotator. Ties stay ties; both bad and skipped are left out and counted.
        """
        return make_ranked(self._connection, self._datasets, dataset, new_name, who, how_many)

    # Scores and queues

    def put_scores(self, dataset: str, model_key: str, batch: Iterable[tuple[int, Sequence[float]]]) -> int:
        """Keep what a reward model (the id of its run) gave each answer of records, in one short transaction.

        Returns how many were kept: a record that was removed or changed meanwhile is left out.
        """
        return self._scores.put(dataset, model_key, batch)

    def scores(self, dataset: str, model_key: str) -> Iterator[tuple[int, tuple[float, ...]]]:
        """All (record id, scores of its answers) of a model, by record."""
        return self._scores.of(dataset, model_key)

    def score_count(self, dataset: str, model_key: str) -> int:
        """How many records a model has scored."""
        return self._scores.count(dataset, model_key)

    def unscored(self, dataset: str, model_key: str, limit: int = PAGE, after: int | None = None) -> list[Row]:
        """Records with answers to compare that a model has not scored yet; ``after``: the last id of the page before."""
        return self._scores.unscored(dataset, model_key, limit, after)

    def queue(
        self, dataset: str, name: QueueName, who: str, *, model_key: str | None = None, limit: int = 50, seed: int = 0
    ) -> list[int]:
        """Ids of the records that this person should look at next, most urgent first.

        "unranked": not judged by them, shuffled by the seed. "least_sure": not judged by them, the two best
        answers closest in the model's scores. "disagrees": the model prefers another answer than people here
        do (than the data set, where nobody judged). "annotators": people here disagree. Those two come again
        until this person has judged them in that queue. "repeats": judged by this person some time ago, once.
        """
        return self._queues.queue(dataset, name, who, model_key, limit, seed)

    # Runs

    def add_run(self, run: str, stage: str, dir: str, config_json: str, created: float) -> None:
        """Index a run as "queued"; one that is there stays as it is."""
        self._runs.add(run, stage, dir, config_json, created)

    def runs(self, *, trashed: bool = False, stages: Collection[str] | None = None) -> list[RunRow]:
        """All runs, or those of these stages, oldest first; of the trash only where asked for, and then of it alone."""
        return self._runs.all(trashed, stages)

    def models_of_runs(self, newest: int) -> list[str]:
        """Which models that many of the newest runs were made with, each once, the newest first."""
        return self._runs.models(newest)

    def run_row(self, run: str) -> RunRow | None:
        """One run by its id; None where there is none outside of the trash."""
        return self._runs.row(run)

    def label_run(self, run: str, tags: Sequence[str], note: str | None) -> None:
        """Write what people say of a run; a note that is None is the one of its config."""
        self._runs.set_labels(run, tags, note)

    def set_run_trashed(self, run: str, when: float | None) -> None:
        """Hide a run from all lists, or with None show it again."""
        self._runs.set_trashed(run, when)

    def place_run(self, run: str, place: "Place | None") -> None:
        """Note which step of which recipe the run is."""
        self._runs.set_place(run, place.model_dump_json() if place is not None else None)

    def run_config(self, run: str) -> str:
        """The config of a run as the JSON that `add_run` got."""
        return self._runs.config(run)

    def set_run_config(self, run: str, config_json: str) -> None:
        """Keep the config of a run that is to go on further than was planned."""
        self._runs.set_config(run, config_json)

    def set_run_state(self, run: str, outcome: str, message: str = "") -> None:
        """Say what no event says: queued, interrupted, failed before it began."""
        self._runs.set_state(run, outcome, message)

    def delete_run(self, run: str) -> None:
        """Remove a run from the index (not its folder), for instance to read its log anew."""
        self._runs.delete(run)

    def record_events(self, run: str, batch: Sequence[tuple["AnyEvent | None", int]]) -> None:
        """Store events with the log offset behind each, in one transaction; events already there change nothing.

        ``None`` stands for a line of a kind that this version does not know. State, step and total of the
        run follow from the events.
        """
        self._runs.record(run, batch)

    def offset(self, run: str) -> int:
        """Where in the run's log to read on."""
        return self._runs.offset(run)

    def events(self, run: str, kinds: Iterable[str] | None = None) -> list["AnyEvent"]:
        """Events that count (none that a later attempt superseded), in order."""
        return self._runs.events(run, kinds)

    def metric_names(self, run: str) -> list[str]:
        """The metrics that a run has."""
        return self._runs.metric_names(run)

    def newest_values(self, run: str, names: Iterable[str]) -> dict[str, float]:
        """The last value of each metric that the run has; quick, however long its curves are."""
        return self._runs.newest(run, names)

    def run_seconds(self, run: str) -> float | None:
        """From its first event to its last; None with fewer than two."""
        return self._runs.seconds(run)

    def sketch(
        self, run: str, name: str, most: int = 2048, between: tuple[float, float] | None = None
    ) -> tuple[Curve, bool]:
        """A curve, or what it is between two steps, to be drawn at once; and whether it is the curve itself.

        One over more than ``most`` steps is told by the least and the greatest value of each 128 steps or more, its
        end by all values.
        """
        return self._runs.sketch(run, name, most, between)

    def means(self, run: str, name: str, most: int = 2048) -> Curve:
        """A curve; of one over more than ``most`` steps the mean of each of so many stretches, what is not finite aside.

        Reads all of it: a million steps take about half a second.
        """
        return self._runs.means(run, name, most)

    def curves(self, run: str, names: Iterable[str] | None = None) -> dict[str, Curve]:
        """Every metric (or the named ones) as (steps, values) that count; NaN and ±inf as they were."""
        return self._runs.curves(run, names)
