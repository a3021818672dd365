"""The project's database. See `rlhf_lab.store.store.Store`."""

from rlhf_lab.store.browse import Row
from rlhf_lab.store.dataset_writer import DatasetWriter
from rlhf_lab.store.datasets import DatasetRow
from rlhf_lab.store.edits import Change
from rlhf_lab.store.filters import Filters
from rlhf_lab.store.judgements import Judged
from rlhf_lab.store.ranked import RankedDataset
from rlhf_lab.store.run_index import Curve, RunRow
from rlhf_lab.store.store import Store

__all__ = [
    "Change",
    "Curve",
    "DatasetRow",
    "DatasetWriter",
    "Filters",
    "Judged",
    "RankedDataset",
    "Row",
    "RunRow",
    "Store",
]
