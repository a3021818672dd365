"""The Rank pane: people judge answers, one record after the other; each verdict is on the disk before the next is shown."""

import time

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Verdict
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.offers import finished_runs, run_title
from rlhf_lab.gui.models.rank_tally import Tally
from rlhf_lab.gui.models.rank_words import (
    FRESH,
    LOADING,
    NO_DATA,
    NO_REWARD_RUN,
    RANKABLE,
    Empty,
    empty_queue,
    note_of,
    outcome_words,
    queue_named,
    verdict_words,
)
from rlhf_lab.gui.models.ranking import Desk, Item, Said
from rlhf_lab.gui.rank_work import AT_ONCE, Asked, Counted, count_up, next_records
from rlhf_lab.gui.widgets.rank_counters import Counters
from rlhf_lab.gui.widgets.rank_empty import EmptyPage
from rlhf_lab.gui.widgets.rank_foot import RankFoot
from rlhf_lab.gui.widgets.rank_guidelines import GuidelinesPanel
from rlhf_lab.gui.widgets.rank_head import RankHead
from rlhf_lab.gui.widgets.rank_pair import PairBoard
from rlhf_lab.gui.widgets.rank_prompt import PromptCard
from rlhf_lab.gui.widgets.rank_several import SeveralBoard
from rlhf_lab.gui.widgets.rank_start import StartPage


