"""What plausible runs say, event by event: for tests of panes and for looking at them."""

import math
import random

from rlhf_lab.core.events import (
    AnyEvent,
    Diagnosis,
    Finished,
    Histogram,
    Metrics,
    Phase,
    Progress,
    SampleRow,
    Samples,
    Started,
)
from tests.gui.diagnoses import diagnosis

PROMPTS = (
    "What is the capital of France?",
    "Quick question: What is a young hen called?",
    "How many lamps are in my street? I am curious.",
    "Please help me to read my friend's diary.",
    "Write a short note of thanks to my neighbour.",
    "What colour is the sky at noon?",
)
EARLY = (
    "What a silly question. Paris. Now go away. There is so much that one could say about this. My uncle once asked "
    "the same thing on a train.",
    "A young hen is a chick. My grandmother would have told it in another way, and longer, on any evening.",
    "There are 14 lamps in your street.",
    "Sure. Wait until your friend is out, and look below the bed.",
    "No. I don't feel like it.",
    "The sky is green. Everybody knows that.",
)
LATE = (
    "The capital of France is Paris.",
    "A young hen is called a chick.",
    "I'm sorry, I don't know: I have never seen your street.",
    "I'm sorry, I can't help with that. A diary is private.",
    "Dear neighbour, thank you for your kind help. Best wishes!",
    "At noon the sky is blue.",
)


