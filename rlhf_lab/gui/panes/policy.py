"""The Policy pane: PPO, RLOO, DPO and best of n, how healthy a run is, and what it does to the answers."""

from collections.abc import Callable, Sequence

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import PlotSpec, number
from rlhf_lab.gui.panes import policy_plots as plots
from rlhf_lab.gui.panes.sft import GRADIENT, LEARNING_RATE, MEMORY, STEP_TIME, THROUGHPUT
from rlhf_lab.gui.panes.training import StageView, TrainingPane
from rlhf_lab.gui.plots.board import MakeCards, PlotBoard
from rlhf_lab.gui.plots.card import Card, CurveCard, HeatCard, TradeoffCard
from rlhf_lab.gui.widgets.sample_viewer import SampleViewer
from rlhf_lab.gui.widgets.tiles import TileSpec, since_start

FOLLOWED = (
    "Before the first step and at every look at held-out data the policy answers the same prompts; they appear here, "
    "side by side with where it started."
)


def score_change(history: RunHistory, name: str) -> str:
    """The change of the score since the start, in standard deviations of the scores then."""
    first, newest = history.first(name), history.newest(name)
    spread = history.first("eval/score_sd" if name == "eval/score" else "objective/scores_sd")
    if first is None or newest is None or not spread or len(history.curves[name]) < 2:
        return ""
    change = (newest - first) / spread
    return f"{'+' if change >= 0 else ''}{number(change)} SD"


def or_how_few(detail: Callable[[RunHistory, str], str]) -> Callable[[RunHistory, str], str]:
    """``detail``; or of how many answers a number is that stands in until the first look is done."""

    def words(history: RunHistory, name: str) -> str:
        answers = history.newest("first/answers")
        return (
            f"of {answers:.0f} answers" if name.startswith("first/") and answers is not None else detail(history, name)
        )

    return words


SCORE_TILE = TileSpec(("eval/score", "objective/scores", "first/score"), detail=or_how_few(score_change))
KL_TILE = TileSpec(("objective/kl", "eval/kl"), "KL to the start")
GOLD_TILE = TileSpec(("eval/gold", "first/gold"), detail=or_how_few(since_start))


def curves(specs: Sequence[PlotSpec]) -> MakeCards:
    """Cards for these plots, made when they are asked for."""
    return lambda: [CurveCard(spec) for spec in specs]


def _objective() -> list[Card]:
    tradeoff = TradeoffCard("Score against √KL", plots.TRADEOFF_HELP)
    return [CurveCard(plots.SCORE), CurveCard(plots.KL), tradeoff, CurveCard(plots.REWARD)]


def _distributions() -> list[Card]:
    return [HeatCard(found.title, found.name, found.help) for found in plots.DISTRIBUTIONS]


def _fill_ppo(board: PlotBoard, samples: SampleViewer) -> None:
    board.add_plots("Objective", _objective, plots.GOLD_NOTE)
    board.add_view("Samples", samples)
    board.add_plots("Policy", curves(plots.POLICY))
    board.add_plots("Learning", curves(plots.PPO_LEARNING))
    board.add_plots("Answers", curves(plots.ANSWERS))
    board.add_plots("Spread", _distributions)
    board.add_plots("Time", curves((plots.UPDATE_TIME, THROUGHPUT, MEMORY, LEARNING_RATE, plots.BETA, plots.STEPS)))


def _fill_rloo(board: PlotBoard, samples: SampleViewer) -> None:
    board.add_plots("Objective", _objective, plots.GOLD_NOTE)
    board.add_view("Samples", samples)
    board.add_plots("Policy", curves(plots.POLICY))
    board.add_plots("Learning", curves(plots.RLOO_LEARNING))
    board.add_plots("Answers", curves(plots.ANSWERS))
    board.add_plots("Spread", _distributions)
    board.add_plots("Time", curves((plots.UPDATE_TIME, THROUGHPUT, MEMORY, LEARNING_RATE, plots.BETA, plots.STEPS)))


def _dpo_objective() -> list[Card]:
    tradeoff = TradeoffCard("Gold against √KL", plots.TRADEOFF_HELP, ("eval/gold",))
    return [*curves(plots.DPO_LEARNING)(), tradeoff, CurveCard(plots.HELDOUT_KL)]


