"""The keys and values of what was read, with room for what comes.

The library's cache copies all that it holds for each new token. Here a layer that keeps everything has places in reserve,
into which a token is written; layers of other kinds, such as those with a sliding window, stay the library's.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

_RESERVE = 128
"""Places: a copy of all for every 128 tokens, and never much more memory than what is held."""


def new_cache(config: PreTrainedConfig) -> DynamicCache:
    """An empty cache for a model of this config, for passes without gradients."""
    made = DynamicCache(config=config)
    made.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in made.layers]
    return made


def keeps_all(cache: DynamicCache) -> bool:
    """Whether each of its layers holds all places: none that sees a window only."""
    return all(isinstance(layer, RoomyLayer) for layer in cache.layers)


def joined(caches: Sequence[DynamicCache]) -> DynamicCache:
    """One cache of the rows of several that keep all places, as many each; these are used up."""
    whole, *others = caches
    # Layer by layer, so that little is held twice.
    for number, layer in enumerate(whole.layers if others else ()):
        layer.add_rows([cache.layers[number] for cache in others])
    return whole


class RoomyLayer(DynamicLayer):
    """A `DynamicLayer` whose ``keys`` and ``values`` [B, heads, T, width] are the front of something longer."""

    _rooms: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append new places and return all of them, each [B, heads, T, width]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        past = self.get_seq_length()
        length = past + key_states.shape[-2]
        if not self._has_room(length):
            self._rooms = tuple(_room(new, length + _RESERVE) for new in (key_states, value_states))
            if past:
                self._rooms[0][..., :past, :] = self.keys
                self._rooms[1][..., :past, :] = self.values
        assert self._rooms is not None
        self._rooms[0][..., past:length, :] = key_states
        self._rooms[1][..., past:length, :] = value_states
        self.keys, self.values = (room[..., :length, :] for room in self._rooms)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows; the places of all of them go at once, not layer by layer with the next token."""
        super().batch_select_indices(indices)
        self._rooms = None

    def add_rows(self, others: Sequence["RoomyLayer"]) -> None:
        """Those of ``others``, as many places each, after its own; the others are left empty."""
        self.keys = torch.cat([self.keys, *(other.keys for other in others)])
        self.values = torch.cat([self.values, *(other.values for other in others)])
        self._rooms = None
        for other in others:
            other.reset()

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self._rooms = None

    def _has_room(self, length: int) -> bool:
        """Not where rows were put in another order since: what the layer holds lies elsewhere then."""
        if self._rooms is None or self._rooms[0].shape[-2] < length:
            return False
        return self.keys.data_ptr() == self._rooms[0].data_ptr()


def _room(new: Tensor, places: int) -> Tensor:
    return new.new_empty(*new.shape[:-2], places, new.shape[-1])