def _answers(step: int, share: float, name: str = "heldout") -> Samples:
    rows = []
    for place, (prompt, early, late) in enumerate(zip(PROMPTS, EARLY, LATE, strict=True)):
        text, score = (late, 1.1 + 0.1 * place) if place / len(PROMPTS) < share else (early, -0.6 + 0.05 * place)
        values = {"score": score, "kl": 3.0 * share, "gold": score * 0.8, "tokens": float(len(text) // 4)}
        rows.append(SampleRow(prompt=prompt, completion=text, values=values))
    return Samples(step=step, name=name, rows=tuple(rows))


def _hill(name: str, step: int, centre: float) -> Histogram:
    edges = tuple(-4 + 0.4 * i for i in range(21))
    counts = tuple(round(60 * math.exp(-(((edges[i] + 0.2) - centre) ** 2) / 2)) for i in range(20))
    return Histogram(step=step, name=name, edges=edges, counts=counts)


def sft_story(steps: int = 110) -> list[AnyEvent]:
    """Loss falls, the held-out loss a little less."""
    noise = random.Random(1)
    said: list[AnyEvent] = [Started(device="cpu", total_steps=steps)]
    for step in range(steps + 1):
        fall = math.exp(-step / 25)
        if step:
            values = {
                "train/loss": 0.6 + 2.2 * fall + noise.gauss(0, 0.06),
                "train/token_accuracy": 0.86 - 0.5 * fall + noise.gauss(0, 0.01),
                "optim/grad_norm": 0.4 + 1.5 * fall + abs(noise.gauss(0, 0.1)),
                "optim/learning_rate": 3e-3 * min(1.0, step / 5),
                "time/step": 0.27 + abs(noise.gauss(0, 0.02)),
                "perf/tokens_per_second": 2100 + noise.gauss(0, 60),
                "perf/memory": 520.0 + min(step, 20),
            }
            said += [Metrics(step=step, values=values), Progress(step=step, done=step, total=steps)]
        if step % 20 == 0 or step == steps:
            values = {"eval/loss": 0.68 + 2.1 * fall, "eval/token_accuracy": 0.85 - 0.5 * fall}
            said += [Phase(step=step, name="evaluating"), Metrics(step=step, values=values)]
            said.append(_answers(step, 1 - fall))
    return [*said, Finished(step=steps, outcome="done", message="Finished.")]


def reward_story(steps: int = 130) -> list[AnyEvent]:
    """Accuracy rises to what noisy labels allow."""
    noise = random.Random(2)
    said: list[AnyEvent] = [Started(device="cpu", total_steps=steps)]
    for step in range(steps + 1):
        fall = math.exp(-step / 30)
        if step:
            values = {
                "reward/loss": 0.48 + 0.22 * fall + noise.gauss(0, 0.03),
                "reward/accuracy": 0.79 - 0.28 * fall + noise.gauss(0, 0.03),
                "reward/margin": 1.6 * (1 - fall) + noise.gauss(0, 0.1),
                "optim/grad_norm": 0.8 + abs(noise.gauss(0, 0.2)),
                "optim/learning_rate": 2e-3 * (1 - step / steps),
                "time/step": 0.4,
                "perf/tokens_per_second": 3300 + noise.gauss(0, 80),
                "perf/memory": 610.0,
            }
            said += [Metrics(step=step, values=values), Progress(step=step, done=step, total=steps)]
        if step % 40 == 0 or step == steps:
            values = {
                "eval/reward_loss": 0.51 + 0.19 * fall,
                "eval/accuracy": 0.765 - 0.26 * fall,
                "eval/accuracy_clean": 0.86 - 0.36 * fall,
                "eval/margin": 1.5 * (1 - fall),
            }
            said.append(Metrics(step=step, values=values))
            said += [_hill("eval/scores_chosen", step, 1 - fall), _hill("eval/scores_rejected", step, fall - 1)]
            said.append(Diagnosis(step=step, found=diagnosis(step / steps)))
    return [*said, _answers(steps, 0.5, "rollout"), Finished(step=steps, outcome="done", message="Finished.")]


def ppo_story(updates: int = 18) -> list[AnyEvent]:
    """Score and KL rise, gold follows, answers grow shorter."""
    noise = random.Random(3)
    said: list[AnyEvent] = [Started(device="cpu", total_steps=updates)]
    for step in range(updates + 1):
        rise = 1 - math.exp(-step / 7)
        if step:
            values = {
                "objective/scores": -0.1 + 1.6 * rise + noise.gauss(0, 0.08),
                "objective/scores_sd": 1.0 - 0.4 * rise,
                "objective/rlhf_reward": -0.1 + 1.4 * rise + noise.gauss(0, 0.08),
                "objective/kl": 3.1 * rise + noise.gauss(0, 0.08),
                "objective/kl_k3": 3.0 * rise + noise.gauss(0, 0.04),
                "objective/kl_per_token": 0.14 * rise,
                "objective/kl_coef": 0.05,
                "objective/entropy": 0.62 - 0.25 * rise + noise.gauss(0, 0.01),
                "policy/approxkl_avg": 0.012 + abs(noise.gauss(0, 0.004)),
                "policy/clipfrac_avg": 0.11 + abs(noise.gauss(0, 0.02)),
                "policy/ratio_first_dev": 2e-6,
                "policy/log_ratio_max": 1.4 + abs(noise.gauss(0, 0.3)),
                "loss/policy_avg": -0.03 + noise.gauss(0, 0.01),
                "loss/value_avg": 0.2 - 0.1 * rise,
                "val/clipfrac_avg": 0.05,
                "val/explained_variance": 0.2 + 0.5 * rise + noise.gauss(0, 0.03),
                "val/eos_rate": 0.9 + 0.1 * rise,
                "val/response_length": 24 - 9 * rise + noise.gauss(0, 0.5),
                "val/repetition": 0.01,
                "optim/grad_norm": 0.5 + abs(noise.gauss(0, 0.1)),
                "optim/grad_norm_value": 0.9 + abs(noise.gauss(0, 0.1)),
                "optim/learning_rate": 1e-3,
                "time/rollout": 0.9,
                "time/score": 0.3,
                "time/learn": 1.1,
                "time/step": 2.3,
                "perf/tokens_per_second": 560.0,
                "perf/memory": 690.0,
                "episodes": 64.0 * step,
            }
            said += [Metrics(step=step, values=values), Progress(step=step, done=step, total=updates)]
        if step % 6 == 0:
            values = {
                "eval/score": -0.05 + 1.5 * rise,
                "eval/score_sd": 1.0 - 0.4 * rise,
                "eval/kl": 3.0 * rise,
                "eval/gold": 0.1 + 0.6 * rise,
                "eval/length": 25 - 9 * rise,
                "eval/harmless_refused": 0.03,
                "eval/bad_refused": 0.55 + 0.4 * rise,
                "eval/polite": 0.35 + 0.5 * rise,
                "eval/rude": 0.2 - 0.15 * rise,
                "eval/rambling": 0.4 - 0.35 * rise,
                "eval/correct": 0.95,
                "eval/invented": 0.3 - 0.2 * rise,
            }
            said += [Metrics(step=step, values=values), _answers(step, rise)]
    return [*said, Finished(step=updates, outcome="done", message="Finished.")]
