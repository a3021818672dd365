"""Learning from a policy's own answers: sample, score, learn, look, repeat. PPO and RLOO differ in an `Algorithm`.

Random numbers depend on seed, purpose and update alone, so a run that was stopped and resumed says on a CPU
exactly what an uninterrupted one says.
"""

from collections.abc import Callable, Iterator, Sequence

from rlhf_lab.core.config import PpoConfig, RlooConfig, steps_in_words
from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Finished, Phase, Progress, Warned
from rlhf_lab.core.out_of_memory import is_out_of_memory, let_go_of_frames
from rlhf_lab.engine import machine, room
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.beginning import begin, load_base
from rlhf_lab.engine.evaluate import heldout_prompts
from rlhf_lab.engine.finite import NotFinite
from rlhf_lab.engine.on_policy_run import Algorithm, Run
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.prompts import unique_prompts
from rlhf_lab.engine.rewards import RewardSource, idle_weights, load_rewards


def train(
    config: PpoConfig | RlooConfig,
    parts: Parts,
    algorithm: Algorithm,
    rewards: Sequence[RewardSource] | None = None,
    *,
    prepare: Callable[[Backbone], Sequence[Warned]] = lambda backbone: (),
) -> Iterator[AnyEvent]:
    """The whole run. ``prepare`` adds what the algorithm trains beside the policy, and gives what to say of it."""
    # 1. One base, its adapters, and where the scores come from.
    yield Phase(name="loading the model")
    machine.use_threads(config.threads)
    backbone = load_base(config, parts)
    rewards = load_rewards(backbone, config, parts) if rewards is None else rewards
    backbone.add_adapter(
        "policy", r=config.lora_r, alpha=config.lora_alpha, seed=config.seed, layers=config.lora_layers
    )
    notes = prepare(backbone)
    # 2. Questions.
    pool, kept_out = unique_prompts(parts.records)
    if not pool:
        raise LabError("The data set has no prompts to train on. Choose one whose train split is not empty.")
    heldout = heldout_prompts(backbone.tokenizer, kept_out, config.eval_size, config)
    # 3. Where the run stands.
    run = Run(config, algorithm, parts, backbone, Trainable(backbone, config), rewards, pool, heldout)
    yield from begin(parts, backbone, config.updates, run.go_back_to)
    yield from notes
    if not run.step:
        yield from idle_weights(config)
    if not heldout:
        yield Warned(
            step=run.step, code="no_heldout", text="The data set has no held-out prompts: nothing is evaluated."
        )
    yield Progress(step=run.step, done=run.step, total=config.updates)
    # 4. Updates, until all are done, a person stops the run, a number stops being one, or a reward fails.
    try:
        while True:
            yield from run.look()
            if run.step == config.updates:
                break
            yield from run.save_when_due()
            yield from run.update()
        end = Finished(step=run.step, outcome="done", message=f"{steps_in_words(config.stage, run.step)} done.")
    except StopRequested:
        yield from run.changes()  # those that were asked for in the update which is given up hold after a resume
        text = f"Stopped after update {run.step} of {config.updates}; that update is saved. Resume goes on from it."
        end = Finished(step=run.step, outcome="stopped", message=text)
    except NotFinite as bad:
        end = Finished(
            step=run.step,
            outcome="failed",
            message=f"In {run.doing} {bad}. What was learned up to update {run.step} is kept. {_advice(bad, run.step)}",
        )
    except LabError as error:  # a reward function that failed, or a prompt that cannot be asked
        end = Finished(
            step=run.step,
            outcome="failed",
            message=f"{error} What was learned up to update {run.step} is kept.",
        )
    except Exception as error:
        if is_out_of_memory(error) and run.whole:
            let_go_of_frames(error)
            yield from _keep(run)
        raise
    # 5. Keep what was learned in whole updates.
    yield from _keep(run)
    yield end


def _keep(run: Run) -> Iterator[AnyEvent]:
    """The last whole update, as a checkpoint and as ``adapter/``."""
    run.undo_part_of_update()
    yield from run.save()
    room.save_adapter(run.backbone, "policy", run.parts, {"stage": run.config.stage, "step": run.step})


def _advice(bad: NotFinite, step: int) -> str:
    """What may help: a score is bad by itself where nothing was learned that could have led to it."""
    if "score" in bad.term and not step:
        return (
            "Nothing was learned yet, so it comes from what scores the answers: look at the reward model or function."
        )
    return "A lower learning rate or a smaller gradient clip may help."