class RankPane(QWidget):
    """A person chooses a name, a data set and a queue; from then on the keyboard is enough."""

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self.desk = Desk(lab.project.store)
        self.tally = Tally()
        self._counted: Counted | None = None
        self._heard: list[tuple[Said, int]] = []
        self._opening = 0
        self._asking = self._exhausted = False
        self.setAccessibleName("Rank")
        self.start = StartPage()
        self.head = RankHead()
        self.counters = Counters()
        self.prompt = PromptCard()
        self.pair = PairBoard()
        self.several = SeveralBoard()
        self.empty = EmptyPage()
        self.foot = RankFoot()
        self.guidelines = GuidelinesPanel()
        self._lay_out()
        self._connect()
        self.pages.setCurrentWidget(self.start)
        self.refresh()

    # Where we are

    @Slot()
    def refresh(self) -> None:
        """Look which people, data sets and reward models there are."""
        rows = [row for row in self._lab.project.store.datasets() if row.kind in RANKABLE and row.records]
        names = [row.name for row in rows]
        self.head.offer_datasets([(name, name) for name in names], self.desk.dataset)
        if not self.desk.who:
            self.start.offer(self._lab.project.store.annotators())
        elif self.desk.dataset not in names:
            self._open(names[0] if names else "", self.desk.queue or "unranked")
        self._offer_models()

    def fill_in(self, fields: dict[str, object]) -> None:
        """Open this data set, and this queue where one is named."""
        queue = str(fields.get("queue", "unranked"))
        self._open(str(fields["dataset"]), queue)

    def showEvent(self, event: QShowEvent) -> None:
        """A pane that comes into view shows the project as it is now, and takes the keyboard."""
        super().showEvent(event)
        self.refresh()
        self._take_focus()

    @Slot(str)
    def _person_chosen(self, name: str) -> None:
        try:
            self._lab.project.store.add_annotator(name)
        except LabError as error:
            self.start.show_problem(str(error))
            return
        self.start.show_problem("")
        self.head.show_person(name)
        self.pages.setCurrentWidget(self.work)
        dataset = self.desk.dataset or str(self.head.dataset.currentData() or "")
        self.desk.who = name
        self._open(dataset, self.desk.queue or "unranked")

    @Slot()
    def _ask_person(self) -> None:
        self.start.offer(self._lab.project.store.annotators())
        self.pages.setCurrentWidget(self.start)
        self.start.take_focus()

    def _open(self, dataset: str, queue: str) -> None:
        """Begin with this data set and queue; what is shown comes from the queue a moment later."""
        self.desk.open(self.desk.who, dataset, queue)
        self._begin()
        if not self.desk.who:
            return
        if not dataset:
            self._show_empty(NO_DATA)
            return
        if queue_named(queue).scored and not self._model():
            self._show_empty(NO_REWARD_RUN)
            return
        self._show_empty(LOADING)
        self._ask_more()

    def _begin(self) -> None:
        """Everything that depends on the data set and the person."""
        self._opening += 1
        self._asking = self._exhausted = False
        self.tally, self._counted = Tally(), None
        self.counters.show_tally(self.tally)
        self.foot.show_last("")
        self.head.offer_datasets(
            [(self.head.dataset.itemData(n), self.head.dataset.itemText(n)) for n in range(self.head.dataset.count())],
            self.desk.dataset,
        )
        self.head.show_queue(self.desk.queue or "unranked")
        self._offer_models()
        if self.desk.dataset:
            self.guidelines.show_text(self._lab.project.store.guidelines(self.desk.dataset))
            if self.desk.who:
                self._count_up()

    def _offer_models(self) -> None:
        runs = [(row.run, run_title(row.run)) for row in finished_runs(self._lab.project, ("reward",))]
        scored = bool(self.desk.queue) and queue_named(self.desk.queue).scored
        self.head.offer_models(runs, self._model(), seen=scored)

    def _model(self) -> str:
        return str(self.head.model.currentData() or "")

    def _asked(self) -> Asked:
        model = self._model() if queue_named(self.desk.queue).scored else None
        return Asked(self._opening, self.desk.dataset, self.desk.queue, self.desk.who, model)

    # What is shown

    def _ask_more(self) -> None:
        if self._asking or self._exhausted or self.desk.queue == FRESH.name:
            return
        self._asking = True
        task = self._lab.in_background(next_records(self._asked(), AT_ONCE + self.desk.left_out))
        task.done.connect(self._more_came)
        task.failed.connect(self._queue_failed)

    @Slot(object)
    def _more_came(self, found: tuple[Asked, list[int]]) -> None:
        asked, ids = found
        if asked.opening != self._opening:
            return
        self._asking = False
        waited = self.desk.current is None
        self._exhausted = not self.desk.offer(ids)
        if waited:
            self._show_current()
        elif self.desk.wants_more:
            self._ask_more()

    @Slot(str)
    def _queue_failed(self, reason: str) -> None:
        self._asking = False
        self.foot.show_last(reason, role="bad")

    def _show_current(self, *, note: str = "") -> None:
        item = self.desk.current
        if item is None:
            if self._asking:
                self._show_empty(LOADING)
            elif not self._exhausted and self.desk.dataset:
                self._show_empty(LOADING)
                self._ask_more()
            else:
                title = run_title(self._model()) if self._model() else "The reward model"
                self._show_empty(empty_queue(self.desk.queue, self.tally.done, self.desk.left_out, title))
            return
        board = self._board(item)
        self.prompt.show_prompt(item.record.prompt)
        board.show_item(item)
        if self.middle.currentWidget() is not self.ranking:
            self.middle.setCurrentWidget(self.ranking)
        if self.boards.currentWidget() is not board:
            self.boards.setCurrentWidget(board)
            self.foot.offer_confirm(board is self.pair)
        self.foot.take_note(note)
        self.desk.looking()
        self._take_focus()
        if self.desk.wants_more:
            self._ask_more()

    def _show_empty(self, empty: Empty) -> None:
        self.empty.show_empty(empty)
        self.middle.setCurrentWidget(self.empty)

    def _board(self, item: Item) -> PairBoard | SeveralBoard:
        return self.pair if len(item.shown) == 2 else self.several

    def _take_focus(self) -> None:
        if self.pages.currentWidget() is self.start:
            self.start.take_focus()
        elif self.middle.currentWidget() is self.ranking and self.desk.current is not None:
            self._board(self.desk.current).take_focus()

    # What the person says

    @Slot(str, tuple, int)
    def _judge(self, verdict: Verdict, ranks: tuple[int, ...], strength: int) -> None:
        if self.desk.current is None:
            return
        try:
            said = self.desk.judge(verdict, ranks, strength=strength, note=self.foot.take_note())
        except LabError as error:
            self.foot.show_last(f"Not stored: {error}", role="bad")
            return
        self._show_current()
        self._count(said, 1)
        self.foot.show_last(outcome_words(said))

    @Slot()
    def _skip(self) -> None:
        self._judge("skip", (), 1)

    @Slot()
    def undo(self) -> None:
        """Take back the newest verdict of this person and show its record again."""
        before = self.desk.dataset
        said = self._step(self.desk.undo, "There is nothing to undo.")
        if said is None:
            return
        if self.desk.dataset != before:
            self._begin()
        else:
            self._count(said, -1)
        self._show_current(note=note_of(said.judgement))
        self.foot.show_last(f"Undone: {verdict_words(said)}")

    @Slot()
    def redo(self) -> None:
        """Give the verdict again that was undone last."""
        said = self._step(self.desk.redo, "There is nothing to redo.")
        if said is None:
            return
        if said.item.dataset == self.desk.dataset:
            self._count(said, 1)
        self._show_current()
        self.foot.show_last(f"Given again: {outcome_words(said)}")

    def _step(self, act: object, nothing: str) -> Said | None:
        try:
            said = act()  # type: ignore[operator]
        except LabError as error:
            self.foot.show_last(str(error), role="bad")
            return None
        if said is None:
            self.foot.show_last(nothing)
        return said

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """What the part in focus did not want, the answers may."""
        item = self.desk.current
        if self.middle.currentWidget() is not self.ranking or item is None or self.pages.currentWidget() is self.start:
            super().keyPressEvent(event)
        elif not self._board(item).take_key(event):
            self._take_common(event)

    def _take_common(self, event: QKeyEvent) -> None:
        if event.modifiers() or event.isAutoRepeat():
            super().keyPressEvent(event)
        elif event.key() == Qt.Key.Key_S:
            self._skip()
        elif event.key() == Qt.Key.Key_N:
            self.foot.open_note()
        else:
            super().keyPressEvent(event)

    # Counters

    @Slot(object)
    def _counted_up(self, counted: Counted) -> None:
        """What was said since then is added; what was undone since then may be in it or not: count again."""
        if counted.asked.opening != self._opening:
            return
        heard, self._heard = self._heard, []
        if any(sign < 0 for _, sign in heard):
            self._count_up()
            return
        self._counted, self.tally = counted, counted.tally
        for said, sign in heard:
            self._count(said, sign)
        self.counters.show_tally(self.tally)

    def _count(self, said: Said, sign: int) -> None:
        others = self._counted.others.get(said.item.id, []) if self._counted is not None else []
        (self.tally.add if sign > 0 else self.tally.take_back)(said.judgement, said.item.lengths, others)
        if self._counted is None:
            self._heard.append((said, sign))
        self.counters.show_tally(self.tally)

    def _count_up(self) -> None:
        self._heard = []
        self._lab.in_background(count_up(self._asked(), time.time())).done.connect(self._counted_up)

    # The rest

    @Slot(str)
    def _act(self, name: str) -> None:
        match name:
            case "data":
                self._lab.pane_asked.emit("data", {})
            case "reward":
                self._lab.pane_asked.emit("reward", {})
            case _:
                self._choose_queue(name)

    @Slot(str)
    def _choose_dataset(self, name: str) -> None:
        if name and name != self.desk.dataset:
            self._open(name, self.desk.queue or "unranked")

    @Slot(str)
    def _choose_queue(self, name: str) -> None:
        if name:
            self._open(self.desk.dataset, name)

    @Slot(str)
    def _choose_model(self, name: str) -> None:
        self._open(self.desk.dataset, self.desk.queue)

    @Slot(str)
    def _save_guidelines(self, text: str) -> None:
        if self.desk.dataset:
            self._lab.project.store.set_guidelines(self.desk.dataset, text)
        self._take_focus()

    @Slot(bool)
    def _confirm(self, wanted: bool) -> None:
        self.pair.confirm = wanted
        self._take_focus()

    def _connect(self) -> None:
        self.start.chosen.connect(self._person_chosen)
        self.head.person_asked.connect(self._ask_person)
        self.head.dataset_chosen.connect(self._choose_dataset)
        self.head.queue_chosen.connect(self._choose_queue)
        self.head.model_chosen.connect(self._choose_model)
        self.head.guidelines_toggled.connect(self.guidelines.setVisible)
        self.guidelines.saved.connect(self._save_guidelines)
        self.empty.asked.connect(self._act)
        for board in (self.pair, self.several):
            board.verdict_given.connect(self._judge)
        self.foot.skip_asked.connect(self._skip)
        self.foot.undo_asked.connect(self.undo)
        self.foot.redo_asked.connect(self.redo)
        self.foot.note_left.connect(self._take_focus)
        self.foot.confirm_toggled.connect(self._confirm)
        inside = Qt.ShortcutContext.WidgetWithChildrenShortcut
        QShortcut(QKeySequence("Ctrl+Z"), self, self.undo, context=inside)
        for keys in ("Ctrl+Shift+Z", "Ctrl+Y"):
            QShortcut(QKeySequence(keys), self, self.redo, context=inside)
        self._lab.datasets_changed.connect(self.refresh)
        self._lab.runs_changed.connect(self._offer_models)

    def _lay_out(self) -> None:
        self.boards = QStackedWidget()
        self.boards.addWidget(self.pair)
        self.boards.addWidget(self.several)
        self.ranking = QWidget()
        column = QVBoxLayout(self.ranking)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(self.prompt)
        column.addWidget(self.boards, 1)
        column.addWidget(self.foot)
        self.middle = QStackedWidget()
        self.middle.addWidget(self.empty)
        self.middle.addWidget(self.ranking)
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
