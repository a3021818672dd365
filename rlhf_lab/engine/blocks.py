"""A decoder's transformer blocks, of which a forward pass can leave out the upper or the lower ones.

Blocks that are left out hand on what they get; masks, positions and the last norm around them stay the library's
own. That works for every architecture whose decoder passes one hidden state from block to block, and costs nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.pytorch_utils import Conv1D

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine.decoder_block import Places, is_known, written_out


def block_of(layer: str) -> int:
    """Index of the block that the layer of this name lies in: 12 for model.layers.12.mlp.up_proj."""
    return next(int(part) for part in layer.split(".") if part.isdigit())


def block_linears(model: nn.Module) -> dict[str, nn.Module]:
    """Every linear layer inside the transformer's blocks, by name: not the embeddings, not the LM head."""
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and any(part.isdigit() for part in name.split("."))
    }
    if not found:
        raise LabError("This model has no linear layers that LoRA could adapt. Choose another model.")
    return found


def top_blocks(blocks: int, share: float) -> range:
    """The topmost ``share`` of so many blocks, at least one."""
    return range(blocks - max(1, round(share * blocks)), blocks)


class Blocks:
    """The blocks that hold the layers of these names."""

    def __init__(self, model: nn.Module, layers: Iterable[str]) -> None:
        first = next(iter(layers)).split(".")
        place = next(i for i, part in enumerate(first) if part.isdigit())
        self._blocks = list(model.get_submodule(".".join(first[:place])).children())

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def are_known(self) -> bool:
        """Whether all of them are of kinds that the lab computes itself."""
        return all(map(is_known, self._blocks))

    @property
    def reads_places(self) -> bool:
        """Whether the last of them saves itself what is not read."""
        return is_known(self._blocks[-1])

    @contextmanager
    def only_below(self, depth: int) -> Iterator[list[Tensor]]:
        """Passes go through the lowest ``depth`` blocks alone; the list gets what comes out of them [B, T, D]."""
        found: list[Tensor] = []

        def hand_on(hidden: Tensor, *_: Any, **__: Any) -> Tensor:
            return hidden

        def catch(hidden: Tensor, *_: Any, **__: Any) -> Tensor:
            found.append(hidden)
            return hidden

        with _instead(self._blocks[depth:], hand_on), _instead(self._blocks[depth : depth + 1], catch):
            yield found

    @contextmanager
    def only_above(self, depth: int, states: Tensor) -> Iterator[None]:
        """Passes begin with ``states`` [B, T, D], as what came out of the lowest ``depth`` blocks."""

        def hand_in(hidden: Tensor, *_: Any, **__: Any) -> Tensor:
            return states

        with _instead(self._blocks[:depth], hand_in):
            yield

    @contextmanager
    def written_out(self, places: Places = 0) -> Iterator[None]:
        """Blocks of known kinds compute as they are written out here, the last for the ``places`` that are read alone."""
        last = self._blocks[-1]
        with ExitStack() as stack:
            for block in filter(is_known, self._blocks):
                forward = partial(written_out, block, places if block is last else 0)
                stack.enter_context(_instead([block], forward))
            yield

    @contextmanager
    def recomputed(self, since: int, select: Callable[[], None]) -> Iterator[None]:
        """Of the blocks from ``since`` on, what goes in is kept alone; going back, each is computed once more.

        ``select`` switches on the adapter of this pass: by then it may be another's turn.
        """
        with ExitStack() as stack:
            for block in self._blocks[since:]:
                stack.enter_context(_instead([block], partial(_recomputed, block.forward, select)))
            yield


def _recomputed(forward: Callable[..., Any], select: Callable[[], None], *given: Any, **named: Any) -> Any:
    def compute(*given: Any, **named: Any) -> Any:
        select()
        return forward(*given, **named)

    # No random number is drawn in a pass: there is no dropout.
    return checkpoint(compute, *given, use_reentrant=False, preserve_rng_state=False, **named)


@contextmanager
def _instead(blocks: Iterable[nn.Module], forward: Any) -> Iterator[None]:
    """An attribute of the instance goes before the method of its class; what stood there comes back."""
    blocks = list(blocks)
    before = [vars(block).get("forward") for block in blocks]
    for block in blocks:
        block.forward = forward
    try:
        yield
    finally:
        for block, old in zip(blocks, before, strict=True):
            if old is None:
                del block.forward
            else:
                block.forward = old
