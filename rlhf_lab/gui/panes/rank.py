"""The Rank pane: people judge answers, one record after the other; each verdict is on the disk before the next is shown."""

from PySide6.QtCore import Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import run_title
from rlhf_lab.gui.asker import MakeInference
from rlhf_lab.gui.fresh import FreshAnswers
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models import rank_words
from rlhf_lab.gui.models.contenders import contenders, opening
from rlhf_lab.gui.models.fresh import FreshPlan
from rlhf_lab.gui.models.offers import finished_runs
from rlhf_lab.gui.models.rank_words import FRESH, PICKED, Empty, Picked
from rlhf_lab.gui.models.ranking import Desk, Said
from rlhf_lab.gui.rank_agreement import AgreementPage
from rlhf_lab.gui.rank_counting import Counting
from rlhf_lab.gui.rank_feed import Feed
from rlhf_lab.gui.rank_scoring import Scoring
from rlhf_lab.gui.rank_work import AT_ONCE, Asked, Offered
from rlhf_lab.gui.widgets.rank_bench import Bench
from rlhf_lab.gui.widgets.rank_counters import Counters
from rlhf_lab.gui.widgets.rank_empty import EmptyPage
from rlhf_lab.gui.widgets.rank_fresh import FreshPage
from rlhf_lab.gui.widgets.rank_guidelines import GuidelinesPanel
from rlhf_lab.gui.widgets.rank_head import RankHead
from rlhf_lab.gui.widgets.rank_start import StartPage
from rlhf_lab.runs.inference import Inference
from rlhf_lab.runs.scoring import Scored


