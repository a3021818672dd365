"""Voting without names: two models drawn by lot answer a prompt; who they were is said after the vote."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import PromptOnly
from rlhf_lab.gui.asker import Asker
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.blind import VOTES, Ballot, Vote, cast, draw, votes_between
from rlhf_lab.gui.models.contenders import Contender, draws_problem
from rlhf_lab.gui.models.fresh import as_asked, questions
from rlhf_lab.gui.models.ranking import LONGEST_LOOK
from rlhf_lab.gui.widgets.answer_view import AnswerView
from rlhf_lab.gui.widgets.question_card import QuestionCard
from rlhf_lab.gui.widgets.vote_bar import VoteBar

if TYPE_CHECKING:
    from rlhf_lab.data.standings import Standings


class BlindVote(QObject):
    """Answers are shown when both are whole: how fast they come would tell models apart."""

    def __init__(self, lab: Lab, card: QuestionCard, views: Sequence[AnswerView], asker: Asker):
        super().__init__(card)
        self._lab, self._card, self._views, self._asker = lab, card, views, asker
        self.bar = VoteBar()
        self._chance = random.Random()
        self._models: list[Contender] = []
        self._votes: Counter[frozenset[str]] = Counter()
        self._questions: Iterator[PromptOnly] = iter(())
        self._open: dict[int, int] = {}
        self._texts: dict[int, str] = {}
        self._drawn: tuple[Contender, Contender] | None = None
        self._question: PromptOnly | None = None
        self._ballot: Ballot | None = None
        self._cast_by = ""
        self._since = 0.0
        self.bar.voted.connect(self._vote)
        self.bar.next_asked.connect(self.ask_next)
        self.bar.back_asked.connect(self._take_back)
        card.source.currentIndexChanged.connect(self._begin_prompts)
        asker.answered.connect(self._answered)
        asker.ended.connect(self._ended)

    @property
    def busy(self) -> bool:
        """Whether answers are being written."""
        return bool(self._open)

    def take_models(self, models: Sequence[Contender]) -> None:
        """Vote between these from the next prompt on."""
        self._models = list(models)
        if self._ballot is None and not self.busy:
            self._show_state(self._invitation())

    @Slot(object)
    def take_standings(self, found: "Standings") -> None:
        """Draw those first that have the fewest votes."""
        self._votes = votes_between(found)

    def show(self, blind: bool) -> None:
        """Begin, or put the names back."""
        self._drawn = self._ballot = None
        self._cast_by = ""
        self._open.clear()  # cancelled by now; their end may be heard when others are being written
        self.bar.setVisible(blind)
        for view in self._views:
            view.hide_model(blind)
            view.begin("")
        if blind:
            self.bar.offer_people(self._lab.project.store.annotators())
            self._begin_prompts()
            self._show_state(self._invitation())

    @Slot()
    def ask_next(self) -> None:
        """Ask the next prompt of the data set."""
        question = next(self._questions, None)
        if question is None:
            self._begin_prompts()
            question = next(self._questions, None)
        if question is None:
            self._card.show_problem("There is no prompt to ask: choose a data set, or write one yourself.")
            return
        self._card.show_question(question)
        self.ask()

    def ask(self) -> None:
        """Have two of the models answer the prompt as it stands."""
        if self.busy:
            return
        if len(self._models) < 2:
            self._card.show_problem("A vote needs two different models: choose them under “Side by side”.")
            return
        wish = self._card.wish()
        if wish is None:
            return
        self._question, self._drawn = self._card.question(), draw(self._models, self._votes, self._chance)
        self._ballot, self._cast_by = None, ""
        self._texts.clear()
        project = self._lab.project
        for place, (view, model) in enumerate(zip(self._views, self._drawn, strict=True)):
            view.hide_model(True)
            view.begin("Writing…")
            prompt, mode, stop = as_asked(wish.prompt, model)
            more = wish.more | {"mode": mode, "stop": stop}
            if mode == "raw":
                more["system"] = None
            try:
                if problem := draws_problem(model, mode, wish.reward):
                    raise LabError(problem)
                reward = project.model_spec(wish.reward) if wish.reward is not None and mode == "chat" else None
                kl = model.run is not None
                request = self._asker.ask(
                    model.spec(project), prompt, **more, kl=kl, reward=reward, best_of=model.best_of
                )
            except LabError as error:
                self._fail(str(error))
                return
            self._open[request] = place
        self._show_state("")

    def stop(self) -> None:
        """End both answers early; there is nothing to vote on then."""
        self._asker.cancel(list(self._open))

    def forget_vote(self) -> None:
        """The last vote cannot be taken back from here any more."""
        self._cast_by = ""
        self.bar.back.setEnabled(False)

    @Slot(int, str, dict)
    def _answered(self, request: int, text: str, values: dict[str, float]) -> None:
        if request in self._open:
            place = self._open[request]
            self._texts[place] = text
            self._views[place].set_numbers(values)

    @Slot(int, str)
    def _ended(self, request: int, problem: str) -> None:
        if request not in self._open:
            return
        del self._open[request]
        if problem:
            self._fail(problem)
        elif not self._open:
            self._show_both()

    def _show_both(self) -> None:
        assert self._drawn is not None
        assert self._question is not None
        for place, view in enumerate(self._views):
            if place in self._texts:
                view.show_whole(self._texts[place])
            view.end("" if place in self._texts else "Stopped before it was written.")
        if len(self._texts) < len(self._views):
            self._show_state("Stopped: nothing to vote on.")
            return
        self._ballot = Ballot(self._question, self._drawn, (self._texts[0], self._texts[1]))
        self._since = time.monotonic()
        same = self._ballot.texts[0].strip() == self._ballot.texts[1].strip()
        self._show_state("Both wrote the same." if same else "Which answer is better?")

    def _fail(self, problem: str) -> None:
        """One answer is missing: no vote, and no name either."""
        self._asker.cancel(list(self._open))
        self._open.clear()
        self._drawn = None
        for view in self._views:
            view.end("")
        self._card.show_problem(problem)
        self._show_state("No vote on this prompt.")

    @Slot(str)
    def _vote(self, vote: Vote) -> None:
        ballot = self._ballot
        if ballot is None or self._cast_by:
            return
        seconds = min(time.monotonic() - self._since, LONGEST_LOOK)
        new = VOTES not in {row.name for row in self._lab.project.store.datasets()}
        who = self.bar.name
        try:
            cast(self._lab.project.store, ballot, who, vote, seconds=seconds)
        except LabError as error:
            self._card.show_problem(f"This vote is not kept yet: {error}")
            return
        self._card.show_problem("")
        self._cast_by = who
        two = frozenset(model.title for model in ballot.models)
        self._votes[two] += 1
        for view, model in zip(self._views, ballot.models, strict=True):
            view.reveal(model.title)
        left, right = (model.title for model in ballot.models)
        votes = "The first vote" if self._votes[two] == 1 else f"{self._votes[two]:,} votes"
        self._show_state(f"A was {left}, B was {right}. {votes} on these two.")
        if new:
            self._lab.datasets_changed.emit()

    @Slot()
    def _take_back(self) -> None:
        try:
            found = self._lab.project.store.undo(self._cast_by)  # another name may stand in the bar now
        except LabError as error:
            self._card.show_problem(str(error))
            return
        assert self._ballot is not None
        if found is not None:
            self._votes[frozenset(model.title for model in self._ballot.models)] -= 1
        self._ballot, self._cast_by = None, ""
        self._show_state("The vote is taken back. The names are known now: go on with another prompt.")

    @Slot()
    def _begin_prompts(self) -> None:
        dataset = self._card.source.currentData()
        self._questions = questions(self._lab.project.store, dataset, self._chance) if dataset else iter(())

    def _invitation(self) -> str:
        if len(self._models) < 2:
            return "Choose two different models under “Side by side” first."
        names = " · ".join(model.title for model in self._models)
        return f"Between {names}: press Enter for a prompt of the data set, or write one and ask."

    def _show_state(self, words: str) -> None:
        self._card.show_busy(self.busy)
        self.bar.words.show_text(words)
        self.bar.show_state(
            votable=self._ballot is not None and not self._cast_by,
            voted=bool(self._cast_by),
            can_go_on=len(self._models) > 1 and not self.busy,
        )
