"""The cache with reserve holds what the library's holds, whatever is done to it."""

import weakref

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, MistralConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from rlhf_lab.engine import cache
from rlhf_lab.engine.cache import RoomyLayer, new_cache


def places(rows: int, count: int) -> Tensor:
    return torch.randn(rows, 2, count, 4)


def test_it_holds_what_the_librarys_holds_through_rows_taken_out_and_reserves_used_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "_RESERVE", 3)
    torch.manual_seed(0)
    found, wanted = RoomyLayer(), DynamicLayer()
    rows = 4
    for step, count in enumerate((5, 1, 1, 1, 1, 1, 2, 1, 7, 1)):
        keys, values = places(rows, count), places(rows, count)
        for ours, theirs in zip(found.update(keys, values), wanted.update(keys, values), strict=True):
            assert torch.equal(ours, theirs)
        assert found.get_seq_length() == wanted.get_seq_length()
        if step in (0, 3, 4):
            kept = torch.tensor({0: [0, 0, 1, 2, 3, 3], 3: [5, 1, 0], 4: [2]}[step])
            rows = len(kept)
            found.batch_select_indices(kept)
            wanted.batch_select_indices(kept)
            assert torch.equal(found.keys, wanted.keys)
            assert torch.equal(found.values, wanted.values)
        if step == 1:
            found.reorder_cache(torch.tensor([5, 0, 1, 2, 3, 4]))
            wanted.reorder_cache(torch.tensor([5, 0, 1, 2, 3, 4]))


def test_a_token_is_written_where_there_is_room_and_nothing_is_copied() -> None:
    layer = RoomyLayer()
    first, _ = layer.update(places(2, 5), places(2, 5))
    copied = []
    for _ in range(cache._RESERVE + 1):
        held, _ = layer.update(places(2, 1), places(2, 1))
        copied.append(held.data_ptr() != first.data_ptr())
    assert copied == [False] * cache._RESERVE + [True]


def test_rows_taken_out_leave_nothing_of_the_reserve_behind() -> None:
    layer = RoomyLayer()
    layer.update(places(4, 5), places(4, 5))
    rooms = [weakref.ref(held._base) for held in (layer.keys, layer.values)]
    assert all(room() is not None for room in rooms)
    layer.batch_select_indices(torch.tensor([0, 2]))
    assert [room() for room in rooms] == [None, None], "else all layers would have theirs twice until the next token"


def test_layers_that_do_not_keep_everything_stay_the_librarys() -> None:
    assert [type(layer) for layer in new_cache(LlamaConfig(num_hidden_layers=2)).layers] == [RoomyLayer] * 2
    sliding = new_cache(MistralConfig(num_hidden_layers=2, sliding_window=8))
    assert [type(layer) for layer in sliding.layers] == [DynamicSlidingWindowLayer] * 2
