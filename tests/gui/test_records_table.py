"""The table of records: true length, pages read only where one looks, plain text."""

from collections.abc import Sequence

from PySide6.QtCore import Qt

from rlhf_lab.core.records import AnyRecord, Completion, Pair, PromptOnly
from rlhf_lab.gui.models.records_table import PAGE, PAGES_KEPT, RecordsTable
from tests.gui.conftest import prompt


class Pages:
    def __init__(self) -> None:
        self.read: list[int] = []

    def __call__(self, position: int, limit: int) -> Sequence[AnyRecord]:
        self.read.append(position)
        return [PromptOnly(prompt=prompt(n)) for n in range(position, position + limit)]


def cell(model: RecordsTable, row: int, column: int, role: Qt.ItemDataRole = Qt.ItemDataRole.DisplayRole) -> str:
    return model.data(model.index(row, column), role)


def test_a_million_rows_are_there_and_none_is_read_before_it_is_seen() -> None:
    model, pages = RecordsTable(), Pages()
    model.show_pages("prompt", 1_000_000, pages)
    assert model.rowCount() == 1_000_000
    assert pages.read == []
    assert cell(model, 999_999, 2) == "Is 999999 a number?"
    assert cell(model, 999_999, 0) == "1000000"
    assert pages.read == [999_999 // PAGE * PAGE]


def test_pages_are_kept_up_to_the_limit() -> None:
    model, pages = RecordsTable(), Pages()
    model.show_pages("prompt", 1_000_000, pages)
    for number in range(PAGES_KEPT + 1):
        cell(model, number * PAGE, 2)
    cell(model, PAGES_KEPT * PAGE, 2)
    assert len(pages.read) == PAGES_KEPT + 1
    cell(model, 0, 2)
    assert pages.read[-1] == 0


def test_a_data_set_that_became_shorter_shows_empty_cells() -> None:
    model = RecordsTable()
    model.show_pages("prompt", 10, lambda position, limit: [])
    assert cell(model, 3, 2) == ""
    assert model.record(3) is None


def test_cells_and_tooltips_are_plain() -> None:
    model = RecordsTable()
    pair = Pair(prompt=prompt(1), chosen=Completion(text="<b>a</b>\nb"), rejected=Completion(text="\u202eevil"))
    model.show_list("pair", [(7, pair)])
    assert [cell(model, 0, column) for column in range(5)] == [
        "7",
        "train",
        "Is 1 a number?",
        "<b>a</b> b",
        "⟦RLO⟧evil",
    ]
    assert "&lt;b&gt;" in cell(model, 0, 3, Qt.ItemDataRole.ToolTipRole)
