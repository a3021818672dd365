"""Models write answers while a person ranks: always some records ahead, so that nobody waits for a model."""

import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord, PromptOnly
from rlhf_lab.gui.asker import MakeInference
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.fresh import FreshPlan, as_asked, candidates, questions
from rlhf_lab.runs.ask import Answer, Done, Failed, Reply
from rlhf_lab.runs.inference import Inference

AHEAD = 6
"""Records that should stand ready behind the one that is being ranked."""

_AT_ONCE = 4
"""Prompts asked together; the first time it is one, so that there is something to look at soon."""


class FreshAnswers(QObject):
    """Asks the inference child batch by batch and stores what it writes; the child ends with `stop`."""

    came = Signal(str, list)
    """The data set that the answers are in, and the ids of the new records."""
    failed = Signal(str)
    """Why no more will come, in words."""
    _arrived = Signal(object)

    def __init__(self, lab: Lab, parent: QObject, make: MakeInference = Inference):
        super().__init__(parent)
        self._lab, self._project, self._make = lab, lab.project, make
        self._inference: Inference | None = None
        self._plan: FreshPlan | None = None
        self._questions: Iterator[PromptOnly] = iter(())
        self._batch: list[PromptOnly] = []
        self._open: dict[int, int] = {}
        self._written: dict[int, dict[int, str]] = defaultdict(dict)
        self._seed = 0
        self.dataset = ""
        """Where the answers are; "" before the first."""
        # Replies arrive in a thread of the client; a signal to a bound method is what brings them here.
        self._arrived.connect(self._take)
        lab.closing.connect(self.stop)
        lab.run_changed.connect(self._run_changed)

    @property
    def going(self) -> bool:
        """Whether more can come."""
        return self._plan is not None

    def begin(self, plan: FreshPlan) -> None:
        """Start anew; raises `LabError` where the data set or a model is not there."""
        self.stop()
        chance = random.Random()
        self._seed = chance.randrange(2**30)
        for model in plan.models:
            model.spec(self._project)  # says in words which run is gone
        self._plan, self._questions = plan, questions(self._project.store, plan.dataset, chance)
        self._inference = self._make(Path(self._project.models_folder), self._arrived.emit)
        self.dataset = ""
        self._ask(1)

    def keep_ahead(self, waiting: int) -> None:
        """So many records are waiting: ask for more where that is little."""
        if self._plan is not None and not self._open and waiting < AHEAD:
            self._ask(_AT_ONCE)

    @Slot()
    def stop(self) -> None:
        """Write no more, and let the memory of the models go."""
        self._plan = None
        self._open.clear()
        self._written.clear()
        if self._inference is not None:
            self._inference.close()
            self._inference = None

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        """A run needs the memory; the models are loaded again when more answers are wanted."""
        if self._inference is not None and not self._open and self._lab.state(run).outcome == "starting":
            self._inference.unload()

    def _ask(self, prompts: int) -> None:
        plan, inference = self._plan, self._inference
        assert plan is not None
        assert inference is not None
        self._batch = list(islice(self._questions, prompts))
        self._written.clear()
        if not self._batch:
            self._end(f"Every prompt of “{plan.dataset}” has fresh answers now.")
            return
        for place, model in enumerate(plan.models):
            if not plan.shares[place]:
                continue
            asked = [as_asked(question.prompt, model) for question in self._batch]
            self._seed += 1
            request = inference.generate(
                model.spec(self._project),
                [prompt for prompt, _, _ in asked for _ in range(plan.shares[place])],
                mode=asked[0][1],
                stop=asked[0][2],
                temperature=plan.temperature,
                max_new_tokens=plan.longest,
                seed=self._seed,
            )
            self._open[request] = place

    @Slot(object)
    def _take(self, reply: Reply) -> None:
        if reply.id not in self._open:
            return
        match reply:
            case Answer():
                self._written[self._open[reply.id]][reply.index] = reply.text
            case Done():
                del self._open[reply.id]
                if not self._open:
                    self._store()
            case Failed():
                self._end(reply.message)

    def _store(self) -> None:
        plan, store = self._plan, self._project.store
        assert plan is not None
        records: list[AnyRecord] = []
        for at, question in enumerate(self._batch):
            written = [
                (self._written[place][at * share + n], plan.models[place].title)
                for place, share in enumerate(plan.shares)
                for n in range(share)
            ]
            record = candidates(question, written)
            if record is not None:
                records.append(record)
        if not records:  # the models all said the same: on to other prompts
            self._ask(_AT_ONCE)
            return
        try:
            if not self.dataset:
                with store.new_dataset(plan.title, "fresh answers", "candidates") as writer:
                    pass
                self.dataset = writer.name
            ids = store.append(self.dataset, records)
        except LabError as error:
            self._end(str(error))
            return
        self.came.emit(self.dataset, ids)

    def _end(self, reason: str) -> None:
        self.stop()
        self.failed.emit(reason)
