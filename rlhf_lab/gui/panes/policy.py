"""The Policy pane: PPO against a reward model, its health, and what it does to the answers."""

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import PlotSpec, number
from rlhf_lab.gui.panes.sft import LEARNING_RATE, MEMORY, THROUGHPUT
from rlhf_lab.gui.panes.training import StageView, TrainingPane
from rlhf_lab.gui.plots.board import PlotBoard
from rlhf_lab.gui.plots.card import Card, CurveCard, TradeoffCard
from rlhf_lab.gui.widgets.sample_viewer import SampleViewer
from rlhf_lab.gui.widgets.tiles import TileSpec, since_start

GOLD_NOTE = (
    "Gold is the bundled world's hidden preference; PPO never sees it. Score up and gold down is over-optimisation."
)
OBJECTIVE = (
    PlotSpec(
        "Score",
        {"objective/scores": "Sampled", "eval/score": "Held-out", "eval/gold": "Gold"},
        note=GOLD_NOTE,
        dashed=frozenset({"eval/score", "eval/gold"}),
    ),
    PlotSpec(
        "KL to the start",
        {"objective/kl": "Sampled", "objective/kl_k3": "k3 estimate", "eval/kl": "Held-out"},
        dashed=frozenset({"eval/kl"}),
    ),
)
REWARD = PlotSpec("RLHF reward", {"objective/rlhf_reward": "Score − β·KL"})
POLICY = (
    PlotSpec("Entropy", {"objective/entropy": "Per token"}),
    PlotSpec("Clip fraction", {"policy/clipfrac_avg": "Policy"}),
    PlotSpec("Step size", {"policy/approxkl_avg": "Approx. KL"}),
    PlotSpec("Policy loss", {"loss/policy_avg": "Clipped surrogate"}),
    PlotSpec("Largest |log-ratio|", {"policy/log_ratio_max": "Of the update"}),
    PlotSpec("KL per token", {"objective/kl_per_token": "Sampled"}),
)
CRITIC = (
    PlotSpec("Value loss", {"loss/value_avg": "Clipped"}),
    PlotSpec("Explained variance", {"val/explained_variance": "Of the returns"}),
    PlotSpec("Value clip fraction", {"val/clipfrac_avg": "Critic"}),
    PlotSpec("Gradient norms", {"optim/grad_norm": "Policy", "optim/grad_norm_value": "Critic"}),
    PlotSpec(
        "Score spread",
        {"objective/scores_sd": "Sampled", "eval/score_sd": "Held-out"},
        dashed=frozenset({"eval/score_sd"}),
    ),
)
ANSWERS = (
    PlotSpec(
        "Answer length",
        {"val/response_length": "Sampled", "eval/length": "Held-out"},
        dashed=frozenset({"eval/length"}),
    ),
    PlotSpec("Ended answers", {"val/eos_rate": "Ended", "eval/rambling": "Rambling"}),
    PlotSpec("Repetition", {"val/repetition": "4-grams"}),
    PlotSpec("Refusals", {"eval/harmless_refused": "Harmless", "eval/bad_refused": "Bad"}),
    PlotSpec("Manners", {"eval/polite": "Polite", "eval/rude": "Rude"}),
    PlotSpec("Knowledge", {"eval/correct": "Correct", "eval/invented": "Invented"}),
)
TIME = (
    PlotSpec(
        "Time of an update",
        {"time/rollout": "Sampling", "time/score": "Scoring", "time/learn": "Learning", "time/step": "All"},
        dashed=frozenset({"time/step"}),
    ),
    THROUGHPUT,
    MEMORY,
    LEARNING_RATE,
    PlotSpec("β", {"objective/kl_coef": "In force"}),
)
TRADEOFF_HELP = (
    "Each point is one step: how far the policy has moved from its start (√KL) and what that bought. Hollow points "
    "are past, the filled one is the newest. While the reward model is a good guide, gold rises with the score; where "
    "gold turns over and the score goes on, the policy exploits the reward model. " + GOLD_NOTE
)


def score_change(history: RunHistory, name: str) -> str:
    """The change of the score since the start, in standard deviations of the scores then."""
    first, newest = history.first(name), history.newest(name)
    spread = history.first("eval/score_sd" if name == "eval/score" else "objective/scores_sd")
    if first is None or newest is None or not spread or len(history.curves[name]) < 2:
        return ""
    change = (newest - first) / spread
    return f"{'+' if change >= 0 else ''}{number(change)} SD"


def _objective() -> list[Card]:
    tradeoff = TradeoffCard("Score against √KL", TRADEOFF_HELP)
    return [*(CurveCard(spec) for spec in OBJECTIVE), tradeoff, CurveCard(REWARD)]


def _fill(board: PlotBoard, samples: SampleViewer) -> None:
    board.add_plots("Objective", _objective, GOLD_NOTE)
    board.addTab(samples, "Samples")
    board.add_plots("Policy", lambda: [CurveCard(spec) for spec in POLICY])
    board.add_plots("Critic", lambda: [CurveCard(spec) for spec in CRITIC])
    board.add_plots("Answers", lambda: [CurveCard(spec) for spec in ANSWERS])
    board.add_plots("Time", lambda: [CurveCard(spec) for spec in TIME])


PPO = StageView(
    stage="ppo",
    title="Policy optimisation (PPO)",
    lead="The third stage lets the model answer prompts, scores the answers with the reward model, and makes what "
    "scores well more likely, at a price (β) for every step away from where it started.\n\nChoose a reward model and "
    "prompts on the left, and press Start. Score, KL and the changing answers appear here.",
    tiles=(
        TileSpec(("eval/score", "objective/scores"), detail=score_change),
        TileSpec(("objective/kl", "eval/kl"), "KL to the start"),
        TileSpec(("eval/gold",), detail=since_start),
        TileSpec(("objective/entropy",), detail=since_start),
        TileSpec(("val/eos_rate",), detail=since_start),
    ),
    fill_board=_fill,
    no_samples="No answers yet. Before the first update and at every look at held-out data the policy answers the same "
    "prompts; they appear here, side by side with where it started.",
    live_fields=("kl_coef", "learning_rate"),
)


class PolicyPane(TrainingPane):
    """See `TrainingPane`."""

    def __init__(self, lab: Lab):
        super().__init__(lab, PPO)
