"""Exporting as a task of the window: the formats that a person can choose, and the work in the data process."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_lab.core.records import Split
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.data_process import DataProcess
from rlhf_lab.gui.widgets.plain_text import one_line

if TYPE_CHECKING:
    from rlhf_lab.data.export import Form
    from rlhf_lab.store import Store


_EXTRA = (
    "What this format has no place for (tags, sources, splits) goes into a column “lab”, which other tools ignore. "
    "Records that it cannot hold, such as ties, are left out and counted."
)


@dataclass(frozen=True)
class FormWords:
    """A file format in words. ``formulas``: a spreadsheet may open it."""

    form: "Form"
    title: str
    what: str
    ending: str
    about: str = ""
    formulas: bool = False


FORMS: tuple[FormWords, ...] = (
    FormWords("native", "RLHF Lab", "JSON Lines with everything: splits, tags, ranks, ratings, sources", ".jsonl"),
    FormWords("trl", "TRL", "JSON Lines: prompt, chosen and rejected as text", ".jsonl", _EXTRA),
    FormWords(
        "trl-conversational", "TRL, conversational", "JSON Lines: the same as lists of messages", ".jsonl", _EXTRA
    ),
    FormWords("hh", "HH-RLHF", "JSON Lines: chosen and rejected dialogues of Human and Assistant", ".jsonl", _EXTRA),
    FormWords("ultrafeedback", "UltraFeedback", "JSON Lines: completions and their scores", ".jsonl", _EXTRA),
    FormWords("argilla", "Argilla", "JSON Lines: responses, and the ranks that people gave them", ".jsonl", _EXTRA),
    FormWords("csv", "CSV", "One row a record, for spreadsheets", ".csv", formulas=True),
    FormWords("parquet", "Parquet", "One row a record, compressed, for pandas, Polars and the like", ".parquet"),
)


@dataclass(frozen=True)
class Wanted:
    """What to write, and where to."""

    dataset: str
    path: Path
    form: "Form"
    split: Split | None
    escape_formulas: bool


def export_file(process: DataProcess, wanted: Wanted) -> Work:
    """Work for `Lab.in_background`: what became of it, in words; progress in records."""

    def work(store: "Store", task: Background) -> str:
        with process.use() as data:
            result = data.export(
                wanted.dataset,
                wanted.path,
                wanted.form,
                split=wanted.split,
                escape_formulas=wanted.escape_formulas,
                progress=task.progressed.emit,
                cancelled=task.cancelled,
            )
        process.rest()
        told = f"Exported {result.records:,} records of “{one_line(wanted.dataset, 60)}” to {wanted.path}."
        return f"{told} {result.note}".strip()

    return work
