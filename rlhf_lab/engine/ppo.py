"""PPO with LoRA: sample answers, score them, take a few clipped steps, look, repeat.

One frozen base carries three adapters: ``policy`` (trained), ``value`` (trained, with a head) and ``reward``
(frozen, with a head); the reference is the base with none. Random numbers depend on seed, purpose and update
alone, so a run that was stopped and resumed says on a CPU exactly what an uninterrupted one says.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Finished, Phase, Progress, Resumed, Started, Warned
from rlhf_lab.engine import adapters, checkpoint, machine
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import choose
from rlhf_lab.engine.finite import NotFinite
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.ppo_run import Run
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.prompts import encode, unique_prompts
from rlhf_lab.engine.rewards import RewardSource, load_reward_model, score_scale


def train(config: PpoConfig, parts: Parts, rewards: Sequence[RewardSource] | None = None) -> Iterator[AnyEvent]:
    """The whole run. ``rewards`` are summed; without any given, the score is that of the run's reward model."""
    # 1. One base, its adapters, and where the scores come from.
    yield Phase(name="loading the model")
    machine.use_threads(config.threads)
    backbone = Backbone.load(parts.model, start_adapters=parts.start_adapters, dtype=config.dtype, device=config.device)
    backbone.check_length(config.max_prompt_tokens + config.max_new_tokens)
    rewards = [load_reward_model(backbone, config, parts)] if rewards is None else rewards
    backbone.add_adapter("policy", r=config.lora_r, alpha=config.lora_alpha, seed=config.seed)
    add_critic(backbone, config, parts)
    # 2. Questions.
    pool, kept_out = unique_prompts(parts.records)
    if not pool:
        raise LabError("The data set has no prompts to train on. Choose one whose train split is not empty.")
    chosen = choose(len(kept_out), config.eval_size, config.seed) if kept_out else []
    heldout, _ = encode(backbone.tokenizer, kept_out, chosen, config.max_prompt_tokens)
    # 3. Where the run stands.
    run = Run(config, parts, backbone, Trainable(backbone, config), rewards, pool, heldout)
    damaged: list[str] = []
    found = None
    if parts.resume:
        found = checkpoint.newest(parts.folder / "checkpoints", lambda path, why: damaged.append(f"{path.name}: {why}"))
    device, versions = machine.describe(backbone.device, backbone.dtype), machine.versions()
    if found:
        run.go_back_to(*found)
        yield Resumed(step=run.step, device=device, versions=versions, total_steps=config.updates)
    else:
        counts = backbone.parameter_counts
        yield Started(device=device, versions=versions, parameters=counts, total_steps=config.updates)
    for text in damaged:
        yield Warned(step=run.step, code="checkpoint_damaged", text=f"Passed over a damaged checkpoint, {text}.")
    if not heldout:
        yield Warned(
            step=run.step, code="no_heldout", text="The data set has no held-out prompts: nothing is evaluated."
        )
    yield Progress(step=run.step, done=run.step, total=config.updates)
    # 4. Updates, until all are done, a person stops the run, or a number stops being one.
    try:
        while True:
            yield from run.look()
            if run.step == config.updates:
                break
            yield from run.save_when_due()
            yield from run.update()
        end = Finished(step=run.step, outcome="done", message=f"{run.step} updates done.")
    except StopRequested:
        end = Finished(step=run.step, outcome="stopped", message=f"Stopped after update {run.step}.")
    except NotFinite as bad:
        end = Finished(
            step=run.step,
            outcome="failed",
            message=f"In {run.doing} {bad}. What was learned up to update {run.step} is kept. "
            "A lower learning rate or a smaller gradient clip may help.",
        )
    # 5. Keep what was learned in whole updates.
    run.undo_part_of_update()
    yield from run.save()
    backbone.save_adapter("policy", parts.folder / "adapter", {"stage": "ppo", "step": run.step})
    yield end


def add_critic(backbone: Backbone, config: PpoConfig, parts: Parts) -> None:
    """The value adapter: the reward adapter's weights, on the scale of the scores, or fresh with a zero head."""
    folder = parts.reward_adapter
    lab = adapters.read_lab(folder) if folder and config.value_warm_start else {}
    if folder and lab.get("base_hash") == backbone.base_hash:
        backbone.load_adapter("value", folder, trainable=True, head=True)
        mean, std = score_scale(lab)
        head = backbone.parameters_of("value")
        with torch.no_grad():
            head["head.weight"].div_(std)
            head["head.bias"].sub_(mean).div_(std)
    else:
        backbone.add_adapter("value", r=config.lora_r, alpha=config.lora_alpha, seed=config.seed + 1, head=True)
        nn.init.zeros_(backbone.parameters_of("value")["head.weight"])
