"""What PPO trains: two adapters with an optimiser each, copied out and put back as plain tensors."""

from torch import Tensor

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.optimiser import Optimiser


class Trainable:
    """Policy and value adapter; each has a learning rate and a gradient clip of its own."""

    def __init__(self, backbone: Backbone, config: PpoConfig) -> None:
        # PPO's usual eps: with 1e-8 the first steps on near-zero gradients are far too long.
        self._policy, self._value = (
            Optimiser(backbone.parameters_of(name), config.max_grad_norm, eps=1e-5, name=name)
            for name in ("policy", "value")
        )
        self.learning_rates = (config.learning_rate, config.value_learning_rate)
        """Of the next step: policy, value."""

    def step(self) -> tuple[float, float]:
        """Use and forget the gradients; the norms of policy and value before clipping.

        Raises `NotFinite` when one is: the state is then that in between, to be put back with `restore`.
        """
        policy, value = self.learning_rates
        return self._policy.step(policy), self._value.step(value)

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of all weights and moments, by name."""
        both = {"policy": self._policy.tensors(), "value": self._value.tensors()}
        return {f"{name}/{key}": tensor.clone() for name, found in both.items() for key, tensor in found.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put a `snapshot` back, exactly; gradients are forgotten."""
        for name, optimiser in (("policy", self._policy), ("value", self._value)):
            optimiser.forget_gradients()
            optimiser.restore({key.removeprefix(f"{name}/"): t for key, t in tensors.items() if key.startswith(name)})
