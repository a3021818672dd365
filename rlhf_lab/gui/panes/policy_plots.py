"""What the boards of the Policy pane plot, and the words that go with it."""

from dataclasses import dataclass

from rlhf_lab.core.help import tip
from rlhf_lab.gui.models.plot_spec import PlotSpec

GOLD_NOTE = (
    "Gold is the bundled world's hidden preference; no algorithm sees it. Score up and gold down is over-optimisation."
)
TRADEOFF_HELP = f"{tip('control.tradeoff')} {GOLD_NOTE}"

# Algorithms that sample while they learn
SCORE = PlotSpec(
    "Score",
    {"objective/scores": "Sampled", "eval/score": "Held-out", "eval/gold": "Gold"},
    note=GOLD_NOTE,
    dashed=frozenset({"eval/score", "eval/gold"}),
)
KL = PlotSpec(
    "KL to the start",
    {"objective/kl": "Sampled", "objective/kl_k3": "k3 estimate", "eval/kl": "Held-out"},
    dashed=frozenset({"eval/kl"}),
)
SOURCES = {
    "objective/scores_model": "Model",
    "objective/scores_function": "Function",
    "objective/scores_length": "Length",
    "objective/scores_regex": "Pattern",
    "objective/scores_exact": "Right",
}
REWARD = PlotSpec(
    "RLHF reward",
    {"objective/rlhf_reward": "Score − β·KL", **SOURCES},
    note="Where several sources score the answers, each has a curve of what it adds to the score.",
    optional=frozenset(SOURCES),
)
POLICY = (
    PlotSpec(
        "Entropy and KL per token",
        {"objective/entropy": "Entropy", "objective/kl_per_token": "KL"},
        note="Entropy falls while KL rises: the policy makes up its mind. Both rising: it loses its language.",
    ),
    PlotSpec("Clip fraction", {"policy/clipfrac_avg": "Policy"}),
    PlotSpec("Step size", {"policy/approxkl_avg": "Approx. KL"}),
    PlotSpec("Largest |log-ratio|", {"policy/log_ratio_max": "Of the update"}),
    PlotSpec("First ratio − 1", {"policy/ratio_first_dev": "Before the first step"}),
    PlotSpec("Sampler check", {"policy/sampling_z": "Standard errors"}),
)
SPREAD = PlotSpec(
    "Score spread",
    {"objective/scores_sd": "Sampled", "eval/score_sd": "Held-out"},
    dashed=frozenset({"eval/score_sd"}),
)
POLICY_LOSS = PlotSpec("Policy loss", {"loss/policy_avg": "Of the update"})
PPO_LEARNING = (
    POLICY_LOSS,
    PlotSpec("Value loss", {"loss/value_avg": "Clipped"}),
    PlotSpec("Explained variance", {"val/explained_variance": "Of the returns"}),
    PlotSpec("Value clip fraction", {"val/clipfrac_avg": "Critic"}),
    PlotSpec("Gradient norms", {"optim/grad_norm": "Policy", "optim/grad_norm_value": "Critic"}),
    SPREAD,
)
RLOO_LEARNING = (
    POLICY_LOSS,
    PlotSpec("KL in the loss", {"loss/kl_avg": "k3"}),
    PlotSpec("Gradient norm", {"optim/grad_norm": "Before clipping"}),
    SPREAD,
)
LENGTH = PlotSpec(
    "Answer length",
    {"val/response_length": "Sampled", "eval/length": "Held-out"},
    dashed=frozenset({"eval/length"}),
)
BEHAVIOUR = (
    PlotSpec("Refusals", {"eval/harmless_refused": "Harmless", "eval/bad_refused": "Bad"}),
    PlotSpec("Manners", {"eval/polite": "Polite", "eval/rude": "Rude"}),
    PlotSpec("Knowledge", {"eval/correct": "Correct", "eval/invented": "Invented"}),
)
ANSWERS = (
    LENGTH,
    PlotSpec("Ended answers", {"val/eos_rate": "Ended", "eval/rambling": "Rambling"}),
    PlotSpec("Repetition", {"val/repetition": "4-grams"}),
    *BEHAVIOUR,
    PlotSpec("Does the score follow the length?", {"val/length_score_corr": "Correlation"}),
)
UPDATE_TIME = PlotSpec(
    "Time of an update",
    {"time/rollout": "Sampling", "time/score": "Scoring", "time/learn": "Learning", "time/step": "All"},
    dashed=frozenset({"time/step"}),
)
BETA = PlotSpec("β", {"objective/kl_coef": "In force"}, exact=True)
STEPS = PlotSpec("Optimiser steps", {"policy/steps": "Of the update"})


