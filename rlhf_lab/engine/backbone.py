"""One base model, named LoRA adapters, scalar heads.

The base is frozen; the reference policy is the base with no adapter. Every call says which adapter it
means: nothing is left switched on or off between calls. The model is always in eval mode: no dropout anywhere,
so scoring and updating see the same function. Adapters and heads are fp32 on any base. The lowest blocks, if no
trained adapter touches them, are the trunk: what comes out of it can be computed once for all roles and epochs.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils.logging import disable_progress_bar

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.grouping import UNBOUNDED
from rlhf_lab.core.memory import (
    ACTIVATIONS_AT_ONCE,
    ACTIVATIONS_PER_LINEAR,
    ACTIVATIONS_WRITTEN_OUT,
    BF16_ACTIVATIONS,
    KEPT_AT_ONCE,
    READ_AT_ONCE,
    read_numbers,
)
from rlhf_lab.core.out_of_memory import is_out_of_memory
from rlhf_lab.engine import adapters, attention, chat, checkpoint_adapter, one_token
from rlhf_lab.engine.adapter_set import AdapterSet
from rlhf_lab.engine.adapters import Adapter
from rlhf_lab.engine.blocks import Blocks, block_of, top_blocks
from rlhf_lab.engine.cache import keeps_all, new_cache
from rlhf_lab.engine.decoder_block import Places, read
from rlhf_lab.engine.frozen import freeze
from rlhf_lab.engine.machine import pick_device, pick_dtype, return_freed_memory
from rlhf_lab.engine.model_files import in_short


class Backbone:
    """Make one with `load`. ``tokenizer.eos_token_id`` ends a turn; ``pad_id`` is never it."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        folder: Path,
        device: torch.device,
        start: Sequence[tuple[Path, Adapter]],
        *,
        recompute: bool = False,
    ) -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.device = device
        self.dtype: torch.dtype = model.dtype
        self.pad_id = chat.pad_id(tokenizer)
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
        self._folder = folder
        self._start = start
        self._recomputes = recompute
        self._decoder = model.base_model
        self._softcap: float | None = getattr(model.config, "final_logit_softcapping", None)
        freeze(model)
        self._adapters = AdapterSet(model, device)
        self._blocks = Blocks(model, self._adapters.linears)
        self._heads: dict[str, nn.Linear] = {}
        for path, adapter in start:
            adapters.check_base(path, adapter, self._hash_up_to(path))
            adapters.merge(model, adapter, path)

    @classmethod
    def load(
        cls,
        model: Path,
        *,
        start_adapters: Sequence[Path] = (),
        dtype: str = "fp32",
        device: str = "auto",
        recompute: bool = False,
    ) -> "Backbone":
        """Load a checked folder (see `models.resolve`) and merge ``start_adapters`` into it, in order.

        ``recompute``: passes with gradients keep what goes into each block alone (gradient checkpointing).
        """
        place = pick_device(device)
        disable_progress_bar()
        attention.prepare()
        start = [(path, adapters.read(path)) for path in start_adapters]
        try:
            tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
            config = AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False)
            found = AutoModelForCausalLM.from_pretrained(
                model,
                config=config,
                dtype=pick_dtype(dtype, place),
                # Named, not left to the file; the fused kernel cannot cap attention scores, as Gemma 2 does.
                attn_implementation="eager" if getattr(config, "attn_logit_softcapping", None) else "sdpa",
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        except Exception as error:  # whatever the libraries trip over in a stranger's file
            if is_out_of_memory(error):
                raise
            raise LabError(f"The model in {model} could not be loaded: {in_short(error)}.") from None
        chat.prepare(tokenizer)
        return cls(found, tokenizer, model, place, start, recompute=recompute)

    @property
    def width(self) -> int:
        """D, the width of the last hidden state."""
        return int(self.model.get_output_embeddings().weight.shape[1])

    @cached_property
    def base_hash(self) -> str:
        """Of the weights that adapters sit on: the model's files and the merged adapters, in order."""
        return self._hash_up_to(None)

    @property
    def tokens_at_once(self) -> int:
        """The most tokens of a micro-batch with a backward pass, so that its activations stay near 1 GB.

        A compute-bound processor is no faster with more. On a GPU the micro-batch size alone decides.
        """
        if self.device.type != "cpu":
            return UNBOUNDED
        return max(1, int(ACTIVATIONS_AT_ONCE / self._kept_by_token))

    @property
    def tokens_kept(self) -> int:
        """The most tokens whose graphs are kept from scoring a rollout for its first step."""
        return int(KEPT_AT_ONCE / (self._kept_by_token * (BF16_ACTIVATIONS if self.dtype == torch.bfloat16 else 1)))

    @property
    def tokens_read_at_once(self) -> int:
        """The most tokens of prompts that go through the model together before an answer is sampled."""
        widest = max(max(layer.weight.shape) for layer in self._adapters.linears.values())
        each = read_numbers(self.model.config.hidden_size, widest) * self.dtype.itemsize
        return max(1, READ_AT_ONCE // each)

    @property
    def _kept_by_token(self) -> float:
        """Bytes of activations of all trained blocks, as an fp32 base would keep them."""
        in_and_out = sum(
            sum(layer.weight.shape)
            for name, layer in self._adapters.linears.items()
            if block_of(name) >= self.trunk_depth
        )
        return 4 * in_and_out * (ACTIVATIONS_WRITTEN_OUT if self._blocks.are_known else ACTIVATIONS_PER_LINEAR)

    @property
    def parameter_counts(self) -> dict[str, int]:
        """How many numbers the model has, and how many of them are trained."""
        total = sum(p.numel() for p in self.model.parameters()) + sum(
            p.numel() for head in self._heads.values() for p in head.parameters()
        )
        trained = sum(p.numel() for name in self._adapters.trainable for p in self.parameters_of(name).values())
        return {"trainable": trained, "total": total}

    def check_length(self, tokens: int) -> None:
        """Raise `LabError` when prompt and answer could be longer than the model can read."""
        if self.context is not None and tokens > self.context:
            raise LabError(
                f"max_prompt_tokens + max_new_tokens = {tokens}, but this model reads at most {self.context} tokens. "
                "Lower one of them."
            )

    @property
    def trunk_depth(self) -> int:
        """How many blocks the trunk has: the lowest ones, which no trained adapter touches. 0: none."""
        return min(map(self._adapters.lowest_block, self._adapters.trainable), default=0)

    @property
    def vocabulary(self) -> int:
        """V, the width of the logits; a tokenizer may know fewer tokens."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    def add_adapter(
        self, name: str, *, r: int, alpha: float, seed: int, head: bool = False, heads: int = 1, layers: float = 1.0
    ) -> None:
        """A fresh trainable LoRA on all linear layers of the topmost share ``layers`` of the blocks.

        A is random, B zero, so it changes nothing yet. With ``head``, a scalar head too: N(0, 1/√(d+1)), bias 0
        (OAI's reward head); or an ensemble of ``heads``.
        """
        generator = torch.Generator().manual_seed(seed)
        blocks = top_blocks(len(self._blocks), layers)
        adapted = [layer for layer in self._adapters.linears if block_of(layer) in blocks]
        self._adapters.add(name, adapted, r, alpha, rslora=False, trainable=True)
        self._adapters.start(name, generator)
        if head:
            weight = torch.randn(heads, self.width, generator=generator) / math.sqrt(self.width + 1)
            self._add_head(name, weight, torch.zeros(heads))

    def load_adapter(self, name: str, folder: Path, *, trainable: bool = False, head: bool = False) -> None:
        """Put a saved adapter, or that of a checkpoint, beside the base. It must have been trained on these very weights."""
        found = checkpoint_adapter.read(folder) if checkpoint_adapter.is_checkpoint(folder) else adapters.read(folder)
        adapters.check_base(folder, found, self.base_hash)
        if head and found.head is None:
            raise LabError(f"The adapter in {folder} has no scalar head: it is not one of a reward model.")
        if head and found.head is not None and found.head[0].shape[1] != self.width:
            raise adapters.misfit(folder, "head")
        linears = self._adapters.linears
        for layer, (a, b) in found.layers.items():
            if layer not in linears or not adapters.fits(linears[layer], a, b):
                raise adapters.misfit(folder, layer)
        self._adapters.add(name, list(found.layers), found.r, found.alpha, rslora=found.rslora, trainable=trainable)
        self._adapters.fill(name, found.layers)
        if head and found.head is not None:
            self._add_head(name, *found.head)

    def parameters_of(self, name: str) -> dict[str, nn.Parameter]:
        """LoRA and head of one adapter, fp32, by stable names."""
        found = self._adapters.parameters(name)
        if name in self._heads:
            found["head.weight"] = self._heads[name].weight
            found["head.bias"] = self._heads[name].bias
        return found

    def hidden(
        self, ids: Tensor, mask: Tensor, adapter: str | None, trunk: Tensor | None = None, places: Places = 0
    ) -> Tensor:
        """Last hidden state [B, T − n, D] of ids [B, T] under mask [B, T], padded on either side.

        ``adapter`` None is the base: the reference policy. ``trunk``: what `trunk` gave for the same rows; an
        adapter that reaches into the trunk is computed without. ``places``: where it is read, and the last block saves
        itself the work elsewhere; from n on, or at [B, K], which gives [B, K, D]. Values at padding mean nothing.
        """
        return self._states(adapter, trunk, places, **self._padded(ids, mask))

    def trunk(self, ids: Tensor, mask: Tensor) -> Tensor | None:
        """What the trunk makes of the rows [B, T, D], without a gradient; None where there is none."""
        return self._trunk(**self._padded(ids, mask)) if self.trunk_depth else None

    def can_branch(self, width: int) -> bool:
        """Whether `hidden_of_branches` is exact for rows so wide: not under attention that sees a window only."""
        window = getattr(self.model.config, "sliding_window", None)
        fused = self.model.config._attn_implementation == "sdpa"
        return fused and (window is None or width <= window)

    def hidden_of_branches(
        self,
        ids: Tensor,
        sees: Tensor,
        positions: Tensor,
        adapter: str | None,
        trunk: Tensor | None = None,
        places: Places = 0,
    ) -> Tensor:
        """As `hidden`, of rows in which several answers follow one prompt.

        ``sees`` [B, T, T] is true where the token of the second axis may look at that of the third;
        ``positions`` [B, T] count along each branch. ``trunk``: what `trunk_of_branches` gave for the same rows.
        """
        return self._states(adapter, trunk, places, **self._branched(ids, sees, positions))

    def trunk_of_branches(self, ids: Tensor, sees: Tensor, positions: Tensor) -> Tensor | None:
        """As `trunk`, for `hidden_of_branches`."""
        return self._trunk(**self._branched(ids, sees, positions)) if self.trunk_depth else None

    def decode(self, ids: Tensor, mask: Tensor, cache: DynamicCache, adapter: str | None) -> Tensor:
        """Last hidden state [B, D] of the newest token, for sampling: without a gradient.

        ids [B, T_new] goes on from what ``cache`` holds; mask [B, T_past + T_new] covers both.
        """
        self._adapters.select(adapter)
        if ids.shape[1] == 1 and self._blocks.are_known and keeps_all(cache):
            return one_token.last_states(self._decoder, ids[:, 0], mask, cache)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        with self._blocks.written_out():
            found = self._decoder(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            )
        return found.last_hidden_state[:, -1]

    def new_cache(self) -> DynamicCache:
        """An empty key/value cache for `decode`."""
        return new_cache(self.model.config)

    def logits(self, hidden: Tensor) -> Tensor:
        """fp32 logits [..., V] of any slice [..., D]: slice first, the vocabulary is wide."""
        found = self.model.get_output_embeddings()(hidden).float()
        return found if self._softcap is None else torch.tanh(found / self._softcap) * self._softcap

    def heads(self, name: str, hidden: Tensor) -> Tensor:
        """What each of the adapter's K heads says [..., K] of any slice [..., D]."""
        found: Tensor = self._heads[name](hidden.float())
        return found

    def head(self, name: str, hidden: Tensor) -> Tensor:
        """Scalar [...] of the adapter's head for any slice [..., D]; the mean of an ensemble."""
        return self.heads(name, hidden).mean(-1)

    @contextmanager
    def generation(self, adapter: str | None) -> Iterator[None]:
        """For sampling: the adapter stands merged in the weights meanwhile, which halves the work of a token.

        A bf16 base stays unmerged: rounding the sum would make the sampler another policy than the scorer.
        """
        merge = adapter if self.dtype == torch.float32 else None
        with self._adapters.merged(merge):
            yield

    def save_adapter(self, name: str, folder: Path, extra: dict[str, Any]) -> None:
        """Write the adapter as PEFT does, its head and ``lab.json`` (``extra`` and the base hash) beside it."""
        lab = {**extra, "base_hash": self.base_hash}
        self._adapters.save(name, folder, self._heads.get(name), lab, str(self._folder))

    def _padded(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """What the decoder is told of padded rows."""
        ids, mask = ids.to(self.device), mask.to(self.device)
        if bool((mask[:, :-1] >= mask[:, 1:]).all()) and bool(mask[:, 0].all()):
            # Padded on the right: causality alone keeps real tokens from seeing padding, and attention
            # without a mask is faster. Positions then count from 0 by themselves.
            return {"input_ids": ids}
        return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}

    def _branched(self, ids: Tensor, sees: Tensor, positions: Tensor) -> dict[str, Tensor]:
        """What the decoder is told of branches."""
        return {
            "input_ids": ids.to(self.device),
            "attention_mask": sees.unsqueeze(1).to(self.device),
            "position_ids": positions.to(self.device),
        }

    def _states(self, adapter: str | None, trunk: Tensor | None, places: Places, **told: Tensor) -> Tensor:
        self._prepare(adapter)
        if isinstance(places, Tensor):
            places = places.to(self.device)
        depth = self.trunk_depth
        from_trunk = trunk is not None and (adapter is None or self._adapters.lowest_block(adapter) >= depth)
        with ExitStack() as stack:
            stack.enter_context(self._blocks.written_out(places))
            if trunk is not None and from_trunk:
                stack.enter_context(self._blocks.only_above(depth, trunk))
            if self._recomputes and adapter is not None and torch.is_grad_enabled():
                select = partial(self._adapters.select, adapter)
                stack.enter_context(self._blocks.recomputed(self._adapters.lowest_block(adapter), select))
            found: Tensor = self._decoder(**told, use_cache=False).last_hidden_state
        return found if self._blocks.reads_places else read(found, places)

    @torch.no_grad()
    def _trunk(self, **told: Tensor) -> Tensor:
        self._prepare(None)
        with self._blocks.written_out(), self._blocks.only_below(self.trunk_depth) as found:
            self._decoder(**told, use_cache=False)
        return found[0]

    def _prepare(self, adapter: str | None) -> None:
        if self.device.type == "cpu" and torch.is_grad_enabled():
            return_freed_memory()
        self._adapters.select(adapter)

    @torch.no_grad()
    def _add_head(self, name: str, weight: Tensor, bias: Tensor) -> None:
        head = nn.Linear(weight.shape[1], weight.shape[0], device=self.device, dtype=torch.float32)
        head.weight.copy_(weight)
        head.bias.copy_(bias)
        self._heads[name] = head.requires_grad_(name in self._adapters.trainable)

    def _hash_up_to(self, end: Path | None) -> str:
        merged = takewhile(lambda start: start[0] != end, self._start)
        return adapters.base_hash(self._folder, (adapter for _, adapter in merged))
