"""What SFT, reward and DPO training have in common: begin or go on, what is due, save, stop, fail.

Everything a step needs follows from (seed, step), the adapter's weights and the optimiser's moments, so
these and the step are the whole checkpoint: a resumed run is the uninterrupted one, bit for bit. Weights
change only at the end of a step, so that a stop or an error in the middle of one finds the last whole step.
"""

import time
from collections.abc import Iterator
from typing import Any

from rlhf_lab.core.config import DpoConfig, RewardConfig, SftConfig
from rlhf_lab.core.events import (
    Changed,
    Checkpointed,
    Event,
    Finished,
    Metrics,
    Progress,
    relative_path,
)
from rlhf_lab.core.out_of_memory import is_out_of_memory, let_go_of_frames
from rlhf_lab.engine import checkpoint, machine, room
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.beginning import begin
from rlhf_lab.engine.finite import NotFinite
from rlhf_lab.engine.optimiser import Optimiser, rate_at
from rlhf_lab.engine.parts import Parts


class Training:
    """One adapter that is being trained. ``step`` is the last whole step."""

    def __init__(
        self, config: SftConfig | RewardConfig | DpoConfig, parts: Parts, backbone: Backbone, adapter: str
    ) -> None:
        self.step = 0
        self._config = config
        self._parts = parts
        self._backbone = backbone
        self._adapter = adapter
        self._optimiser = Optimiser(backbone.parameters_of(adapter), config.max_grad_norm)
        self._learning_rate = config.learning_rate
        self._begun = False
        self._evaluated = -1
        self._saved: tuple[int, dict[str, Any]] | None = None
        self._since = time.perf_counter()

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self._config.max_steps

    def begin(self) -> Iterator[Event]:
        """Say `Started`, or restore the newest sound checkpoint and say `Resumed`."""
        yield from begin(self._parts, self._backbone, self._config.max_steps, self._restore)
        self._begun = True

    def changes(self) -> Iterator[Event]:
        """Take over settings that a person changed."""
        for field, value in self._parts.control.changes().items():
            if field == "learning_rate":
                self._learning_rate = value
                yield Changed(step=self.step, field=field, value=value)

    def learn(self, values: dict[str, float], tokens: int) -> Iterator[Event]:
        """End the step: use the gradients, then say what it was like. ``tokens``: trained on in it."""
        rate = self._learning_rate * rate_at(self.step, self._config.max_steps, self._config.warmup_steps)
        norm = self._optimiser.step(rate)
        self.step += 1
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        yield Progress(step=self.step, done=self.step, total=self._config.max_steps)
        yield Metrics(
            step=self.step,
            values=values
            | {
                "optim/grad_norm": norm,
                "optim/learning_rate": rate,
                "time/step": seconds,
                "perf/tokens_per_second": tokens / max(seconds, 1e-9),
                "perf/memory": machine.peak_memory_mb(self._backbone.device),
            },
        )

    def evaluation_due(self) -> bool:
        """Whether held-out data is to be looked at now, and was not yet: first, last, and every so often."""
        every = self._config.eval_every
        due = self.step == 0 or self.finished or (every > 0 and self.step % every == 0)
        return due and self._evaluated < self.step

    def evaluated(self) -> None:
        """The look at this step is complete; its time does not count as time of the next step."""
        self._evaluated = self.step
        self._since = time.perf_counter()

    def save_if_due(self) -> Iterator[Event]:
        """A checkpoint every so often and at the end."""
        every = self._config.checkpoint_every
        if self.finished or (every > 0 and self.step > 0 and self.step % every == 0):
            yield from self._save()

    def finish(self, lab: dict[str, Any], message: str) -> Iterator[Event]:
        """Write ``adapter/`` and say `Finished`."""
        self._write_adapter(lab)
        yield Finished(step=self.step, outcome="done", message=message)

    def stop(self, lab: dict[str, Any]) -> Iterator[Event]:
        """Keep the last whole step, as a checkpoint and as ``adapter/``."""
        yield from self.changes()  # what was asked for in the step which is given up holds after a resume
        yield from self._save()
        self._write_adapter(lab)
        text = (
            f"Stopped after step {self.step} of {self._config.max_steps}; that step is saved. Resume goes on from it."
        )
        yield Finished(step=self.step, outcome="stopped", message=text)

    def fail(self, lab: dict[str, Any], error: NotFinite) -> Iterator[Event]:
        """Keep the last good step and say what broke."""
        yield from self._save()
        self._write_adapter(lab)
        text = (
            f"In step {self.step + 1}, {error}. Step {self.step}, the last good one, is kept. "
            "Lower the learning rate, or look at the data."
        )
        yield Finished(step=self.step, outcome="failed", message=text)

    def break_off(self, lab: dict[str, Any], error: Exception) -> Iterator[Event]:
        """Keep the last whole step where memory ran out, then raise the ``error`` again."""
        if self._begun and is_out_of_memory(error):
            let_go_of_frames(error)
            yield from self._save()
            self._write_adapter(lab)
        raise error

    def _save(self) -> Iterator[Event]:
        """Unless the newest checkpoint is this state already: what is good is never written over."""
        self._optimiser.forget_gradients()
        if self._saved == (self.step, self._state()):
            return
        folder = self._parts.folder
        path = checkpoint.save(
            folder / "checkpoints", self.step, self._optimiser.tensors(), self._state(), self._parts.control
        )
        self._saved = (self.step, self._state())
        yield Checkpointed(step=self.step, path=relative_path(path, folder))

    def _state(self) -> dict[str, Any]:
        return {
            "learning_rate": self._learning_rate,
            "evaluated": self._evaluated,
            "base_hash": self._backbone.base_hash,
        }

    def _restore(self, step: int, tensors: dict[str, Any], state: dict[str, Any]) -> None:
        self._optimiser.restore(tensors)
        self.step = step
        self._learning_rate, self._evaluated = float(state["learning_rate"]), int(state["evaluated"])
        self._saved = (step, state)

    def _write_adapter(self, lab: dict[str, Any]) -> None:
        extra = {**lab, "stage": self._config.stage, "step": self.step}
        room.save_adapter(self._backbone, self._adapter, self._parts, extra)