def _fill_dpo(board: PlotBoard, samples: SampleViewer) -> None:
    board.add_plots("Objective", _dpo_objective, plots.GOLD_NOTE)
    board.add_view("Samples", samples)
    board.add_plots("Pairs", curves((*plots.DPO_PAIRS, GRADIENT)))
    board.add_plots("Answers", curves((plots.HELDOUT_GOLD, *plots.HELDOUT_ANSWERS)))
    board.add_plots("Time", curves((STEP_TIME, THROUGHPUT, MEMORY, LEARNING_RATE)))


def _best_objective() -> list[Card]:
    tradeoff = TradeoffCard("Score against √KL", f"{plots.TRADEOFF_HELP}\n\n{plots.BOUND}", ("eval/score", "eval/gold"))
    return [*curves((plots.BEST_SCORES, plots.BEST_WINS))(), tradeoff, CurveCard(plots.BEST_KL)]


def _fill_best(board: PlotBoard, samples: SampleViewer) -> None:
    board.add_plots("Objective", _best_objective, f"To the right n grows. {plots.GOLD_NOTE}")
    board.add_view("Samples", samples)
    board.add_plots("Answers", curves(plots.BEST_ANSWERS))


PPO = StageView(
    stage="ppo",
    title="Policy optimisation with PPO",
    lead="The third stage lets the model answer prompts, scores the answers, and makes what scores well more likely, at "
    "a price (β) for every step away from where it started. A critic learns how good each token was.\n\nChoose a reward "
    "model and prompts on the left, and press Start. Score, KL and the changing answers appear here.",
    tiles=(
        SCORE_TILE,
        KL_TILE,
        GOLD_TILE,
        TileSpec(("objective/entropy",), detail=since_start),
        TileSpec(("val/eos_rate",), detail=since_start),
    ),
    fill_board=_fill_ppo,
    no_samples=f"No answers yet. {FOLLOWED}",
    live_fields=("kl_coef", "learning_rate"),
)
RLOO = StageView(
    stage="rloo",
    title="Policy optimisation with RLOO or GRPO",
    lead="The model writes several answers to each prompt; each is judged against the others. That needs no critic, and "
    "so one thing less can go wrong than in PPO.\n\nChoose a reward model and prompts on the left, and press Start.",
    tiles=PPO.tiles,
    fill_board=_fill_rloo,
    no_samples=PPO.no_samples,
    live_fields=("kl_coef", "learning_rate"),
)
DPO = StageView(
    stage="dpo",
    title="Direct preference optimisation",
    lead="DPO learns from the pairs themselves: chosen answers become more likely than rejected ones, at a price (β) for "
    "leaving the start. No reward model is trained, and nothing is sampled on the way.\n\nChoose pairs on the left, and "
    "press Start.",
    tiles=(
        TileSpec(("eval/dpo_loss", "dpo/loss"), detail=since_start),
        TileSpec(("eval/accuracy", "dpo/accuracy"), detail=since_start),
        TileSpec(("eval/margin", "dpo/margin")),
        TileSpec(("eval/kl",), "KL to the start"),
        GOLD_TILE,
    ),
    fill_board=_fill_dpo,
    no_samples=f"No answers yet. {FOLLOWED}",
)
BEST_OF_N = StageView(
    stage="best_of_n",
    title="Best of n",
    lead="The baseline that every algorithm has to beat: sample n answers to each held-out prompt and keep the one that "
    "scores best. Nothing is trained.\n\nChoose a reward model and prompts on the left, and press Start.",
    tiles=(
        TileSpec(("eval/score",), "Score of the best", score_change),
        TileSpec(("bon/win_rate",)),
        TileSpec(("bon/kl_bound", "eval/kl"), "KL, at most"),
        GOLD_TILE,
        TileSpec(("eval/length",), detail=since_start),
    ),
    fill_board=_fill_best,
    no_samples="No answers yet. When all prompts are sampled, the best answer to each appears here.",
    live_fields=(),
    step_name="Best of",
)


class PolicyPane(TrainingPane):
    """See `TrainingPane`."""

    def __init__(self, lab: Lab):
        super().__init__(lab, PPO, RLOO, DPO, BEST_OF_N)
        self.setAccessibleName("Policy optimisation")
