"""One base model, named LoRA adapters, scalar heads.

The base is frozen; the reference policy is the base with no adapter. Every call says which adapter it
means: nothing is left switched on or off between calls, and ``requires_grad`` stays as it was declared
when an adapter was added (PEFT's ``set_adapter`` and ``disable_adapter`` change it). The model is always in
eval mode: no dropout anywhere, so scoring and updating see the same function. Adapters and heads are fp32
on any base.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.pytorch_utils import Conv1D
from transformers.utils.logging import disable_progress_bar

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import adapters, chat
from rlhf_lab.engine.adapters import Adapter
from rlhf_lab.engine.lora import LoraLinear
from rlhf_lab.engine.machine import pick_device, pick_dtype, return_freed_memory
from rlhf_lab.engine.model_files import in_short


class Backbone:
    """Make one with `load`. ``tokenizer.eos_token_id`` ends a turn; ``pad_id`` is never it."""

    def __init__(
        self, model: Any, tokenizer: Any, folder: Path, device: torch.device, start: Sequence[tuple[Path, Adapter]]
    ) -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.device = device
        self.dtype: torch.dtype = model.dtype
        self.pad_id = chat.pad_id(tokenizer)
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
        self._folder = folder
        self._start = start
        self._decoder = model.base_model
        self._softcap: float | None = getattr(model.config, "final_logit_softcapping", None)
        self._linears = _block_linears(model)
        self._tuner: LoraModel | None = None
        self._layers: dict[str, dict[str, Any]] = {}
        self._heads: dict[str, nn.Linear] = {}
        self._scales: dict[str, tuple[int, float, bool]] = {}
        self._trainable: set[str] = set()
        self._active: str | None = None
        self._merged: str | None = None
        for path, adapter in start:
            adapters.check_base(path, adapter, self._hash_up_to(path))
            adapters.merge(model, adapter, path)

    @classmethod
    def load(
        cls, model: Path, *, start_adapters: Sequence[Path] = (), dtype: str = "fp32", device: str = "auto"
    ) -> "Backbone":
        """Load a checked folder (see `models.resolve`) and merge ``start_adapters`` into it, in order."""
        place = pick_device(device)
        disable_progress_bar()
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
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever the libraries trip over in a stranger's file
            if "can't allocate" in str(error):
                raise
            raise LabError(f"The model in {model} could not be loaded: {in_short(error)}.") from None
        chat.prepare(tokenizer)
        return cls(found, tokenizer, model, place, start)

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
            return 2**31
        # Measured on Llama blocks with LoRA: about twice what goes in and out of the linear layers, in fp32.
        numbers = 2 * sum(sum(layer.weight.shape) for layer in self._linears.values())
        return max(1, 2**30 // (4 * numbers))

    @property
    def parameter_counts(self) -> dict[str, int]:
        """How many numbers the model has, and how many of them are trained."""
        total = sum(p.numel() for p in self.model.parameters()) + sum(
            p.numel() for head in self._heads.values() for p in head.parameters()
        )
        trained = sum(p.numel() for name in self._trainable for p in self.parameters_of(name).values())
        return {"trainable": trained, "total": total}

    def check_length(self, tokens: int) -> None:
        """Raise `LabError` when prompt and answer could be longer than the model can read."""
        if self.context is not None and tokens > self.context:
            raise LabError(
                f"max_prompt_tokens + max_new_tokens = {tokens}, but this model reads at most {self.context} tokens. "
                "Lower one of them."
            )

    def add_adapter(self, name: str, *, r: int, alpha: float, seed: int, head: bool = False, heads: int = 1) -> None:
        """A fresh trainable LoRA on all linear layers of the blocks: A random, B zero, so it changes nothing yet.

        With ``head``, a scalar head too: N(0, 1/√(d+1)), bias 0 (OAI's reward head); or an ensemble of ``heads``.
        """
        generator = torch.Generator().manual_seed(seed)
        self._inject(name, list(self._linears), r, alpha, rslora=False)
        self._trainable.add(name)
        with torch.no_grad():
            for layer in self._layers[name].values():
                a = torch.empty(layer.lora_A[name].weight.shape)
                nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
                layer.lora_A[name].weight.copy_(a)
                layer.lora_B[name].weight.zero_()
            if head:
                weight = torch.randn(heads, self.width, generator=generator) / math.sqrt(self.width + 1)
                self._heads[name] = self._new_head(weight, torch.zeros(heads))
        self._declare_grads()

    def load_adapter(self, name: str, folder: Path, *, trainable: bool = False, head: bool = False) -> None:
        """Put a saved adapter beside the base. It must have been trained on these very weights."""
        found = adapters.read(folder)
        adapters.check_base(folder, found, self.base_hash)
        if head and found.head is None:
            raise LabError(f"The adapter in {folder} has no scalar head: it is not one of a reward model.")
        if head and found.head is not None and found.head[0].shape[1] != self.width:
            raise adapters.misfit(folder, "head")
        for layer, (a, b) in found.layers.items():
            if layer not in self._linears or not adapters.fits(self._linears[layer], a, b):
                raise adapters.misfit(folder, layer)
        self._inject(name, list(found.layers), found.r, found.alpha, rslora=found.rslora)
        with torch.no_grad():
            for layer_name, layer in self._layers[name].items():
                a, b = found.layers[layer_name]
                layer.lora_A[name].weight.copy_(a)
                layer.lora_B[name].weight.copy_(b)
            if head and found.head is not None:
                self._heads[name] = self._new_head(*found.head)
        if trainable:
            self._trainable.add(name)
        self._declare_grads()

    def parameters_of(self, name: str) -> dict[str, nn.Parameter]:
        """LoRA and head of one adapter, fp32, by stable names."""
        found = {}
        for layer_name, layer in self._layers[name].items():
            found[f"{layer_name}.lora_A"] = layer.lora_A[name].weight
            found[f"{layer_name}.lora_B"] = layer.lora_B[name].weight
        if name in self._heads:
            found["head.weight"] = self._heads[name].weight
            found["head.bias"] = self._heads[name].bias
        return found

    def hidden(self, ids: Tensor, mask: Tensor, adapter: str | None) -> Tensor:
        """Last hidden state [B, T, D] of ids [B, T] under mask [B, T], padded on either side.

        ``adapter`` None is the base: the reference policy. Values at padding mean nothing.
        """
        self._prepare(adapter)
        ids, mask = ids.to(self.device), mask.to(self.device)
        if bool((mask[:, :-1] >= mask[:, 1:]).all()) and bool(mask[:, 0].all()):
            # Padded on the right: causality alone keeps real tokens from seeing padding, and attention
            # without a mask is faster. Positions then count from 0 by themselves.
            found = self._decoder(input_ids=ids, use_cache=False)
        else:
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            found = self._decoder(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        return found.last_hidden_state

    def can_branch(self, width: int) -> bool:
        """Whether `hidden_of_branches` is exact for rows so wide: not under attention that sees a window only."""
        window = getattr(self.model.config, "sliding_window", None)
        fused = self.model.config._attn_implementation == "sdpa"
        return fused and (window is None or width <= window)

    def hidden_of_branches(self, ids: Tensor, sees: Tensor, positions: Tensor, adapter: str | None) -> Tensor:
        """Last hidden state [B, T, D] of rows in which several answers follow one prompt.

        ``sees`` [B, T, T] is true where the token of the second axis may look at that of the third;
        ``positions`` [B, T] count along each branch.
        """
        self._prepare(adapter)
        found = self._decoder(
            input_ids=ids.to(self.device),
            attention_mask=sees.unsqueeze(1).to(self.device),
            position_ids=positions.to(self.device),
            use_cache=False,
        )
        return found.last_hidden_state

    def decode(self, ids: Tensor, mask: Tensor, cache: DynamicCache, adapter: str | None) -> Tensor:
        """Last hidden state [B, D] of the newest token, for sampling.

        ids [B, T_new] goes on from what ``cache`` holds; mask [B, T_past + T_new] covers both.
        """
        self._select(adapter)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        found = self._decoder(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        return found.last_hidden_state[:, -1]

    def new_cache(self) -> DynamicCache:
        """An empty key/value cache for `decode`."""
        return DynamicCache(config=self.model.config)

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

        The base weights are set aside and put back, never subtracted from, so nothing drifts. A bf16 base
        stays unmerged: rounding the sum would make the sampler another policy than the scorer.
        """
        if self._merged is not None:
            raise RuntimeError(f"adapter {self._merged!r} is already merged for generation")
        if adapter is None or self.dtype != torch.float32:
            yield
            return
        aside = []
        self._select(None)
        self._merged = adapter
        try:
            for layer in self._layers[adapter].values():
                base = layer.get_base_layer()
                aside.append((base.weight, base.weight.data))
                a, b = layer.lora_A[adapter].weight.data, layer.lora_B[adapter].weight.data
                base.weight.data = base.weight.data + adapters.delta(base, a, b, layer.scaling[adapter])
            yield
        finally:
            for weight, data in aside:
                weight.data = data
            self._merged = None

    def save_adapter(self, name: str, folder: Path, extra: dict[str, Any]) -> None:
        """Write the adapter as PEFT does, its head and ``lab.json`` (``extra`` and the base hash) beside it."""
        layers = {
            layer_name: (layer.lora_A[name].weight.detach().cpu(), layer.lora_B[name].weight.detach().cpu())
            for layer_name, layer in self._layers[name].items()
        }
        head = self._heads.get(name)
        r, alpha, rslora = self._scales[name]
        adapters.write(
            folder,
            Adapter(
                r=r,
                alpha=alpha,
                rslora=rslora,
                layers=layers,
                head=None if head is None else (head.weight.detach().cpu(), head.bias.detach().cpu()),
                lab={**extra, "base_hash": self.base_hash},
            ),
            targets=self._short_names(list(layers)),
            base=str(self._folder),
            fan_in_fan_out=any(isinstance(self._linears[layer], Conv1D) for layer in layers),
        )

    def _inject(self, name: str, layers: list[str], r: int, alpha: float, *, rslora: bool) -> None:
        config = LoraConfig(
            r=r,
            lora_alpha=alpha,  # type: ignore[arg-type]  # PEFT divides it, whole or not
            use_rslora=rslora,
            lora_dropout=0.0,
            target_modules=self._short_names(layers),
            fan_in_fan_out=any(isinstance(self._linears[layer], Conv1D) for layer in layers),
            inference_mode=True,
        )
        config._register_custom_module({nn.Linear: LoraLinear})
        if name in self._scales:
            raise ValueError(f"there is an adapter {name!r} already")
        if self._tuner is None:
            self._tuner = LoraModel(self.model, config, name)
        else:
            self._tuner.peft_config[name] = config
            self._tuner.inject_adapter(self.model, name)
        self._scales[name] = (r, alpha, rslora)
        # LoraLayer is not typed for what it holds per adapter.
        self._layers[name] = {layer: self.model.get_submodule(layer) for layer in layers}
        for layer in self._layers[name].values():
            # PEFT gives adapters the dtype of the base; small updates would round away in bf16.
            layer.lora_A[name].to(self.device, torch.float32)
            layer.lora_B[name].to(self.device, torch.float32)
        self.model.eval()
        self._active = name  # PEFT leaves some other adapter switched on: switch all off
        self._select(None)

    def _prepare(self, adapter: str | None) -> None:
        if self.device.type == "cpu" and torch.is_grad_enabled():
            return_freed_memory()
        self._select(adapter)

    def _select(self, adapter: str | None) -> None:
        if self._merged is not None:
            if adapter != self._merged:
                raise RuntimeError(f"adapter {self._merged!r} is merged for generation; {adapter!r} cannot be used now")
            adapter = None
        if adapter == self._active:
            return
        if adapter is not None and adapter not in self._scales:
            raise KeyError(adapter)
        layers = {id(layer): layer for found in self._layers.values() for layer in found.values()}
        for layer in layers.values():
            layer.set_adapter([] if adapter is None else [adapter], inference_mode=True)
        self._active = adapter
        self._declare_grads()

    def _declare_grads(self) -> None:
        for name in self._scales:
            for parameter in self.parameters_of(name).values():
                parameter.requires_grad_(name in self._trainable)

    def _new_head(self, weight: Tensor, bias: Tensor) -> nn.Linear:
        head = nn.Linear(weight.shape[1], weight.shape[0], device=self.device, dtype=torch.float32)
        head.weight.copy_(weight)
        head.bias.copy_(bias)
        return head

    def _short_names(self, layers: list[str]) -> list[str]:
        """Last parts of the names where they mean exactly these layers, as people write them; else whole names."""
        short = {name.rpartition(".")[2] for name in layers}
        meant = [name for name in self._linears if name.rpartition(".")[2] in short]
        return sorted(short) if len(meant) == len(layers) else layers

    def _hash_up_to(self, end: Path | None) -> str:
        merged = takewhile(lambda start: start[0] != end, self._start)
        return adapters.base_hash(self._folder, (adapter for _, adapter in merged))


def _block_linears(model: nn.Module) -> dict[str, nn.Module]:
    """Every linear layer inside the transformer's blocks, by name: not the embeddings, not the LM head."""
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and any(part.isdigit() for part in name.split("."))
    }
    if not found:
        raise LabError("This model has no linear layers that LoRA could adapt. Choose another model.")
    return found
