"""The project's database. See `rlhf_lab.store.store.Store`."""

from rlhf_lab.store.dataset_writer import DatasetWriter
from rlhf_lab.store.datasets import DatasetRow, Row
from rlhf_lab.store.run_index import Curve, RunRow
from rlhf_lab.store.store import Store

__all__ = ["Curve", "DatasetRow", "DatasetWriter", "Row", "RunRow", "Store"]
