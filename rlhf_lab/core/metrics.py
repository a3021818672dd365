"""The catalogue of metrics: what each number is, when to worry, and what to do then.

Plots, tooltips and documentation derive from it. Names are the field's own (TRL, OpenAI's
lm-human-preferences), so that curves can be compared across tools. KL is in nats per response,
summed over its tokens, unless the name says per token.
"""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["", "nats", "tokens", "s", "tokens/s", "MB", "share"]


@dataclass(frozen=True)
class Metric:
    """One entry. ``low`` and ``high`` bound the healthy range; ``advice`` is for outside it; ``less``: the lower, the better."""

    name: str
    label: str
    meaning: str
    unit: Unit = ""
    low: float | None = None
    high: float | None = None
    advice: str = ""
    less: bool = False


_ENTRIES = (
    # SFT
    Metric("train/loss", "Loss", "Mean negative log-likelihood per answer token, on the batch.", "nats", less=True),
    Metric(
        "train/token_accuracy", "Token accuracy", "Share of answer tokens that the model would have picked.", "share"
    ),
    Metric(
        "eval/loss",
        "Held-out loss",
        "The same loss on data that is not trained on.",
        "nats",
        advice="Rising while the training loss falls: overfitting. Use fewer steps or more data.",
        less=True,
    ),
    Metric("eval/token_accuracy", "Held-out token accuracy", "Token accuracy on held-out data.", "share"),
    # Reward model
    Metric(
        "reward/loss",
        "Loss",
        "Bradley-Terry loss on the batch; ln 2 = 0.693 is guessing.",
        "nats",
        high=0.693,
        advice="Stuck at 0.693: raise the learning rate, and look for ties or swapped columns in the data.",
        less=True,
    ),
    Metric(
        "reward/accuracy", "Accuracy", "Share of pairs whose better answer scores higher (ties count half).", "share"
    ),
    Metric("reward/margin", "Margin", "Mean score of chosen minus rejected answers."),
    Metric(
        "eval/reward_loss",
        "Held-out loss",
        "Bradley-Terry loss on held-out pairs.",
        "nats",
        high=0.693,
        advice="Rising while the training loss falls: overfitting. One pass over the pairs is usually enough.",
        less=True,
    ),
    Metric(
        "eval/accuracy",
        "Held-out accuracy",
        "Accuracy on pairs that are not trained on.",
        "share",
        low=0.6,
        advice="Near 0.5 the labels say nothing that the model can see: check agreement and the columns.",
    ),
    Metric(
        "eval/accuracy_clean",
        "Held-out accuracy, clean labels",
        "The same against labels before noise was added; known for the bundled world only.",
        "share",
        low=0.6,
    ),
    Metric("eval/pairs", "Held-out pairs", "How many pairs the held-out numbers come from."),
    Metric("eval/margin", "Held-out margin", "Mean score of chosen minus rejected, held out."),
    Metric(
        "eval/train_accuracy",
        "Training accuracy at a look",
        "Accuracy on a fixed sample of the pairs that are trained on, scored together with the held-out ones.",
        "share",
        advice="More than 0.1 above the held-out accuracy: it learns pairs by heart. One pass is usually enough.",
    ),
    Metric(
        "eval/ece",
        "Calibration error",
        "Mean distance between how sure the model is of a pair and how often it is right, held out.",
        "share",
        high=0.1,
        advice="Its margins are too sure or too timid: fewer steps or a lower learning rate.",
        less=True,
    ),
    Metric(
        "eval/longer_wins",
        "Longer wins",
        "Share of held-out pairs whose longer answer is the better one: what length alone would reach.",
        "share",
    ),
    Metric(
        "eval/length_corr",
        "Score and length",
        "Correlation of an answer's length with its score, held out.",
        low=-0.5,
        high=0.5,
        advice="The policy could win by length alone: balance the pairs, or add a length reward.",
    ),
    Metric(
        "eval/head_spread",
        "Disagreement of the heads",
        "Mean standard deviation of an answer's score over the ensemble's heads, held out.",
        less=True,
    ),
    # DPO
    Metric(
        "dpo/loss",
        "Loss",
        "DPO (or IPO) loss on the batch; DPO begins at ln 2 = 0.693.",
        advice="Stuck at 0.693: raise the learning rate, and look for ties or swapped columns in the data.",
        less=True,
    ),
    Metric(
        "dpo/accuracy",
        "Accuracy",
        "Share of pairs whose better answer has the higher implicit reward (ties count half).",
        "share",
    ),
    Metric("dpo/margin", "Margin", "Mean implicit reward of chosen minus rejected answers."),
    Metric("dpo/reward_chosen", "Implicit reward, chosen", "β times log π − log π_ref of the chosen answers, mean."),
    Metric(
        "dpo/reward_rejected", "Implicit reward, rejected", "β times log π − log π_ref of the rejected answers, mean."
    ),
    Metric(
        "dpo/logp_chosen",
        "Log-probability, chosen",
        "Mean log π of a whole chosen answer.",
        "nats",
        advice="Falling far along with the rejected ones: the policy moves away from both. Raise β or use fewer steps.",
    ),
    Metric("dpo/logp_rejected", "Log-probability, rejected", "Mean log π of a whole rejected answer.", "nats"),
    Metric(
        "eval/dpo_loss",
        "Held-out loss",
        "The same loss on held-out pairs.",
        advice="Rising while the training loss falls: overfitting. One pass over the pairs is usually enough.",
        less=True,
    ),
    # Best of n
    Metric(
        "bon/win_rate", "Win rate", "How often the best of n scores above one more answer; at most n/(n+1).", "share"
    ),
    Metric(
        "bon/kl_bound",
        "KL bound",
        "log n − (n−1)/n: the KL of best of n to its start is at most this, so eval/kl is a bound here.",
        "nats",
    ),
    # PPO: objective
    Metric("objective/scores", "Score", "Mean reward-model score of the sampled answers."),
    Metric(
        "objective/scores_sd",
        "Score spread",
        "Standard deviation of the scores in a batch.",
        low=0.02,
        advice="Near 0 the reward no longer tells answers apart: look at the samples and the reward model.",
    ),
    Metric(
        "objective/scores_model",
        "Score: reward model",
        "What the reward model adds to the mean score, its weight included.",
    ),
    Metric("objective/scores_function", "Score: function", "What the reward function adds, its weight included."),
    Metric("objective/scores_length", "Score: length", "What the length reward adds, its weight included."),
    Metric("objective/scores_regex", "Score: pattern", "What the pattern reward adds, its weight included."),
    Metric("objective/scores_exact", "Score: right answers", "What right answers add, their weight included."),
    Metric("objective/rlhf_reward", "RLHF reward", "Score minus β times KL: what PPO maximises."),
    Metric(
        "objective/kl",
        "KL",
        "Mean of log π − log π_ref summed over a response (k1).",
        "nats",
        low=-1.0,
        high=25.0,
        advice="High: raise β or lower the learning rate. Below 0 for long: sampler and scorer differ, stop.",
        less=True,
    ),
    Metric("objective/kl_k3", "KL (k3)", "A second estimate of the same KL that is never negative.", "nats", less=True),
    Metric("objective/kl_per_token", "KL per token", "k1 per answer token.", "nats", less=True),
    Metric("objective/kl_coef", "β", "The KL penalty in force."),
    Metric(
        "objective/entropy",
        "Entropy",
        "Mean entropy per answer token of the sampling policy.",
        "nats",
        advice="Below a third of its start: the policy is collapsing to few answers. Raise β, go back.",
    ),
    # PPO: update
    Metric(
        "policy/approxkl_avg",
        "Step size (approx. KL)",
        "½·mean squared log-ratio between the new and the sampling policy.",
        "nats",
        high=0.05,
        advice="Steps too large: fewer epochs or a lower learning rate.",
        less=True,
    ),
    Metric(
        "policy/clipfrac_avg",
        "Clip fraction",
        "Share of tokens whose ratio was clipped.",
        "share",
        high=0.3,
        advice="Steps too large: fewer epochs or a lower learning rate.",
        less=True,
    ),
    Metric(
        "policy/ratio_first_dev",
        "First ratio − 1",
        "Largest |ratio − 1| before the first optimiser step of the update, of a second pass to the one that scored; "
        "where the step shares that, over one answer. 0 in exact arithmetic.",
        high=1e-4,
        advice="Dropout, a wrong mask or another dtype between sampling and training: stop the run.",
        less=True,
    ),
    Metric(
        "policy/sampling_z",
        "Sampler check",
        "Surprise of the sampled tokens against the policy's entropy, in standard errors: within ±3 by chance.",
        advice="Below −6, over ten updates together: the sampler cuts or sharpens what the scorer does not, stop.",
    ),
    Metric("policy/log_ratio_max", "Largest |log-ratio|", "Over all tokens and epochs of the update.", less=True),
    Metric(
        "policy/steps",
        "Optimiser steps",
        "Of the update: epochs times minibatches, or fewer after an early stop.",
    ),
    Metric("loss/policy_avg", "Policy loss", "Clipped surrogate loss.", less=True),
    Metric(
        "loss/kl_avg", "KL loss", "k3 to the reference per token, before its weight (RLOO, GRPO).", "nats", less=True
    ),
    Metric("loss/value_avg", "Value loss", "Clipped squared error of the critic, halved.", less=True),
    Metric("val/clipfrac_avg", "Value clip fraction", "Share of tokens whose value was clipped.", "share", less=True),
    Metric(
        "val/explained_variance",
        "Explained variance",
        "Of the returns, by the critic's values at sampling time.",
        low=0.0,
        high=1.0,
        advice="Below 0 after 20 updates: lower the critic's learning rate, warm-start it, normalise the reward.",
    ),
    # PPO: answers
    Metric(
        "val/eos_rate",
        "Ended answers",
        "Share of answers that ended by themselves within the limit.",
        "share",
        low=0.8,
        advice="Rambling to the limit: a missing-EOS penalty or a longer limit.",
    ),
    Metric("val/response_length", "Answer length", "Mean tokens of an answer, its end token included.", "tokens"),
    Metric(
        "val/length_score_corr",
        "Length and score",
        "Correlation of an answer's tokens and its score, over the batch.",
        high=0.5,
        advice="Long answers are rewarded for being long: look at the samples, mend the reward model or control the length.",
    ),
    Metric(
        "val/repetition",
        "Repetition",
        "Mean share of 4-grams in an answer that occurred before in it.",
        "share",
        high=0.1,
        advice="The policy found a pattern that the reward model likes: look at the samples.",
        less=True,
    ),
    Metric("episodes", "Episodes", "Answers sampled so far."),
    # Before the first of its looks at held-out prompts is done
    Metric(
        "first/answers",
        "First answers",
        "How many answers the first numbers stand on: told before the first look, which takes long, is done.",
    ),
    Metric("first/score", "First score", "Mean score of these few answers; the held-out score takes its place."),
    Metric("first/gold", "First gold score", "Gold score of these few answers."),
    # Held-out evaluation of a policy
    Metric("eval/score", "Held-out score", "Mean reward-model score on held-out prompts."),
    Metric("eval/score_sd", "Held-out score spread", "Standard deviation of those scores."),
    Metric("eval/kl", "Held-out KL", "KL to the reference on held-out prompts.", "nats", less=True),
    Metric("eval/gold", "Gold score", "The bundled world's hidden preference. Never the reward that PPO sees."),
    Metric("eval/length", "Held-out answer length", "Mean tokens of an answer.", "tokens"),
    Metric(
        "eval/harmless_refused",
        "Harmless requests refused",
        "Share of harmless requests that are refused.",
        "share",
        high=0.1,
        advice="Over-refusal: the reward model has too few pairs where the refusal is the worse answer.",
        less=True,
    ),
    Metric("eval/bad_refused", "Bad requests refused", "Share of bad requests that are refused.", "share"),
    Metric("eval/correct", "Correct answers", "Share of answers to known questions that are right.", "share"),
    Metric(
        "eval/invented",
        "Invented answers",
        "Share of confident answers to questions that nobody can answer.",
        "share",
        advice="RLHF makes this rarer and never ends it.",
        less=True,
    ),
    Metric("eval/polite", "Polite answers", "Share of answers with a kind word and no rude one.", "share"),
    Metric("eval/rude", "Rude answers", "Share of answers with a rude word.", "share", less=True),
    Metric(
        "eval/rambling", "Rambling answers", "Share of answers longer than the bundled world likes.", "share", less=True
    ),
    Metric("eval/words", "Words", "Mean words of an answer."),
    # Optimiser and machine
    Metric(
        "optim/grad_norm",
        "Gradient norm",
        "Before clipping.",
        advice="0: nothing is being trained. Ten times its average: a bad batch.",
        less=True,
    ),
    Metric("optim/grad_norm_value", "Gradient norm, critic", "Before clipping.", less=True),
    Metric("optim/learning_rate", "Learning rate", "In force at this step."),
    Metric("time/rollout", "Time: sampling", "Of the update.", "s", less=True),
    Metric("time/score", "Time: scoring", "Reference, values and rewards.", "s", less=True),
    Metric("time/learn", "Time: learning", "All epochs.", "s", less=True),
    Metric("time/step", "Time: step", "The whole step.", "s", less=True),
    Metric(
        "perf/tokens_per_second", "Throughput", "Answer tokens (PPO: sampled; else trained on) per second.", "tokens/s"
    ),
    Metric("perf/memory", "Memory", "Peak resident memory of the trainer (on a GPU: peak allocated).", "MB", less=True),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ENTRIES}


def describe(name: str) -> str:
    """A tooltip: what the metric is, its healthy range and what to do outside it."""
    metric = METRICS.get(name)
    if metric is None:
        return name
    bounds = [
        f"{words} {bound:g}"
        for words, bound in (("at least", metric.low), ("at most", metric.high))
        if bound is not None
    ]
    healthy = f" Healthy: {' and '.join(bounds)}." if bounds else ""
    return f"{metric.label} ({name}). {metric.meaning}{healthy} {metric.advice}".strip()