@dataclass(frozen=True)
class Distribution:
    """A histogram that is followed over time."""

    title: str
    name: str
    help: str


DISTRIBUTIONS = (
    Distribution(
        "Scores of answers",
        "rollout/scores",
        "Of every answer of the update's batch, by the reward. A spread that shrinks to a line leaves nothing to learn "
        "from; a second cloud below is often one kind of prompt that goes wrong.",
    ),
    Distribution(
        "Answer lengths (tokens)",
        "rollout/lengths",
        "Of every answer of the batch, its end token included. A dark line at the longest length are answers that were "
        "cut.",
    ),
    Distribution(
        "KL of answers (nats)",
        "rollout/kl",
        "log π − log π_ref of every answer. The mean can look healthy while a few answers have run far away.",
    ),
    Distribution(
        "Advantages",
        "rollout/advantages",
        "What the policy is pushed by, after whitening. A long tail means that few tokens decide the update.",
    ),
)

# DPO
DPO_LEARNING = (
    PlotSpec(
        "Loss",
        {"dpo/loss": "Training", "eval/dpo_loss": "Held-out"},
        note="Starts at ln 2 = 0.693, where the policy is its own reference.",
        dashed=frozenset({"eval/dpo_loss"}),
    ),
    PlotSpec(
        "Accuracy",
        {"dpo/accuracy": "Training", "eval/accuracy": "Held-out"},
        note="Share of pairs whose chosen answer has gained more than the rejected one.",
        dashed=frozenset({"eval/accuracy"}),
    ),
)
DPO_PAIRS = (
    PlotSpec("Margin", {"dpo/margin": "Training", "eval/margin": "Held-out"}, dashed=frozenset({"eval/margin"})),
    PlotSpec("Implicit rewards", {"dpo/reward_chosen": "Chosen", "dpo/reward_rejected": "Rejected"}),
    PlotSpec(
        "Log-probabilities",
        {"dpo/logp_chosen": "Chosen", "dpo/logp_rejected": "Rejected"},
        note="Both often fall, the rejected ones faster. Where the chosen ones fall far, the policy moves its weight to "
        "answers that no pair shows.",
    ),
)
HELDOUT_GOLD = PlotSpec("Gold score", {"eval/gold": "Held-out"}, note=GOLD_NOTE)
HELDOUT_KL = PlotSpec("KL to the start", {"eval/kl": "Held-out"})
HELDOUT_LENGTH = PlotSpec("Answer length", {"eval/length": "Held-out"})
HELDOUT_ANSWERS = (HELDOUT_LENGTH, PlotSpec("Rambling", {"eval/rambling": "Held-out"}), *BEHAVIOUR)

# Best of n: the x axis is n
BOUND = (
    "The KL of best-of-n is not measured: log n − (n − 1)/n is a bound that it does not exceed (arXiv 2401.01879), so its "
    "points lie at the right end of where they may be."
)
BEST_SCORES = PlotSpec(
    "Score of the best of n",
    {"eval/score": "Score", "eval/gold": "Gold"},
    note=f"Each n is estimated from all samples, without bias. {GOLD_NOTE}",
    over="n =",
    exact=True,
)
BEST_WINS = PlotSpec(
    "Wins against one sample",
    {"bon/win_rate": "Win rate"},
    note="How often the best of n scores above a single sample; at most n/(n + 1).",
    over="n =",
    exact=True,
)
BEST_KL = PlotSpec("KL bound", {"bon/kl_bound": "log n − (n−1)/n"}, note=BOUND, over="n =", exact=True)
BEST_ANSWERS = tuple(PlotSpec(spec.title, spec.lines, over="n =", exact=True) for spec in HELDOUT_ANSWERS)
