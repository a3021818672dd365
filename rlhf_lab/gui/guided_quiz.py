"""The guided experiment's quiz and report, beside the window and, at first, beside its PPO run."""

import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import Stage
from rlhf_lab.gui.background import Background

if TYPE_CHECKING:
    from rlhf_lab.store import Store

TITLE = "The quiz of the guided experiment: its runs are kept, no report."
"""See `Background.title`; true once the PPO run is done."""
_LOOKS_SECONDS = 0.1


class QuizAndReport:
    """Work for `Lab.in_background`: the path of the report.

    The base and the SFT model are asked at once, the PPO model as soon as `trained` is set.
    """

    def __init__(self, folder: Path, runs: Mapping[Stage, str], began: float) -> None:
        self.trained = Event()
        self._folder, self._runs, self._began = folder, dict(runs), began

    def __call__(self, store: "Store", task: Background) -> str:
        from rlhf_lab.runs.experiment import Quiz
        from rlhf_lab.runs.project import Project
        from rlhf_lab.runs.report import build

        def go_on() -> None:
            if task.cancelled():
                raise LabError("The guided experiment was stopped before the quiz was over; its three runs are there.")

        with Project.open(self._folder) as project:
            with Quiz(project) as quiz:
                quiz.ask_all({stage: run for stage, run in self._runs.items() if stage != "ppo"})
                while not self.trained.wait(_LOOKS_SECONDS):
                    go_on()
                quiz.ask_all(self._runs)
                shares = quiz.shares(task.progressed.emit, go_on)
            return str(build(project, self._runs, shares, time.monotonic() - self._began)["report"])
