"""PPO with LoRA: sample answers, score them, take a few clipped steps, look, repeat.

One frozen base carries three adapters: ``policy`` (trained), ``value`` (trained, with a head) and ``reward``
(frozen, with a head); the reference is the base with none.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import nn

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.events import AnyEvent, Warned
from rlhf_lab.engine import adapters, on_policy
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.blocks import block_of
from rlhf_lab.engine.on_policy_run import Algorithm
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.ppo_update import targets_of
from rlhf_lab.engine.rewards import RewardSource, score_scale

_COLD = (
    "The reward model was trained on lower layers than this run trains, so the critic cannot start from it and begins "
    "anew. Train the reward model with the same lora_layers to change that."
)


def train(config: PpoConfig, parts: Parts, rewards: Sequence[RewardSource] | None = None) -> Iterator[AnyEvent]:
    """The stage; see `rlhf_lab.engine.stages`. ``rewards`` instead of those that the config names are summed."""
    algorithm = Algorithm(
        targets=lambda rollout, kl_coef, before: targets_of(rollout, config, kl_coef, before), critic=True
    )
    yield from on_policy.train(
        config, parts, algorithm, rewards, prepare=partial(add_critic, config=config, parts=parts)
    )


def add_critic(backbone: Backbone, config: PpoConfig, parts: Parts) -> Sequence[Warned]:
    """The value adapter: the reward adapter's weights, on the scale of its scores, or fresh with a zero head.

    One that reaches below the layers that the run trains would be another critic than was asked for, and a slow one.
    """
    folder = parts.reward_adapter
    lab = adapters.read_lab(folder) if folder and config.value_warm_start else {}
    shared = lab.get("base_hash") == backbone.base_hash
    too_low = folder is not None and shared and min(map(block_of, adapters.read(folder).layers)) < backbone.trunk_depth
    if folder and shared and not too_low:
        backbone.load_adapter("value", folder, trainable=True, head=True)
        mean, std = score_scale(lab)
        head, unit = backbone.parameters_of("value"), config.reward_model_weight / std
        with torch.no_grad():
            head["head.weight"].mul_(unit)
            head["head.bias"].sub_(mean).mul_(unit)
    else:
        backbone.add_adapter(
            "value",
            r=config.lora_r,
            alpha=config.lora_alpha,
            seed=config.seed + 1,
            head=True,
            layers=config.lora_layers,
        )
        nn.init.zeros_(backbone.parameters_of("value")["head.weight"])
    return [Warned(code="cold_critic", text=_COLD)] if too_low else []
