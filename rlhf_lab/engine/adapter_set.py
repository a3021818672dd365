"""Named LoRA adapters inside one frozen model: PEFT's layers, of which a call switches on at most one.

``requires_grad`` stays as it was declared when an adapter was added (PEFT's ``set_adapter``, which layers of other kinds
than `LoraLinear` need, and ``disable_adapter`` change it). LoRA weights are fp32 on any base.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from rlhf_lab.engine import adapters
from rlhf_lab.engine.blocks import block_linears, block_of
from rlhf_lab.engine.lora import LoraLinear


class AdapterSet:
    """What is switched on is a matter between two calls of `select`; none is at first."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self.linears = block_linears(model)
        """The layers that can be adapted, by name."""
        self._model = model
        self._device = device
        self._tuner: LoraModel | None = None
        self._layers: dict[str, dict[str, Any]] = {}
        self._adapted: dict[str, Any] = {}
        self._lowest: dict[str, int] = {}
        self._scales: dict[str, tuple[int, float, bool]] = {}
        self._trainable: set[str] = set()
        self._active: str | None = None
        self._merged: str | None = None

    @property
    def trainable(self) -> frozenset[str]:
        """Names of the adapters that are trained."""
        return frozenset(self._trainable)

    def add(self, name: str, layers: list[str], r: int, alpha: float, *, rslora: bool, trainable: bool) -> None:
        """Room for an adapter on these layers; what its weights are is for `fill` or `start`."""
        if name in self._scales:
            raise ValueError(f"there is an adapter {name!r} already")
        targets, blocks = self._targets(layers)
        config = LoraConfig(
            r=r,
            lora_alpha=alpha,  # type: ignore[arg-type]  # PEFT divides it, whole or not
            use_rslora=rslora,
            lora_dropout=0.0,
            target_modules=targets,
            layers_to_transform=blocks,
            fan_in_fan_out=self._fan_in_fan_out(layers),
            inference_mode=True,
        )
        config._register_custom_module({nn.Linear: LoraLinear})
        if self._tuner is None:
            self._tuner = LoraModel(self._model, config, name)
        else:
            self._tuner.peft_config[name] = config
            self._tuner.inject_adapter(self._model, name)
        self._scales[name] = (r, alpha, rslora)
        # LoraLayer is not typed for what it holds per adapter.
        self._layers[name] = {layer: self._model.get_submodule(layer) for layer in layers}
        self._adapted |= self._layers[name]
        self._lowest[name] = min(map(block_of, layers))  # every pass asks for it
        for layer in self._layers[name].values():
            # PEFT gives adapters the dtype of the base; small updates would round away in bf16.
            layer.lora_A[name].to(self._device, torch.float32)
            layer.lora_B[name].to(self._device, torch.float32)
        if trainable:
            self._trainable.add(name)
        self._model.eval()
        self._active = name  # PEFT leaves some other adapter switched on: switch all off
        self.select(None)
        self.declare_grads()

    @torch.no_grad()
    def start(self, name: str, generator: torch.Generator) -> None:
        """A random, B zero: the adapter changes nothing yet."""
        for layer in self._layers[name].values():
            a = torch.empty(layer.lora_A[name].weight.shape)
            nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
            layer.lora_A[name].weight.copy_(a)
            layer.lora_B[name].weight.zero_()

    @torch.no_grad()
    def fill(self, name: str, weights: dict[str, tuple[Tensor, Tensor]]) -> None:
        """A and B of each of its layers."""
        for layer_name, layer in self._layers[name].items():
            a, b = weights[layer_name]
            layer.lora_A[name].weight.copy_(a)
            layer.lora_B[name].weight.copy_(b)

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """A and B of each of its layers, fp32, by stable names."""
        found = {}
        for layer_name, layer in self._layers[name].items():
            found[f"{layer_name}.lora_A"] = layer.lora_A[name].weight
            found[f"{layer_name}.lora_B"] = layer.lora_B[name].weight
        return found

    def lowest_block(self, name: str) -> int:
        """Index of the lowest block that the adapter touches."""
        return self._lowest[name]

    def select(self, name: str | None) -> None:
        """Switch this adapter on and all others off."""
        if self._merged is not None:
            if name != self._merged:
                raise RuntimeError(f"adapter {self._merged!r} is merged for generation; {name!r} cannot be used now")
            name = None
        if name == self._active:
            return
        if name is not None and name not in self._scales:
            raise KeyError(name)
        others = False
        for layer in self._adapted.values():
            here = [name] if name is not None and name in layer.lora_A else []
            if isinstance(layer, LoraLinear):
                layer.switch_to(here)
            else:
                layer.set_adapter(here, inference_mode=True)
                others = True
        self._active = name
        if others:
            self.declare_grads()

    def declare_grads(self) -> None:
        """Trained adapters, and only these, have ``requires_grad``."""
        for name in self._scales:
            for parameter in self.parameters(name).values():
                parameter.requires_grad_(name in self._trainable)

    @contextmanager
    def merged(self, name: str | None) -> Iterator[None]:
        """The adapter, if one is named, stands in the base's weights meanwhile.

        These are set aside and put back, never subtracted from, so nothing drifts.
        """
        if self._merged is not None:
            raise RuntimeError(f"adapter {self._merged!r} is already merged for generation")
        if name is None:
            yield
            return
        aside = []
        self.select(None)
        self._merged = name
        try:
            for layer in self._layers[name].values():
                base = layer.get_base_layer()
                aside.append((base.weight, base.weight.data))
                a, b = layer.lora_A[name].weight.data, layer.lora_B[name].weight.data
                base.weight.data = base.weight.data + adapters.delta(base, a, b, layer.scaling[name])
            yield
        finally:
            for weight, data in aside:
                weight.data = data
            self._merged = None

    def save(self, name: str, folder: Any, head: nn.Linear | None, lab: dict[str, Any], base: str) -> None:
        """Write the adapter as PEFT does, its head and ``lab.json`` beside it."""
        layers = {
            layer_name: (layer.lora_A[name].weight.detach().cpu(), layer.lora_B[name].weight.detach().cpu())
            for layer_name, layer in self._layers[name].items()
        }
        r, alpha, rslora = self._scales[name]
        targets, blocks = self._targets(list(layers))
        adapters.write(
            folder,
            adapters.Adapter(
                r=r,
                alpha=alpha,
                rslora=rslora,
                layers=layers,
                head=None if head is None else (head.weight.detach().cpu(), head.bias.detach().cpu()),
                lab=lab,
            ),
            targets=targets,
            blocks=blocks,
            base=base,
            fan_in_fan_out=self._fan_in_fan_out(list(layers)),
        )

    def _fan_in_fan_out(self, layers: list[str]) -> bool:
        return any(isinstance(self.linears[layer], Conv1D) for layer in layers)

    def _targets(self, layers: list[str]) -> tuple[list[str], list[int] | None]:
        """PEFT's ``target_modules`` and ``layers_to_transform`` for exactly these layers.

        Last parts of the names, as people write them, where they mean these; else whole names.
        """
        short = {name.rpartition(".")[2] for name in layers}
        meant = [name for name in self.linears if name.rpartition(".")[2] in short]
        if len(meant) == len(layers):
            return sorted(short), None
        blocks = {block_of(name) for name in layers}
        if sum(block_of(name) in blocks for name in meant) == len(layers):
            return sorted(short), sorted(blocks)
        return layers, None
