"""What PPO trains: two adapters and their optimiser, copied out and put back as plain tensors."""

import torch
from torch import Tensor, nn

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.finite import require_finite

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Trainable:
    """Policy and value adapter, each with a learning rate and a gradient clip of its own, under one AdamW."""

    def __init__(self, backbone: Backbone, config: PpoConfig) -> None:
        self._parameters: dict[str, dict[str, nn.Parameter]] = {
            adapter: backbone.parameters_of(adapter) for adapter in ("policy", "value")
        }
        groups = [{"params": list(named.values())} for named in self._parameters.values()]
        # No weight decay: it would pull the policy to the reference behind β's back.
        self._optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, eps=1e-5, weight_decay=0.0)
        self._max_grad_norm = config.max_grad_norm

    def counts(self) -> dict[str, int]:
        """Trained numbers of each adapter."""
        return {name: sum(p.numel() for p in named.values()) for name, named in self._parameters.items()}

    def set_learning_rates(self, policy: float, value: float) -> None:
        """From the next step on."""
        for group, rate in zip(self._optimiser.param_groups, (policy, value), strict=True):
            group["lr"] = rate

    def zero_grad(self) -> None:
        """Forget gradients."""
        self._optimiser.zero_grad(set_to_none=True)

    def step(self) -> tuple[float, float]:
        """Clip each adapter's gradient and take a step; the norms of policy and value before clipping.

        Raises `NotFinite`, with nothing changed, when a norm is.
        """
        norms = {
            f"the gradient of the {name} adapter": nn.utils.get_total_norm(
                [p.grad for p in named.values() if p.grad is not None]
            )
            for name, named in self._parameters.items()
        }
        require_finite(norms)
        for named, norm in zip(self._parameters.values(), norms.values(), strict=True):
            nn.utils.clip_grads_with_norm_(named.values(), self._max_grad_norm, norm)
        self._optimiser.step()
        policy, value = (norm.item() for norm in norms.values())
        return policy, value

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of all weights and moments, on the CPU, by name."""
        tensors: dict[str, Tensor] = {}
        for adapter, named in self._parameters.items():
            for name, parameter in named.items():
                tensors[f"{adapter}/weight/{name}"] = _copy(parameter)
                state = self._optimiser.state.get(parameter, {})
                tensors.update({f"{adapter}/{moment}/{name}": _copy(state[moment]) for moment in _MOMENTS if state})
        return tensors

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put a `snapshot` back, exactly; gradients are forgotten."""
        self.zero_grad()
        for adapter, named in self._parameters.items():
            for name, parameter in named.items():
                parameter.copy_(tensors[f"{adapter}/weight/{name}"])
                self._optimiser.state.pop(parameter, None)
                if f"{adapter}/step/{name}" in tensors:
                    # AdamW keeps its step count on the CPU, its moments beside the weights.
                    self._optimiser.state[parameter] = {
                        moment: tensors[f"{adapter}/{moment}/{name}"].to(
                            "cpu" if moment == "step" else parameter.device, copy=True
                        )
                        for moment in _MOMENTS
                    }


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