class RankPane(QWidget):
    """A person chooses a name, a data set and a queue; from then on the keyboard is enough."""

    def __init__(self, lab: Lab, make_inference: MakeInference = Inference):
        super().__init__()
        self._lab, self._store = lab, lab.project.store
        self.setAccessibleName("Rank")
        self.desk = Desk(self._store)
        self._picked = Picked()
        self.writers = FreshAnswers(lab, self, make_inference)
        self.scoring = Scoring(lab, make_inference, self)
        self.feed = Feed(lab, self)
        self.start = StartPage()
        self.head = RankHead()
        self.counters = Counters()
        self.counting = Counting(lab, self.counters, self)
        self.bench = Bench(self.desk)
        self.empty = EmptyPage()
        self.fresh = FreshPage()
        self.quality = AgreementPage(lab)
        self.guidelines = GuidelinesPanel(lab)
        self._lay_out()
        self._connect()
        self.refresh()

    # Which data set, which queue, who

    @Slot()
    def refresh(self) -> None:
        """Look which people, data sets and reward models there are."""
        rows = [row for row in self._store.datasets() if row.kind in rank_words.RANKABLE and row.records]
        names = [row.name for row in rows]
        self.head.offer_datasets(names, self.desk.dataset)
        self._offer_models()
        if self.pages.currentWidget() is self.start:
            self.start.offer(self._store.annotators())
        elif self.desk.dataset not in names and not self.writers.going:
            self._open(names[0] if names else "", "unranked")

    def fill_in(self, fields: dict[str, object]) -> None:
        """Open this data set, and this queue where one is named; ``picked`` comes with the queue of that name."""
        self.refresh()
        if isinstance(picked := fields.get(PICKED.name), Picked):
            self._picked = picked
            self.head.offer_picked(picked)
        self._open(str(fields["dataset"]), str(fields.get("queue", "unranked")))

    def showEvent(self, event: QShowEvent) -> None:
        """A pane that comes into view shows the project as it is now, and takes the keyboard."""
        super().showEvent(event)
        self.refresh()
        self._take_focus()

    @Slot(str)
    def _begin_as(self, name: str) -> None:
        try:
            self._store.add_annotator(name)
        except LabError as error:
            self.start.show_problem(str(error))
            return
        self.start.show_problem("")
        self.head.show_person(name)
        self.pages.setCurrentWidget(self.work)
        self.desk.who = name
        self.writers.stop()
        queue = self.desk.queue if self.desk.queue not in ("", FRESH.name) else "unranked"
        self._open(self.desk.dataset or self.head.first_dataset, queue)

    @Slot()
    def _ask_person(self) -> None:
        self.start.offer(self._store.annotators())
        self.pages.setCurrentWidget(self.start)
        self.start.take_focus()

    def _open(self, dataset: str, queue: str) -> None:
        """Begin with this data set and queue; what is shown comes from the queue a moment later."""
        self.desk.open(self.desk.who, dataset, queue)
        self._begin()
        if not self.desk.who:
            return
        if not dataset:
            self._show_empty(rank_words.NO_DATA)
        elif self._scored_queue and not self.head.model_run:
            self._show_empty(rank_words.NO_REWARD_RUN)
        else:
            self._show_empty(rank_words.LOADING)
            self._ask_more()

    def _begin(self) -> None:
        """Everything that depends on the data set and the person."""
        self.feed.begin()
        self.bench.foot.show_last("")
        self.head.show_chosen(self.desk.dataset, self.desk.queue)
        self.head.show_page("rank")
        if self.desk.queue != FRESH.name:
            self.writers.stop()
        self._offer_models()
        self.guidelines.show_dataset(self.desk.dataset)
        if self.desk.queue:
            self.counting.begin(self._asked())

    @Slot()
    def _runs_changed(self) -> None:
        if self.isVisible():  # else it looks when it is shown
            self._offer_models()

    def _offer_models(self) -> None:
        runs = [(row.run, run_title(row.run)) for row in finished_runs(self._lab.project, ("reward",))]
        self.head.offer_models(runs, seen=self._scored_queue)

    @property
    def _scored_queue(self) -> bool:
        return bool(self.desk.queue) and rank_words.queue_named(self.desk.queue).scored

    def _asked(self) -> Asked:
        model = self.head.model_run if self._scored_queue else None
        return Asked(self.feed.opening, self.desk.dataset, self.desk.queue, self.desk.who, model, self._picked.records)

    # Records that come

    @Slot()
    def _ask_more(self) -> None:
        if self.desk.queue == FRESH.name:
            self.writers.keep_ahead(self.desk.waiting)
        else:
            self.feed.ask(self._asked(), AT_ONCE + self.desk.left_out)

    @Slot(object)
    def _more_came(self, offered: Offered) -> None:
        waited = self.desk.current is None
        self.feed.exhausted = not self.desk.offer(offered.ids)
        if offered.asked.model is not None:
            self.head.show_unscored(offered.total - offered.scored)
        if not waited:
            if self.desk.wants_more:
                self._ask_more()
        elif offered.asked.model is not None and not offered.scored:
            self._show_unscored(offered.asked.model, offered.total)
        else:
            self.bench.show_current()

    @Slot(str)
    def _queue_failed(self, reason: str) -> None:
        self._show_empty(Empty("The next records cannot be read", reason, (("retry", "Try again"),)))

    @Slot()
    def _ran_out(self) -> None:
        if self.desk.queue == FRESH.name and self.writers.going:
            self._show_empty(rank_words.WRITING)
            self.empty.show_progress(0, 0)
            self._ask_more()
        elif not self.feed.exhausted and self.desk.queue != FRESH.name:
            self._show_empty(rank_words.LOADING)
            self._ask_more()
        else:
            model = run_title(self.head.model_run) if self.head.model_run else "The reward model"
            done, left_out = self.counting.tally.done, self.desk.left_out
            self._show_empty(rank_words.empty_queue(self.desk.queue, done, left_out, model))

    def _show_empty(self, empty: Empty) -> None:
        self.empty.show_empty(empty)
        self.middle.setCurrentWidget(self.empty)

    @Slot()
    def _show_bench(self) -> None:
        if self.middle.currentWidget() is not self.bench:
            self.middle.setCurrentWidget(self.bench)
            self.head.show_page("rank")

    @Slot()
    def _take_focus(self) -> None:
        if self.pages.currentWidget() is self.start:
            self.start.take_focus()
        elif self.middle.currentWidget() is self.bench:
            self.bench.take_focus()

    @Slot(object, int)
    def _said(self, said: Said, sign: int) -> None:
        if self.head.dataset_name != self.desk.dataset:  # undone in another data set
            self._begin()
        else:
            self.counting.count(said, sign)

    # Scores of a reward model

    @Slot()
    def _score(self) -> None:
        if self.head.model_run and self.desk.dataset:
            self.scoring.begin(self.desk.dataset, self.head.model_run)
            if self.middle.currentWidget() is self.empty:
                self._show_unscored(self.head.model_run, 0)

    def _show_unscored(self, run: str, records: int) -> None:
        if self.scoring.is_at(self.desk.dataset, run):
            self._show_empty(rank_words.scoring(run_title(run)))
            self.empty.show_progress(0, 0)
        else:
            self._show_empty(rank_words.not_scored(run_title(run), records))

    @Slot(object, object)
    def _scoring_goes_on(self, done: int, total: int) -> None:
        if "stop_scoring" in self.empty.buttons:
            self.empty.show_progress(done, total)

    @Slot(str, str, object)
    def _scoring_ended(self, dataset: str, run: str, scored: Scored) -> None:
        if self._scored_queue and self.desk.dataset == dataset:
            self._open_again()
        elif scored.complete:
            self._lab.message.emit(f"{run_title(run)} has read “{dataset}”: its queues on the Rank pane are open.")

    @Slot(str)
    def _scoring_failed(self, reason: str) -> None:
        if "stop_scoring" in self.empty.buttons:
            self._show_empty(Empty("The scores could not be had", reason, (("score", "Try again"),)))
        else:
            self._lab.message.emit(reason)

    # Fresh answers

    def _show_fresh(self) -> None:
        known = contenders(self._lab.project)
        rows = sorted(self._store.datasets(), key=lambda row: row.kind != "prompt")
        self.fresh.offer([row.name for row in rows if row.records], known, list(dict.fromkeys(opening(known, 2))))
        self.middle.setCurrentWidget(self.fresh)
        self.head.show_chosen(self.desk.dataset, FRESH.name)
        self.head.show_page("rank")
        self.fresh.take_focus()

    @Slot(object)
    def _write(self, plan: FreshPlan) -> None:
        try:
            self.writers.begin(plan)
        except LabError as error:
            self._lab.message.emit(str(error))
            return
        self.desk.open(self.desk.who, "", FRESH.name)
        self._begin()
        self._ran_out()

    @Slot(str, list)
    def _written(self, dataset: str, ids: list[int]) -> None:
        if self.desk.queue != FRESH.name:
            return
        if self.desk.dataset != dataset:
            self.desk.open(self.desk.who, dataset, FRESH.name)
            self._lab.datasets_changed.emit()
            self._begin()
        waited = self.desk.current is None
        self.desk.offer(ids)
        if waited:
            self.bench.show_current()
        else:
            self._ask_more()

    @Slot(str)
    def _writing_failed(self, reason: str) -> None:
        if self.desk.queue == FRESH.name and self.desk.current is None:
            others = (("fresh", "Write others…"), ("agreement", "See the agreement"))
            self._show_empty(Empty("No more answers", reason, others))
        else:
            self._lab.message.emit(reason)

    @Slot()
    def _fresh_cancelled(self) -> None:
        self._open(self.desk.dataset, "unranked" if self.desk.queue in ("", FRESH.name) else self.desk.queue)

    # What the person chooses

    @Slot(str)
    def _show_page(self, name: str) -> None:
        if name == "agreement" and self.desk.dataset:
            self.head.show_page("agreement")
            self.middle.setCurrentWidget(self.quality)
            self.quality.open(self._asked())
        elif self.desk.current is not None:
            self._show_bench()
            self._take_focus()
        else:
            self._open(self.desk.dataset, self.desk.queue or "unranked")

    @Slot(str)
    def _act(self, name: str) -> None:
        match name:
            case "data" | "reward":
                self._lab.pane_asked.emit(name, {})
            case "agreement":
                self._show_page(name)
            case "score":
                self._score()
            case "stop_scoring":
                self.scoring.stop()
            case "retry":
                self._open_again()
            case _:
                self._choose_queue(name)

    @Slot(str)
    def _choose_dataset(self, name: str) -> None:
        if name != self.desk.dataset:
            queue = self.desk.queue if self.desk.queue not in ("", FRESH.name, PICKED.name) else "unranked"
            self._open(name, queue)

    @Slot(str)
    def _choose_queue(self, name: str) -> None:
        if name == FRESH.name:
            self._show_fresh()
        else:
            picked = self._picked.dataset if name == PICKED.name else ""
            self._open(picked or self.desk.dataset or self.head.first_dataset, name)

    @Slot()
    def _open_again(self) -> None:
        self._open(self.desk.dataset, self.desk.queue)

    def _connect(self) -> None:
        self.start.chosen.connect(self._begin_as)
        self.feed.came.connect(self._more_came)
        self.feed.failed.connect(self._queue_failed)
        self.head.person_asked.connect(self._ask_person)
        self.head.dataset_chosen.connect(self._choose_dataset)
        self.head.queue_chosen.connect(self._choose_queue)
        self.head.model_chosen.connect(self._open_again)
        self.head.score_asked.connect(self._score)
        self.head.page_chosen.connect(self._show_page)
        self.head.guidelines_toggled.connect(self.guidelines.setVisible)
        self.guidelines.saved.connect(self._take_focus)
        self.empty.asked.connect(self._act)
        self.bench.said.connect(self._said)
        self.bench.ran_out.connect(self._ran_out)
        self.bench.running_low.connect(self._ask_more)
        self.bench.filled.connect(self._show_bench)
        self.bench.add_shortcuts(self)
        self.fresh.asked.connect(self._write)
        self.fresh.cancelled.connect(self._fresh_cancelled)
        self.writers.came.connect(self._written)
        self.writers.failed.connect(self._writing_failed)
        self.scoring.progressed.connect(self._scoring_goes_on)
        self.scoring.ended.connect(self._scoring_ended)
        self.scoring.failed.connect(self._scoring_failed)
        self._lab.datasets_changed.connect(self.refresh)
        self._lab.runs_changed.connect(self._runs_changed)

    def _lay_out(self) -> None:
        self.middle = QStackedWidget()
        for part in (self.empty, self.bench, self.fresh, self.quality):
            self.middle.addWidget(part)
        self.guidelines.hide()
        beside = QHBoxLayout()
        beside.setSpacing(12)
        beside.addWidget(self.middle, 1)
        beside.addWidget(self.guidelines)
        self.work = QWidget()
        whole = QVBoxLayout(self.work)
        whole.setContentsMargins(12, 12, 12, 12)
        whole.setSpacing(12)
        whole.addWidget(self.head)
        whole.addWidget(self.counters)
        whole.addLayout(beside, 1)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.start)
        self.pages.addWidget(self.work)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.pages)
