"""The Reward pane: learn from pairs which answer people prefer, and see whether it generalises."""

from PySide6.QtCore import Slot

from rlhf_lab.core.diagnosis import WorstPair
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.help import tip
from rlhf_lab.core.naming import run_title
from rlhf_lab.core.records import Prompt
from rlhf_lab.gui.asker import Asker, MakeInference
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.plot_spec import PlotSpec
from rlhf_lab.gui.models.rank_words import PICKED, Picked
from rlhf_lab.gui.models.worst_pairs import Located, asked_in, locate
from rlhf_lab.gui.panes.sft import GRADIENT, LEARNING_RATE, MEMORY, STEP_TIME, THROUGHPUT
from rlhf_lab.gui.panes.training import StageView, TrainingPane
from rlhf_lab.gui.plots.board import PlotBoard
from rlhf_lab.gui.plots.card import Card, CurveCard, HistogramCard
from rlhf_lab.gui.widgets.diagnosis_view import DiagnosisView
from rlhf_lab.gui.widgets.run_face import FillBoard
from rlhf_lab.gui.widgets.sample_viewer import SampleViewer
from rlhf_lab.gui.widgets.score_view import ScoreView
from rlhf_lab.gui.widgets.tiles import TileSpec, since_start
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.inference import Inference

ACCURACY = PlotSpec(
    "Accuracy",
    {"reward/accuracy": "Training", "eval/accuracy": "Held-out", "eval/accuracy_clean": "Held-out, clean labels"},
    note="0.5 is guessing. Above 0.85 on human data suspect a leak or a length artefact.",
    dashed=frozenset({"eval/accuracy", "eval/accuracy_clean"}),
)
LOSS = PlotSpec(
    "Loss",
    {"reward/loss": "Training", "eval/reward_loss": "Held-out"},
    dashed=frozenset({"eval/reward_loss"}),
)
MARGIN = PlotSpec(
    "Margin",
    {"reward/margin": "Training", "eval/margin": "Held-out"},
    dashed=frozenset({"eval/margin"}),
)
HISTOGRAMS = {"eval/scores_chosen": "Chosen", "eval/scores_rejected": "Rejected"}


def _learning() -> list[Card]:
    histogram = HistogramCard("Scores of held-out answers", tip("control.score_histogram"), HISTOGRAMS)
    return [*(CurveCard(spec) for spec in (ACCURACY, LOSS, MARGIN)), histogram]


def _view(fill_board: FillBoard) -> StageView:
    return StageView(
        stage="reward",
        title="Reward model",
        lead="The second stage learns from pairs which of two answers people prefer. Its score is what PPO will maximise, "
        "so its held-out accuracy is worth a look before going on.\n\nChoose pairs and the SFT run to start from on the "
        "left, and press Start.",
        tiles=(
            TileSpec(("eval/accuracy",), detail=since_start),
            TileSpec(("eval/accuracy_clean",), "Clean labels", since_start),
            TileSpec(("reward/accuracy",), "Training accuracy", since_start),
            TileSpec(("eval/margin", "reward/margin"), detail=since_start),
            TileSpec(("reward/loss",), "Training loss", since_start),
        ),
        fill_board=fill_board,
        no_samples="No answers yet. At the end the start model answers prompts, and the reward model scores the answers to "
        "set its zero and its unit; they appear here, the best and the worst too.",
    )


class RewardPane(TrainingPane):
    """A `TrainingPane` whose reward model is examined too: its worst pairs can be judged again, any text be scored."""

    def __init__(self, lab: Lab, make_inference: MakeInference = Inference):
        super().__init__(lab, _view(lambda board, samples: self._fill_board(board, samples, make_inference)))
        self.diagnosis.rank_asked.connect(self._send_to_rank)
        self.diagnosis.try_asked.connect(self._try_out)
        lab.closing.connect(self.asker.close)

    @Slot(str)
    def show_run(self, run: str) -> None:
        """See `TrainingPane.show_run`."""
        if run != self.run:
            self.scores.forget()
        super().show_run(run)

    def _fill_board(self, board: PlotBoard, samples: SampleViewer, make_inference: MakeInference) -> None:
        self.diagnosis = DiagnosisView()
        self.asker = Asker(self._lab.project.models_folder, self, make_inference)
        self.scores = ScoreView(self.asker, self._model)
        board.add_plots("Learning", _learning)
        board.add_view("Diagnosis", self.diagnosis)
        board.addTab(self.scores, "Score a text")
        board.add_view("Samples", samples)
        steps = (GRADIENT, LEARNING_RATE, STEP_TIME, THROUGHPUT, MEMORY)
        board.add_plots("Steps", lambda: [CurveCard(spec) for spec in steps])

    def _model(self) -> ModelSpec:
        """How to ask for the reward model that is shown."""
        if self.run is None:
            raise LabError("Train a reward model first.")
        if not self._lab.project.run(self.run).has_result():
            raise LabError(f"{run_title(self.run)} has left no reward model yet. Let it finish, or stop and save it.")
        return self._lab.project.model_spec(self.run)

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        super()._run_changed(run)
        if self._lab.state(run).outcome == "starting":
            self.asker.free_memory()

    @Slot(list)
    def _send_to_rank(self, pairs: list[WorstPair]) -> None:
        """Look where these pairs lie in the data set now, then open the Rank pane on them."""
        dataset, run = self._dataset(), self.run
        if dataset and run:
            title = f"{run_title(run)}’s worst pairs"
            task = self._lab.in_background(lambda store, _: (title, locate(store, dataset, pairs)))
            task.done.connect(self._located)
            task.failed.connect(self._lab.message)

    @Slot(object)
    def _try_out(self, pair: WorstPair) -> None:
        """Take the pair to where its words can be changed; its prompt with all its turns, where it still is there."""
        dataset = self._dataset()
        if dataset:
            task = self._lab.in_background(lambda store, _: (asked_in(store, dataset, pair), pair))
            task.done.connect(self._tried)
            task.failed.connect(self._lab.message)

    @Slot(object)
    def _tried(self, found: tuple[Prompt, WorstPair]) -> None:
        prompt, pair = found
        self.scores.take(prompt, (pair.chosen, pair.rejected))
        self.board.setCurrentWidget(self.scores)
        self.scores.score()

    def _dataset(self) -> str:
        """What the run learned from; "" where that is not known any more, which is then said."""
        try:
            return self._lab.project.run(self.run).manifest.dataset if self.run is not None else ""
        except LabError as error:
            self._lab.message.emit(str(error))
            return ""

    @Slot(object)
    def _located(self, result: tuple[str, Located]) -> None:
        title, found = result
        if found.missing:
            changed = f"{found.missing:,} of these pairs" if found.records else "These pairs"
            self._lab.message.emit(
                f"{changed} cannot be judged: they are not in “{found.dataset}” any more, at least not with these words."
            )
        if found.records:
            picked = Picked(found.dataset, found.records, title)
            self._lab.pane_asked.emit("rank", {"dataset": found.dataset, "queue": PICKED.name, PICKED.name: picked})
