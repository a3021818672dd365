"""Where the pairs that a reward model gets wrong lie in the data set now, so that people can judge them. No Qt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlhf_lab.core.diagnosis import WorstPair
from rlhf_lab.core.judgement import answers_of
from rlhf_lab.core.records import Prompt
from rlhf_lab.gui.models.diagnosis import as_pair

if TYPE_CHECKING:
    from rlhf_lab.store import Row, Store


@dataclass(frozen=True)
class Located:
    """Ids of records in the order of the pairs; ``missing``: pairs whose record was changed or removed meanwhile."""

    dataset: str
    records: tuple[int, ...]
    missing: int


def locate(store: "Store", dataset: str, pairs: Sequence[WorstPair]) -> Located:
    """By the ids that the run noted; by their words where the data set was edited or imported again since.

    A pair that was drawn from a ranking is found as that ranking.
    """
    noted = {row.id: row for row in store.rows(dataset, {pair.record for pair in pairs if pair.record is not None})}
    astray = {pair.prompt for pair in pairs if not _holds(noted.get(pair.record), pair)}
    by_prompt: dict[str, list[Row]] = {}
    for row in store.asking(dataset, astray) if astray else ():
        by_prompt.setdefault(row.record.prompt.text, []).append(row)
    found: dict[int, None] = {}
    missing = 0
    for pair in pairs:
        if pair.record is not None and _holds(noted.get(pair.record), pair):
            found[pair.record] = None
            continue
        holding = [row.id for row in by_prompt.get(pair.prompt, ()) if _holds(row, pair)]
        missing += not holding
        found.update(dict.fromkeys([record for record in holding if record not in found][:1]))
    return Located(dataset, tuple(found), missing)


def asked_in(store: "Store", dataset: str, pair: WorstPair) -> Prompt:
    """The pair's prompt with all its turns; where it is not in the data set any more, its text as a single turn."""
    rows = store.asking(dataset, [pair.prompt])
    return next((row.record.prompt for row in rows if _holds(row, pair)), as_pair(pair).prompt)


def _holds(row: "Row | None", pair: WorstPair) -> bool:
    if row is None or row.record.prompt.text != pair.prompt:
        return False
    return {pair.chosen, pair.rejected} <= {answer.text for answer in answers_of(row.record)}
