"""An on-policy run under way: one update, one look at held-out prompts, one checkpoint at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from rlhf_lab.core.config import PpoConfig, RlooConfig
from rlhf_lab.core.events import (
    AnyEvent,
    Changed,
    Checkpointed,
    Metrics,
    Phase,
    Progress,
    SampleRow,
    Samples,
    Warned,
    relative_path,
)
from rlhf_lab.engine import checkpoint, machine, maths
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import batch_indices
from rlhf_lab.engine.evaluate import evaluate, judged_rows, telling
from rlhf_lab.engine.first_pass import FirstPass
from rlhf_lab.engine.histograms import histogram
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.ppo_update import Targets, by_token, describe, distributions, learn
from rlhf_lab.engine.prompts import Asked, PromptPool, encode
from rlhf_lab.engine.rewards import RewardSource
from rlhf_lab.engine.rollout import Rollout, sample_episodes, score_episodes
from rlhf_lab.engine.seeds import generator_for

FIRST_ANSWERS = 16
"""Of so many a run speaks before its first look, where that is at least four times as large."""


@dataclass(frozen=True)
class Algorithm:
    """What sets one on-policy stage apart from another."""

    targets: Callable[[Rollout, float, maths.Moments], Targets]
    """Of a rollout, under β, after rollouts whose scores had these moments."""
    answers: int = 1
    """To each prompt, neighbours in the batch."""
    critic: bool = False
    """Whether there is an adapter "value" that learns what to expect."""


@dataclass
class Run:
    """A run under way: what it works with, and where it stands after ``step`` whole updates."""

    config: PpoConfig | RlooConfig
    algorithm: Algorithm
    parts: Parts
    backbone: Backbone
    trainable: Trainable
    rewards: Sequence[RewardSource]
    pool: PromptPool
    heldout: Asked
    step: int = 0
    kl_coef: float = 0.0
    learning_rate: float = 0.0
    evaluated: int = -1
    spoken: bool = False
    """Whether the first answers were told."""
    shortened: bool = False
    scores_seen: maths.Moments = maths.NOTHING_SEEN
    whole: dict[str, Tensor] = field(default_factory=dict)
    """Weights and moments after ``step``: what Stop saves at once, in mid-update too."""
    saved: dict[str, Any] | None = None
    """The state that the newest checkpoint holds."""
    doing: str = ""
    """For people, when it goes wrong: "update 7"."""

    def __post_init__(self) -> None:
        self.kl_coef = self.config.kl_coef
        self.learning_rate = self.config.learning_rate
        self.whole = self.trainable.snapshot()

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds beside tensors; random numbers and data order follow from the step."""
        return {
            "base_hash": self.backbone.base_hash,
            "step": self.step,
            "kl_coef": self.kl_coef,
            "learning_rate": self.learning_rate,
            "evaluated": self.evaluated,
            "spoken": self.spoken,
            "shortened": self.shortened,
            "scores_seen": asdict(self.scores_seen),
        }

    def go_back_to(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.trainable.restore(tensors)
        self.whole, self.saved = tensors, state
        self.step = step
        self.kl_coef, self.learning_rate = float(state["kl_coef"]), float(state["learning_rate"])
        self.evaluated, self.shortened = int(state["evaluated"]), bool(state["shortened"])
        self.spoken = bool(state.get("spoken", False))  # older saves do not say
        self.scores_seen = maths.Moments(**state["scores_seen"])

    def undo_part_of_update(self) -> None:
        self.trainable.restore(self.whole)

    def save_when_due(self) -> Iterator[AnyEvent]:
        every = self.config.checkpoint_every
        if every and self.step and self.step % every == 0:
            yield from self.save()

    def save(self) -> Iterator[AnyEvent]:
        if self.saved == self.state():
            return
        folder = self.parts.folder / "checkpoints"
        path = checkpoint.save(folder, self.step, self.whole, self.state(), self.parts.control)
        self.saved = self.state()
        yield Checkpointed(step=self.step, path=relative_path(path, self.parts.folder))

    def look(self) -> Iterator[AnyEvent]:
        """Evaluate when it is due and was not done yet."""
        every = self.config.eval_every
        due = self.step in (0, self.config.updates) or (every and self.step % every == 0)
        if not due or self.evaluated == self.step or not self.heldout:
            return
        self.doing = f"the evaluation after update {self.step}"
        yield Phase(step=self.step, name="evaluating")
        if not self.step and not self.spoken and len(self.heldout) >= 4 * FIRST_ANSWERS:
            yield Metrics(step=self.step, values=self._first_answers())
            self.spoken = True
        metrics, rows = self._evaluate(self.heldout)
        self.evaluated = self.step
        yield Metrics(step=self.step, values=metrics)
        yield Samples(step=self.step, name="heldout", rows=rows)

    def _first_answers(self) -> dict[str, float]:
        """``first/…`` of a few held-out prompts, answered for this alone: the look itself, which takes long, is as it was."""
        few = self.heldout.spread(FIRST_ANSWERS)
        found, _ = self._evaluate(few)
        told = {f"first/{name}": found[f"eval/{name}"] for name in ("score", "gold") if f"eval/{name}" in found}
        return {"first/answers": float(len(few)), **told}

    def _evaluate(self, asked: Asked) -> tuple[dict[str, float], tuple[SampleRow, ...]]:
        return evaluate(self.backbone, asked, self.rewards, self.config, self.parts.judge, self.parts.control.tick)

    def changes(self) -> Iterator[AnyEvent]:
        """Take over settings that a person changed."""
        for name, value in self.parts.control.changes().items():
            setattr(self, name, value)
            yield Changed(step=self.step, field=name, value=value)

    def update(self) -> Iterator[AnyEvent]:
        """One whole update; nothing of the run's standing changes before its end, but what a person sets."""
        config, backbone, tick = self.config, self.backbone, self.parts.control.tick
        yield from self.changes()
        step = self.step + 1
        warm = min(1.0, step / (config.warmup_steps + 1))
        # A critic does not wait: while the policy still stands, it learns what the policy is to be judged by.
        self.trainable.learning_rates["policy"] = self.learning_rate * warm

        self.doing = f"update {step}"
        yield Phase(step=step, name="sampling")
        began = time.perf_counter()
        places = batch_indices(len(self.pool), config.batch_size // self.algorithm.answers, self.step, config.seed)
        asked, cut = encode(backbone.tokenizer, self.pool, places, config.max_prompt_tokens)
        if cut and not self.shortened:
            self.shortened = True
            yield Warned(step=step, code="cut", text=_shortened(cut, len(asked), config))
        generator = generator_for(config.seed, "answers", step)
        asked = asked.repeated(self.algorithm.answers)
        episodes = sample_episodes(backbone, asked, config, generator=generator, tick=tick)
        sampled = time.perf_counter()
        first_pass = FirstPass.of(backbone, episodes, config)
        rollout = score_episodes(
            backbone, episodes, self.rewards, config, tick, critic=self.algorithm.critic, first_pass=first_pass
        )
        targets = self.algorithm.targets(rollout, self.kl_coef, self.scores_seen)
        metrics = describe(rollout, targets, self.kl_coef)
        scored = time.perf_counter()

        yield Phase(step=step, name="learning")
        generator = generator_for(config.seed, "minibatches", step)
        metrics |= learn(backbone, self.trainable, rollout, targets, config, generator=generator, tick=tick)
        learned = time.perf_counter()

        self.step = step
        self.scores_seen = self.scores_seen.with_(rollout.scores)
        if config.adaptive_kl:
            self.kl_coef = maths.adapted_kl_coef(
                self.kl_coef, metrics["objective/kl"], config.target_kl, config.kl_horizon, len(episodes)
            )
        self.whole.clear()  # before the copy, so that two are never held
        self.whole = self.trainable.snapshot()
        metrics |= {
            "episodes": float(step * config.batch_size),
            "optim/learning_rate": self.learning_rate * warm,
            "time/rollout": sampled - began,
            "time/score": scored - sampled,
            "time/learn": learned - scored,
            "time/step": time.perf_counter() - began,
            "perf/tokens_per_second": sum(episodes.lengths()) / (time.perf_counter() - began),
            "perf/memory": machine.peak_memory_mb(backbone.device),
        }
        yield Metrics(step=step, values=metrics)
        yield from self._show(rollout, targets)
        yield Progress(step=step, done=step, total=config.updates)

    def _show(self, rollout: Rollout, targets: Targets) -> Iterator[AnyEvent]:
        """The update's distributions, and some of its answers token by token."""
        for name, values in distributions(rollout, targets).items():
            yield histogram(self.step, name, values)
        kl = maths.masked_row_sum(maths.k1(rollout.logprobs, rollout.ref_logprobs), rollout.mask)
        _, rows = judged_rows(
            self.backbone,
            rollout.episodes,
            telling(rollout.scores),
            {"score": rollout.scores, "kl": kl},
            self.parts.judge,
            per_token=by_token(rollout, targets),
        )
        yield Samples(step=self.step, name="rollout", rows=rows)


def _shortened(cut: int, asked: int, config: PpoConfig | RlooConfig) -> str:
    return (
        f"{cut} of the {asked} prompts of this batch are longer than max_prompt_tokens = {config.max_prompt_tokens} "
        "and lost their oldest turns or their middle. This is said once."
    )
