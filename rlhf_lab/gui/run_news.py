"""What a person has to hear of runs wherever in the window they are: that one ended, failed, waits, or found something damaged."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.out_of_memory import LESS_MEMORY, advised_in
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.run_state import RunState
from rlhf_lab.gui.widgets.message_bar import MessageBar

if TYPE_CHECKING:
    from rlhf_lab.core.events import AnyEvent

TOLD = frozenset({"checkpoint_damaged", "not_recorded"})
"""Warnings that are no matter of the run's pane alone."""


class RunNews(QObject):
    """Puts it into the message area, with a way on."""

    def __init__(
        self,
        lab: Lab,
        messages: MessageBar,
        show_run: Callable[[str], object],
        in_view: Callable[[str], bool],
        parent: QObject | None = None,
    ):
        """``in_view``: whether a run is shown in front, so that its end needs no message."""
        super().__init__(parent)
        self._lab, self._messages, self._show_run, self._in_view = lab, messages, show_run, in_view
        self._held: dict[str, str] = {}
        lab.run_changed.connect(self._run_changed)
        lab.events_arrived.connect(self._listen)

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        state = self._lab.state(run)
        if state.held != self._held.get(run, ""):
            self._tell_held(state)
        if state.outcome in ("failed", "interrupted") and run not in self._lab.live():
            self._tell_failure(state)

    @Slot(str)
    def tell_end(self, run: str) -> None:
        """That a run is done, wherever the person is; how one failed is told as its state says so."""
        state = self._lab.state(run)
        if state.outcome == "done" and not self._in_view(run):
            show = ("Show", lambda: self._show_run(run))
            self._messages.show_message(f"{state.title} has finished. {state.message}".rstrip(), "success", show)

    @Slot(str, list)
    def _listen(self, run: str, events: list["AnyEvent"]) -> None:
        from rlhf_lab.core.events import Warned

        for event in events:
            if isinstance(event, Warned) and event.code in TOLD:
                self._messages.show_message(f"{self._lab.state(run).title}: {event.text}", "problem")

    def _tell_held(self, state: RunState) -> None:
        """What it waits for; the words before these are out of date."""
        if before := self._held.pop(state.run, ""):
            self._messages.take_back(_waits(state, before))
        if state.held:
            self._held[state.run] = state.held
            show = ("Show", lambda: self._show_run(state.run))
            self._messages.show_message(_waits(state, state.held), "problem", show)
        elif state.live:
            self._messages.show_message(f"{state.title} goes on.")

    def _tell_failure(self, state: RunState) -> None:
        run, verb = state.run, "failed" if state.outcome == "failed" else "was interrupted"
        actions = [("Show", lambda: self._show_run(run)), ("Resume", lambda: self._resume(run, {}))]
        if changes := self._less_memory(state):
            also = " and checkpointing" if "gradient_checkpointing" in changes else ""
            name = f"Go on with micro-batch {changes['micro_batch_size']}{also}"
            actions.append((name, lambda: self._resume(run, changes)))
        self._messages.show_message(f"{state.title} {verb}. {state.message}", "problem", *actions)

    def _less_memory(self, state: RunState) -> dict[str, Any]:
        """What its last words advise where it ran out of memory, or half the micro-batch; {} where nothing would fit."""
        advised = advised_in(state.message)
        unknown = LESS_MEMORY in state.message  # a GPU, say: half of it is the next thing to try
        if not advised and not unknown:
            return {}
        from rlhf_lab.core.memory import micro_batch_of

        try:
            config = self._lab.project.run(state.run).config
        except LabError:
            return {}
        changes = advised or {"micro_batch_size": micro_batch_of(config) // 2}
        # Someone may have gone on with less already.
        lean = "gradient_checkpointing" in changes and config.gradient_checkpointing != "on"
        less = lean or changes["micro_batch_size"] < micro_batch_of(config)
        return changes if less and changes["micro_batch_size"] else {}

    def _resume(self, run: str, changes: dict[str, object]) -> None:
        try:
            self._lab.resume(run, changes)
        except LabError as error:
            self._messages.show_message(str(error), "problem")


def _waits(state: RunState, why: str) -> str:
    return f"{state.title} waits. {why}"
