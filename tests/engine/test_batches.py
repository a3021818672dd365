from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import dump_record
from rlhf_lab.engine.batches import batch_indices, choose, fill_rows, pad, side_by_side
from rlhf_lab.engine.record_file import RecordFile
from tests.engine.conftest import pairs


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 5))
def test_every_epoch_shows_every_example_once(count: int, size: int, seed: int) -> None:
    stream = [i for step in range(-(-3 * count // size)) for i in batch_indices(count, size, step, seed)]
    for epoch in range(3):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = batch_indices(100, 100, 0, seed=1)
    torch.manual_seed(123)
    assert batch_indices(100, 100, 0, seed=1) == first
    assert batch_indices(100, 100, 1, seed=1) != first
    assert batch_indices(100, 100, 0, seed=2) != first


def test_choosing_is_seeded_and_bounded() -> None:
    assert choose(10, 20, 0) == list(range(10))
    assert choose(1000, 5, 3) == choose(1000, 5, 3) != choose(1000, 5, 4)


def test_padding_goes_by_length_even_when_a_token_is_the_pad_id() -> None:
    ids, mask = pad([[0, 0], [5]], pad_id=0, side="left")
    assert ids.tolist() == [[0, 0], [0, 5]]
    assert mask.tolist() == [[1, 1], [0, 1]]
    assert pad([[1], [2, 3]], 9)[0].tolist() == [[1, 9], [2, 3]]


def test_a_record_file_is_read_in_any_order(tmp_path: Path) -> None:
    written = pairs(9)
    file = tmp_path / "data.jsonl"
    file.write_bytes(b"\n\n".join(dump_record(record) for record in written) + b"\n")
    records = RecordFile(file)
    assert len(records) == 9
    assert records[7] == written[7]
    assert records[-1] == written[-1]
    assert list(records) == written
    assert records[2:4] == written[2:4]
    with pytest.raises(IndexError):
        records[9]


def test_a_changed_record_file_is_said_in_words(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"kind": "pair"}\n')
    with pytest.raises(LabError, match="record 1"):
        RecordFile(file)[0]
    with pytest.raises(LabError, match="could not be read"):
        RecordFile(tmp_path / "none")


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(5, 60))
def test_rows_are_filled_without_loss_and_never_beyond_their_width(lengths: list[int], width: int) -> None:
    rows = fill_rows(lengths, width)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(len(row) == 1 or sum(lengths[i] for i in row) <= width for row in rows)
    # First fit never leaves two rows that would fit into one.
    sums = sorted(sum(lengths[i] for i in row) for row in rows)
    assert len(sums) < 2 or sums[0] + sums[1] > width


def test_sequences_side_by_side_do_not_see_each_other() -> None:
    ids, sees, positions = side_by_side([[[5, 6], [7]], [[8]]], pad_id=0)
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert positions.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert sees[0].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert sees[1].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
