"""What an on-policy stage trains: adapters with an optimiser each, copied out and put back as plain tensors."""

from torch import Tensor

from rlhf_lab.core.config import PpoConfig, RlooConfig
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.optimiser import Optimiser


class Trainable:
    """The policy adapter, for PPO the value adapter too; each has a learning rate and a gradient clip of its own."""

    def __init__(self, backbone: Backbone, config: PpoConfig | RlooConfig) -> None:
        self.learning_rates = {"policy": config.learning_rate}
        """Of the next step, by adapter."""
        if isinstance(config, PpoConfig):
            self.learning_rates["value"] = config.value_learning_rate
        # PPO's usual eps: with 1e-8 the first steps on near-zero gradients are far too long.
        self._optimisers = {
            name: Optimiser(backbone.parameters_of(name), config.max_grad_norm, eps=1e-5, name=name)
            for name in self.learning_rates
        }

    def step(self) -> dict[str, float]:
        """Use and forget the gradients; the norm of each adapter's before clipping.

        Raises `NotFinite` when one is not: the state is then that in between, to be put back with `restore`.
        """
        return {name: optimiser.step(self.learning_rates[name]) for name, optimiser in self._optimisers.items()}

    def forget_gradients(self) -> None:
        """Drop the gradients of a step that is not taken."""
        for optimiser in self._optimisers.values():
            optimiser.forget_gradients()

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of all weights and moments, by name."""
        return {
            f"{name}/{key}": tensor.clone()
            for name, optimiser in self._optimisers.items()
            for key, tensor in optimiser.tensors().items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put a `snapshot` back, exactly; gradients are forgotten."""
        for name, optimiser in self._optimisers.items():
            optimiser.forget_gradients()
            mine = {key.removeprefix(f"{name}/"): t for key, t in tensors.items() if key.startswith(f"{name}/")}
            optimiser.restore(mine)
