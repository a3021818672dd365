"""The Compare pane: two to four models side by side, blind votes, where these leave the models, and what training changed."""

from PySide6.QtCore import Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QButtonGroup, QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Checkpointed, SampleRow
from rlhf_lab.gui.asker import Asker, MakeInference
from rlhf_lab.gui.behaviour_page import BehaviourPage
from rlhf_lab.gui.blind_vote import BlindVote
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.behaviour import with_bases
from rlhf_lab.gui.models.contenders import Contender, contenders, draws_problem, opening
from rlhf_lab.gui.models.token_tint import full_shade
from rlhf_lab.gui.widgets.answer_view import AnswerView
from rlhf_lab.gui.widgets.question_card import QuestionCard, Wish
from rlhf_lab.gui.widgets.standings_page import StandingsPage
from rlhf_lab.gui.widgets.tint_bar import BASE, START, TintBar
from rlhf_lab.runs.inference import Inference

FEWEST, MOST = 2, 4
"""Models beside each other."""

ASKING = ("Side by side", "Blind vote")
"""The pages with a prompt and answers."""


class ComparePane(QWidget):
    """All models get the same prompt, temperature and seed."""

    def __init__(self, lab: Lab, make_inference: MakeInference = Inference):
        super().__init__()
        self._lab = lab
        self.setAccessibleName("Compare")
        self.asker = Asker(lab.project.models_folder, self, make_inference)
        self._sides: dict[int, AnswerView] = {}
        self.card = QuestionCard()
        self.views = [AnswerView(letter) for letter in "ABCD"[:MOST]]
        self.standings, self.behaviour = StandingsPage(lab), BehaviourPage(lab)
        self.blind = BlindVote(lab, self.card, self.views[:2], self.asker)
        self.pages = {name: QPushButton(name) for name in (*ASKING, "Standings", "What changed")}
        self.pages["Side by side"].setToolTip("The same prompt to models that you know by name")
        self.pages["Blind vote"].setToolTip("Two models drawn by lot answer; you vote first and see the names after")
        self.pages["Blind vote"].setProperty("help", "help:control.blind")
        self.pages["Standings"].setProperty("help", "help:control.win_rates")
        self.pages["What changed"].setProperty("help", "help:control.behaviour")
        self.pages["Standings"].setToolTip("Who is preferred to whom, and whether the votes are enough to say so")
        self.pages["What changed"].setToolTip(
            "Knowledge, refusals, tone, length: what moved from model to model, and what not"
        )
        self._page = QButtonGroup(self)
        self.tint = TintBar()
        self._measured = START
        self.count = QComboBox()
        self.count.setAccessibleName("How many models")
        for count in range(FEWEST, MOST + 1):
            self.count.addItem(f"{count} models", count)
        self._lay_out()
        self._connect()
        self.pages["Side by side"].setChecked(True)
        self._show_page()
        self._take_mode()
        self.refresh()

    @property
    def shown(self) -> list[AnswerView]:
        """The views that have a model to ask by name."""
        return self.views[: self.count.currentData()]

    @Slot()
    def refresh(self) -> None:
        """Look which models, reward models and example prompts there are."""
        known = contenders(self._lab.project)
        for view, first in zip(self.views, opening(known, MOST), strict=True):
            view.offer(known, first)
        self.behaviour.offer(known)
        self.card.offer_rewards(self._lab.project)
        if self.card.example.count() <= 1:
            self._offer_prompts()
        self.blind.take_models(self._chosen())

    def fill_in(self, fields: dict[str, object]) -> None:
        """Show what these runs and their base have become: {"report": runs}."""
        wanted = fields.get("report")
        if isinstance(wanted, list):
            project = self._lab.project
            self.behaviour.take_models(with_bases(project, contenders(project), wanted))
            self.pages["What changed"].click()

    def showEvent(self, event: QShowEvent) -> None:
        """A pane that comes into view shows the project as it is now."""
        super().showEvent(event)
        self.refresh()
        if self.pages["Standings"].isChecked():
            self.standings.open()

    @Slot()
    def _runs_changed(self) -> None:
        if self.isVisible():  # else it looks when it is shown
            self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        """Another pane may judge meanwhile: what can be taken back from here is not certain any more."""
        super().hideEvent(event)
        self.blind.forget_vote()

    @Slot()
    def ask(self) -> None:
        """Send the prompt to all models that are shown; in a blind comparison to two of them."""
        if self._sides:
            return
        if self.pages["Blind vote"].isChecked():
            self.blind.ask()
            return
        wish = self.card.wish()
        if wish is None:
            return
        self._measured = BASE if self.tint.name == BASE else START
        for place, view in enumerate(self.shown):
            contender = view.contender()
            assert contender is not None
            try:
                request = self._ask(contender, wish, place)
            except LabError as error:
                view.end(str(error))
                continue
            self._sides[request] = view
            view.begin(_begun(contender) if place == 0 else f"Waiting for model {'ABCD'[place - 1]}…")
        self.card.show_busy(bool(self._sides))

    @Slot()
    def stop(self) -> None:
        """End all answers early."""
        self.asker.cancel(list(self._sides))
        self.blind.stop()

    def _ask(self, contender: Contender, wish: Wish, place: int) -> int:
        if problem := draws_problem(contender, wish.mode, wish.reward):
            raise LabError(problem)
        project = self._lab.project
        spec = contender.spec(project)
        to_base = self.tint.name == BASE
        base = spec.model_copy(update={"adapters": ()})
        return self.asker.ask(
            spec,
            wish.prompt,
            **wish.of(place),
            kl=contender.run is not None and not to_base,
            kl_to=base if contender.run is not None and to_base else None,
            tokens=True,
            best_of=contender.best_of,
            reward=project.model_spec(wish.reward) if wish.reward is not None else None,
        )

    def _chosen(self) -> list[Contender]:
        """The different models that are shown."""
        return list(dict.fromkeys(c for view in self.shown if (c := view.contender()) is not None))

    @Slot(int, str)
    def _came(self, request: int, text: str) -> None:
        if request in self._sides:
            self._sides[request].add_text(text)

    @Slot(int, str, dict)
    def _answered(self, request: int, text: str, values: dict[str, float]) -> None:
        if request in self._sides:
            named = {self._measured if name == START else name: value for name, value in values.items()}
            self._sides[request].set_answer(text, named)
            self._tint()

    @Slot(int, object)
    def _tokens_known(self, request: int, row: SampleRow) -> None:
        if request in self._sides:
            named = {self._measured if name == START else name: given for name, given in row.per_token.items()}
            self._sides[request].set_tokens(row.model_copy(update={"per_token": named}))

    @Slot()
    def _tint(self) -> None:
        """The same shade is the same number in all answers."""
        name = self.tint.name
        rows = [view.row for view in self.shown if view.row is not None and name in view.row.per_token]
        full = full_shade(rows, name) if name is not None and rows else 1.0
        for view in self.views:
            view.show_tint(name, full)
        self.tint.show_scale(full if rows else None)

    @Slot(int, str)
    def _ended(self, request: int, problem: str) -> None:
        if request not in self._sides:
            return
        self._sides.pop(request).end(problem)
        for view in self._sides.values():
            contender = view.contender()
            assert contender is not None
            view.show_status(_begun(contender))
        self.card.show_busy(bool(self._sides))

    @Slot()
    def _take_mode(self) -> None:
        for view in self.views:
            view.set_mode(self.card.mode, self.card.reward.currentData())

    @Slot()
    def _show_count(self) -> None:
        blind = self.pages["Blind vote"].isChecked()
        for place, view in enumerate(self.views):
            view.setVisible(place < (FEWEST if blind else self.count.currentData()))
        self.card.show_models(FEWEST if blind else self.count.currentData())
        self.blind.take_models(self._chosen())

    @Slot()
    def _models_changed(self) -> None:
        self.blind.take_models(self._chosen())

    @Slot()
    def _show_page(self) -> None:
        self.stop()
        for view in self._sides.values():
            view.end("")
        self._sides.clear()  # that they have ended may be heard when others are being written
        self.card.show_busy(False)
        page = next(name for name, button in self.pages.items() if button.isChecked())
        blind, asking = page == "Blind vote", page in ASKING
        for widget in (self.count, self.tint):
            widget.setVisible(page == "Side by side")
        for widget in (self.card, self._beside):
            widget.setVisible(asking)
        self.standings.setVisible(page == "Standings")
        self.behaviour.setVisible(page == "What changed")
        self.card.set_blind(blind)
        self.blind.show(blind)
        self._show_count()
        if page in ("Blind vote", "Standings"):
            self.standings.open()

    @Slot()
    def _offer_prompts(self) -> None:
        self.card.offer_prompts(self._lab.project)

    @Slot(str, list)
    def _run_said(self, run: str, events: list[AnyEvent]) -> None:
        """A run that trains has saved itself: that can be asked now."""
        if self.isVisible() and any(isinstance(event, Checkpointed) for event in events):
            self.refresh()

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        if self._lab.state(run).outcome == "starting" and not self._sides and not self.blind.busy:
            self.asker.free_memory()

    def _connect(self) -> None:
        self.card.asked.connect(self.ask)
        self.card.stop_asked.connect(self.stop)
        self.card.mode_changed.connect(self._take_mode)
        self.count.currentIndexChanged.connect(self._show_count)
        self._page.buttonClicked.connect(self._show_page)
        for view in self.views:
            view.model_changed.connect(self._models_changed)
            view.answer.pointed.connect(self.tint.tell)
        self.tint.changed.connect(self._tint)
        self.asker.tokens_known.connect(self._tokens_known)
        self.asker.came.connect(self._came)
        self.asker.answered.connect(self._answered)
        self.asker.ended.connect(self._ended)
        self.standings.weighed.connect(self.blind.take_standings)
        self._lab.closing.connect(self.asker.close)
        self._lab.run_changed.connect(self._run_changed)
        self._lab.runs_changed.connect(self._runs_changed)
        self._lab.events_arrived.connect(self._run_said)
        self._lab.datasets_changed.connect(self._offer_prompts)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in self.pages.values():
            button.setCheckable(True)
            self._page.addButton(button)
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self.count)
        self._beside = QWidget()
        column = QVBoxLayout(self._beside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        sides = QHBoxLayout()
        sides.setSpacing(12)
        for view in self.views:
            sides.addWidget(view, 1)
        column.addLayout(sides, 1)
        column.addWidget(self.tint)
        column.addWidget(self.blind.bar)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(12, 12, 12, 12)
        whole.setSpacing(12)
        whole.addLayout(row)
        whole.addWidget(self.card)
        whole.addWidget(self._beside, 1)
        whole.addWidget(self.standings, 1)
        whole.addWidget(self.behaviour, 1)


def _begun(contender: Contender) -> str:
    if contender.best_of == 1:
        return "Loading the model…"
    return f"Writing {contender.best_of} answers; the best appears when all are scored…"
