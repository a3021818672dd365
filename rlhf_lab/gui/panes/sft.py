"""The SFT pane: imitate demonstrations, watch loss and accuracy, read answers to held-out prompts."""

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.plot_spec import PlotSpec
from rlhf_lab.gui.panes.policy_plots import GOLD_NOTE, HELDOUT_ANSWERS, HELDOUT_GOLD
from rlhf_lab.gui.panes.training import StageView, TrainingPane
from rlhf_lab.gui.plots.board import PlotBoard
from rlhf_lab.gui.plots.card import CurveCard
from rlhf_lab.gui.widgets.sample_viewer import SampleViewer
from rlhf_lab.gui.widgets.tiles import TileSpec, since_start

LOSS = PlotSpec(
    "Loss",
    {"train/loss": "Training", "eval/loss": "Held-out"},
    dashed=frozenset({"eval/loss"}),
)
ACCURACY = PlotSpec(
    "Token accuracy",
    {"train/token_accuracy": "Training", "eval/token_accuracy": "Held-out"},
    dashed=frozenset({"eval/token_accuracy"}),
)
GRADIENT = PlotSpec("Gradient norm", {"optim/grad_norm": "Before clipping"})
LEARNING_RATE = PlotSpec("Learning rate", {"optim/learning_rate": "In force"}, exact=True)
STEP_TIME = PlotSpec("Time of a step", {"time/step": "Whole step"})
THROUGHPUT = PlotSpec("Throughput", {"perf/tokens_per_second": "Answer tokens"})
MEMORY = PlotSpec("Memory", {"perf/memory": "Peak"})


def _fill(board: PlotBoard, samples: SampleViewer) -> None:
    board.add_plots("Learning", lambda: [CurveCard(spec) for spec in (LOSS, ACCURACY, GRADIENT, LEARNING_RATE)])
    board.add_view("Samples", samples)
    board.add_plots("Answers", lambda: [CurveCard(spec) for spec in (HELDOUT_GOLD, *HELDOUT_ANSWERS)], GOLD_NOTE)
    board.add_plots("Time", lambda: [CurveCard(spec) for spec in (STEP_TIME, THROUGHPUT, MEMORY)])


SFT = StageView(
    stage="sft",
    title="Supervised fine-tuning",
    lead="The first stage teaches a base model to answer at all: it imitates demonstrations. It adds manners, hardly "
    "knowledge.\n\nChoose a data set on the left and press Start. The curves and the model's answers to held-out "
    "prompts appear here while it trains.",
    tiles=(
        TileSpec(("eval/loss",), detail=since_start),
        TileSpec(("train/loss",), "Training loss", since_start),
        TileSpec(("eval/token_accuracy", "train/token_accuracy"), detail=since_start),
        TileSpec(("perf/tokens_per_second",)),
    ),
    fill_board=_fill,
    no_samples="No answers yet. At every look at held-out data the model answers the same prompts; they appear here.",
)


class SftPane(TrainingPane):
    """See `TrainingPane`."""

    def __init__(self, lab: Lab):
        super().__init__(lab, SFT)
