"""The bandit: one prompt, answers of one token, known rewards. The best policy is known, and each algorithm must reach it.

π* ∝ π_ref·exp(r/β), of value β·log E_ref[exp(r/β)]. The rewards are β·(log of how the reference answers another
prompt − its answer to this one) + 3, so that π* is a distribution that the model's head can express.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlhf_lab.core.config import DpoConfig, PpoConfig, RlooConfig
from rlhf_lab.core.control import NoControl
from rlhf_lab.core.events import AnyEvent, Finished, Metrics
from rlhf_lab.core.records import Completion, Pair, PromptOnly
from rlhf_lab.engine import dpo, ppo, rloo
from rlhf_lab.engine.chat import encode_prompt
from rlhf_lab.engine.oracles.bench import SPECIAL, WORDS, Bench, next_token, prompt
from rlhf_lab.engine.oracles.oracle import Oracle
from rlhf_lab.engine.scoring import Episodes

BETA = 0.5
HERE, THERE = "tea", "blue moon rain"


class Calming(NoControl):
    """Lowers the learning rate on the way, as a person would: sampling noise ends where the rate does."""

    def __init__(self, wishes: dict[int, float]) -> None:
        self._wishes = wishes
        self._updates = 0

    def changes(self) -> dict[str, float]:
        """The wish for this update, if there is one."""
        self._updates += 1
        rate = self._wishes.get(self._updates)
        return {} if rate is None else {"learning_rate": rate}


@dataclass(frozen=True)
class Bandit:
    """The task, and its solution."""

    bench: Bench
    ids: list[int]
    reference: Tensor
    """log π_ref [V]"""
    rewards: Tensor
    """[V]"""

    @property
    def optimum(self) -> Tensor:
        """log π* [V]"""
        return (self.reference + self.rewards / BETA).log_softmax(-1)

    def reward(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        """The reward source of a stage."""
        return self.rewards[[answer[0] for answer in episodes.answer_ids]].float()

    def judge(self, run: str, events: list[AnyEvent]) -> Iterator[Oracle]:
        """Hold the policy that ``run`` left against the optimum."""
        end = events[-1]
        if not isinstance(end, Finished) or end.outcome != "done":
            raise RuntimeError(f"the bandit's {run} run ended with {end}")
        backbone = self.bench.backbone()
        backbone.load_adapter("policy", self.bench.folder / run / "adapter")
        found = next_token(backbone, self.ids, "policy")
        far = kl(self.reference, self.optimum)
        yield Oracle(
            f"bandit, {run.upper()}: share of KL(π_ref‖π*) that is left",
            0,
            kl(found, self.optimum) / far,
            0.03,
            f"π* ∝ π_ref·exp(r/β), β {BETA}; the start is {far:.2f} nats away.",
        )
        best = BETA * (self.reference + self.rewards / BETA).logsumexp(-1).item()
        value = (found.exp() * self.rewards).sum().item() - BETA * kl(found, self.reference)
        yield Oracle(f"bandit, {run.upper()}: value reached", best, value, 0.02, "β·log E_ref[exp(r/β)].")


def make(bench: Bench) -> Bandit:
    """The task on the tiny model."""
    backbone = bench.backbone()
    here, there = (encode_prompt(backbone.tokenizer, prompt(text), 48)[0] for text in (HERE, THERE))
    reference = next_token(backbone, here, None)
    return Bandit(bench, here, reference, BETA * (next_token(backbone, there, None) - reference) + 3.0)


def kl(p: Tensor, q: Tensor) -> float:
    """KL(p‖q) of log-probabilities."""
    return (p.exp() * (p - q)).sum().item()


def ppo_bandit(bench: Bench) -> Iterator[Oracle]:
    """PPO, the whole stage."""
    task = make(bench)
    config = PpoConfig(**_on_policy(bench), epochs=2, value_learning_rate=0.02)
    given = bench.parts("ppo", [PromptOnly(prompt=prompt(HERE))], control=Calming(_CALMER))
    yield from task.judge("ppo", list(ppo.train(config, given, [task.reward])))


def rloo_bandit(bench: Bench) -> Iterator[Oracle]:
    """RLOO, the whole stage: all answers of a batch are to the one prompt."""
    task = make(bench)
    config = RlooConfig(**_on_policy(bench), epochs=2, samples=32)
    given = bench.parts("rloo", [PromptOnly(prompt=prompt(HERE))], control=Calming(_CALMER))
    yield from task.judge("rloo", list(rloo.train(config, given, [task.reward])))


def dpo_bandit(bench: Bench) -> Iterator[Oracle]:
    """DPO, the whole stage, on every pair of eight answers, each weighted by how probable Bradley–Terry makes it."""
    task = make(bench)
    answers = range(len(SPECIAL), len(SPECIAL) + 8)
    pairs = [
        Pair(
            prompt=prompt(HERE),
            chosen=Completion(text=(SPECIAL + WORDS)[won]),
            rejected=Completion(text=(SPECIAL + WORDS)[lost]),
            weight=(task.rewards[won] - task.rewards[lost]).sigmoid().item(),
        )
        for won in answers
        for lost in answers
        if won != lost
    ]
    config = DpoConfig(
        beta=BETA,
        max_steps=40,
        batch_size=len(pairs),
        micro_batch_size=2 * len(pairs),
        learning_rate=0.02,
        max_prompt_tokens=48,
        max_new_tokens=1,
        lora_r=8,
        eval_every=0,
        checkpoint_every=0,
        device=bench.device,
        threads=1,
    )
    events = list(dpo.train(config, bench.parts("dpo", pairs)))
    first = next(e.values["dpo/loss"] for e in events if isinstance(e, Metrics) and "dpo/loss" in e.values)
    yield Oracle(
        "DPO, the stage: loss of the first step", math.log(2), first, 1e-6, "ln 2: the adapter changes nothing."
    )
    backbone = bench.backbone()
    backbone.load_adapter("policy", bench.folder / "dpo" / "adapter")
    implicit = BETA * (next_token(backbone, task.ids, "policy") - task.reference)
    there = torch.tensor(list(answers))
    gaps = (implicit - task.rewards)[there]
    words = "With true Bradley–Terry labels β·log π/π_ref is the reward but for a constant."
    spread = (gaps.max() - gaps.min()).item()
    yield Oracle("bandit, DPO: largest error of an implicit reward difference", 0, spread, 0.05, words)


def _on_policy(bench: Bench) -> dict[str, Any]:
    return {
        "kl_coef": BETA,
        "max_prompt_tokens": 48,
        "max_new_tokens": 1,
        "batch_size": 96,
        "micro_batch_size": 96,
        "updates": 24,
        "learning_rate": 0.02,
        "lora_r": 8,
        "eval_every": 0,
        "checkpoint_every": 0,
        "device": bench.device,
        "threads": 1,
    }


_CALMER = {14: 6e-3, 20: 2e-3}
