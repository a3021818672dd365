"""The table of records: true length, pages read only where one looks, plain text."""

from collections.abc import Sequence

from PySide6.QtCore import Qt

from rlhf_lab.core.records import Candidates, Completion, Pair, PromptOnly, Ranking, Unpaired
from rlhf_lab.gui.models.records_table import PAGE, PAGES_KEPT, RecordsTable
from rlhf_lab.store import Row
from tests.gui.conftest import prompt


class Pages:
    def __init__(self) -> None:
        self.read: list[int] = []

    def __call__(self, position: int, limit: int) -> Sequence[Row]:
        self.read.append(position)
        return [Row((7 << 40) + n, PromptOnly(prompt=prompt(n))) for n in range(position, position + limit)]


def cell(model: RecordsTable, row: int, column: int, role: Qt.ItemDataRole = Qt.ItemDataRole.DisplayRole) -> str:
    return model.data(model.index(row, column), role)


def test_a_million_rows_are_there_and_none_is_read_before_it_is_seen() -> None:
    model, pages = RecordsTable(), Pages()
    model.show_pages("prompt", 1_000_000, pages)
    assert model.rowCount() == 1_000_000
    assert pages.read == []
    assert cell(model, 999_999, 2) == "Is 999999 a number?"
    assert cell(model, 999_999, 0) == "1,000,000"
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


def test_each_kind_has_its_columns() -> None:
    model = RecordsTable()
    three = tuple(Completion(text=text) for text in ("meh", "best", "worst"))
    model.show_list("ranking", [(1, Ranking(prompt=prompt(1), completions=three, ranks=(2, 1, 3)))])
    assert shown(model) == ["1", "train", "3", "Is 1 a number?", "best", "worst"]
    model.show_list("candidates", [(1, Candidates(prompt=prompt(1), completions=three))])
    assert shown(model) == ["1", "train", "3", "Is 1 a number?", "meh", "worst"]
    model.show_list(
        "mixed", [(1, PromptOnly(prompt=prompt(1))), (2, Unpaired(prompt=prompt(1), completion=three[1], label=True))]
    )
    assert shown(model) == ["1", "prompt", "train", "Is 1 a number?", "", ""]
    assert shown(model, 1) == ["2", "liked or not", "train", "Is 1 a number?", "best", ""]


def test_what_was_found_grows_without_reading_what_is_there_again() -> None:
    model, pages = RecordsTable(), Pages()
    model.show_pages("prompt", 0, pages)
    model.grow(2 * PAGE + 1)
    assert cell(model, 0, 2) == "Is 0 a number?"
    assert cell(model, 2 * PAGE, 2) == f"Is {2 * PAGE} a number?"
    model.grow(2 * PAGE + 5)
    assert cell(model, 0, 2) == "Is 0 a number?"
    assert pages.read == [0, 2 * PAGE], "only the last page may have been read too early"
    cell(model, 2 * PAGE + 4, 2)
    assert pages.read == [0, 2 * PAGE, 2 * PAGE]
    assert model.key(3) == (7 << 40) + 3


def shown(model: RecordsTable, row: int = 0) -> list[str]:
    return [cell(model, row, column) for column in range(model.columnCount())]
