"""Which run a pane shows, how it stands, and what can be done with it now."""

import json
from collections.abc import Mapping

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from rlhf_lab.core.config import step_word
from rlhf_lab.core.health import RULES
from rlhf_lab.core.naming import Stage, run_title
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.algorithms import variant
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.run_state import RunState, in_words
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.go_on import GoOnButton
from rlhf_lab.gui.widgets.health_chips import HealthChips
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip

LIVE_FIELDS = {
    "learning_rate": ("Learning rate", "Of AdamW, from the next step on. The change is marked on the curves."),
    "kl_coef": ("β", "The KL penalty, from the next update on. The change is marked on the curves."),
}


class LiveField(QWidget):
    """A setting that may change while the run goes on."""

    asked = Signal(str, float)

    def __init__(self, field: str):
        super().__init__()
        self._field = field
        self._shown: float | None = None
        self._awaited: float | None = None
        self.setProperty("help", "help:control.live")
        title, tip = LIVE_FIELDS[field]
        self.edit = QLineEdit()
        self.edit.setAccessibleName(f"New {title}")
        self.edit.setFixedWidth(self.edit.fontMetrics().horizontalAdvance("0.000000") + 24)
        self.edit.setToolTip(plain_tip(tip))
        self.button = QPushButton("Set")
        self.button.setProperty("look", "small")
        self.button.setAccessibleName(f"Set {title}")
        self.button.setToolTip(plain_tip(tip))
        label = PlainLabel(title, role="muted")
        label.setToolTip(plain_tip(tip))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for widget in (label, self.edit, self.button):
            row.addWidget(widget)
        self.button.clicked.connect(self._ask)
        self.edit.returnPressed.connect(self._ask)
        self.edit.textChanged.connect(self._judge)
        self._judge()

    def show_value(self, value: float | None) -> None:
        """The value in force, as a hint in the empty field; with an arrow the one that was asked for, until it changes."""
        if value != self._shown:
            self._shown, self._awaited = value, None
        arrow, hint = ("", value) if self._awaited is None else ("→ ", self._awaited)
        self.edit.setPlaceholderText(f"{arrow}{number(hint)}" if hint is not None else "")

    def forget(self) -> None:
        """Another run is shown: what was asked of the last one is none of its business."""
        self._shown = self._awaited = None

    def value(self) -> float | None:
        """The number that is typed in, where it is one that a run takes."""
        try:
            value = float(self.edit.text().replace(",", ""))
        except ValueError:
            return None
        most = 1.0 if self._field == "learning_rate" else 100.0
        return value if 0 <= value <= most else None

    @Slot()
    def _judge(self) -> None:
        self.button.setEnabled(self.value() is not None)

    @Slot()
    def _ask(self) -> None:
        value = self.value()
        if value is not None:
            self.asked.emit(self._field, value)
            self._awaited = value if value != self._shown else None
            self.edit.clear()
            self.show_value(self._shown)


class RunHeader(QWidget):
    """Says `chosen` with the id of the run that the person picked."""

    chosen = Signal(str)

    def __init__(self, lab: Lab, live_fields: Mapping[Stage, tuple[str, ...]]):
        """``live_fields``: for each stage whose runs are offered, what may change while they go on."""
        super().__init__()
        self._lab, self._live_fields = lab, live_fields
        self._run: str | None = None
        self._variant = ""
        self.picker = QComboBox()
        self.picker.setAccessibleName("Run")
        self.picker.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.picker.activated.connect(self._picked)
        self.standing = PlainLabel(role="muted")
        self.standing.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.live = {field: LiveField(field) for fields in live_fields.values() for field in fields}
        self.pause, self.step = QPushButton(), QPushButton()
        self.stop, self.resume = QPushButton("Stop and save"), GoOnButton(lab)
        self.pause.setAccessibleName("Pause or go on with this run")
        self.stop.setToolTip("Save the last whole step and end the run; it can be resumed")
        theme().keep_icon(self.step, "step")
        theme().keep_icon(self.stop, "stop")
        self.message = PlainLabel(role="muted", wrap=True)
        self.warning = PlainLabel(role="warn", wrap=True)
        self.health = HealthChips()
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.picker)
        row.addWidget(self.standing, 1)
        self._changes = QWidget()
        changes = QHBoxLayout(self._changes)
        changes.setContentsMargins(0, 0, 0, 0)
        changes.setSpacing(16)
        changes.addWidget(PlainLabel("Change while it runs:", role="muted"))
        for live in self.live.values():
            changes.addWidget(live)
            live.asked.connect(self._set)
        changes.addStretch(1)
        for button in (self.pause, self.step, self.stop, self.resume):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self._changes)
        column.addWidget(self.message)
        column.addWidget(self.warning)
        column.addWidget(self.health)
        self.pause.clicked.connect(self._pause)
        self.step.clicked.connect(self._one_step)
        self.stop.clicked.connect(self._stop)

    def show_run(self, run: str | None) -> None:
        """Speak of this run from now on."""
        if run != self._run:
            self.health.close_details()
            self._variant = self._variant_of(run) if run is not None else ""
            for live in self.live.values():
                live.forget()
        self._run = run
        self.list_runs()
        self.refresh()

    def show_history(self, history: RunHistory | None) -> None:
        """Show the verdicts on the run."""
        if history is None or self._run is None:
            self.health.show_health((), watched=False, live=False)
            return
        state = self._lab.state(self._run)
        watched = bool(history.curves) and any(state.stage in rule.stages for rule in RULES)
        self.health.show_health(history.health, watched=watched, live=state.live)

    def list_runs(self) -> None:
        """Read which runs there are."""
        rows = list(reversed(self._lab.project.store.runs(stages=self._live_fields)))
        self.picker.blockSignals(True)
        self.picker.clear()
        for row in rows:
            self.picker.addItem(f"{run_title(row.run)} · {self._lab.state(row.run).outcome}", row.run)
        self.picker.setCurrentIndex(self.picker.findData(self._run))
        self.picker.blockSignals(False)

    @Slot()
    def refresh(self) -> None:
        """Show how the run stands now."""
        if self._run is None:
            return
        state, follows = self._lab.state(self._run), self._run in self._lab.live()
        waits = self._run in self._lab.queued()
        self.standing.setText(" · ".join(part for part in (self._variant, standing_in_words(state)) if part))
        self.standing.setToolTip(plain_tip(self.standing.text()))
        self._keep_title(state)
        message = f"It waits. {state.held}" if state.held else state.message
        self.message.setText(message)
        self.message.setVisible(bool(message) and state.outcome != "done")
        self.message.set_role("bad" if state.outcome == "failed" else "warn" if state.held else "muted")
        self.warning.setText(state.warnings[-1] if state.warnings else "")
        self.warning.setVisible(bool(state.warnings))
        fields = self._live_fields[state.stage]
        self._changes.setVisible(follows and state.live and bool(fields))
        for field, live in self.live.items():
            live.setVisible(field in fields)
            live.show_value(state.values.get({"kl_coef": "objective/kl_coef"}.get(field, "optim/learning_rate")))
        self.pause.setVisible(follows)
        self.pause.setEnabled(state.outcome in ("running", "paused") and not state.stopping and not state.held)
        if self.pause.property("goes_on") != state.paused:
            self.pause.setProperty("goes_on", state.paused)
            self.pause.setText("Go on" if state.paused else "Pause")
            theme().keep_icon(self.pause, "play" if state.paused else "pause")
        word = step_word(state.stage)
        self.step.setVisible(follows)
        self.step.setEnabled(self.pause.isEnabled())
        if self.step.text().strip() != f"One {word}":
            self.step.setText(f" One {word}")
            self.step.setAccessibleName(f"Do one {word}, then wait")
            self.step.setToolTip(
                plain_tip(f"Do one whole {word}, then wait: look at every one, change β or the learning rate between")
            )
        self.stop.setVisible(follows or waits)
        self.stop.setEnabled(not state.stopping)
        self.stop.setText("Cancel" if waits and not follows else "Stopping…" if state.stopping else "Stop and save")
        self.resume.show_run(self._run)
        self.resume.setVisible(self.resume.possible)

    def _variant_of(self, run: str) -> str:
        return variant(self._lab.state(run).stage, json.loads(self._lab.project.store.run_config(run)))

    def _keep_title(self, state: RunState) -> None:
        at, text = self.picker.findData(self._run), f"{state.title} · {state.outcome}"
        if at >= 0 and self.picker.itemText(at) != text:
            self.picker.setItemText(at, text)

    @Slot(int)
    def _picked(self, index: int) -> None:
        self.chosen.emit(self.picker.itemData(index))

    @Slot(str, float)
    def _set(self, field: str, value: float) -> None:
        if self._run is not None:
            self._lab.set(self._run, field, value)

    @Slot()
    def _pause(self) -> None:
        if self._run is not None and self._lab.state(self._run).paused:
            self._lab.go_on(self._run)
        elif self._run is not None:
            self._lab.pause(self._run)

    @Slot()
    def _one_step(self) -> None:
        if self._run is not None:
            self._lab.step(self._run)

    @Slot()
    def _stop(self) -> None:
        if self._run is not None:
            self._lab.stop(self._run)


def standing_in_words(state: RunState) -> str:
    """ "update 12 of 20, sampling, 8 s left"."""
    parts = []
    if state.total:
        parts.append(f"{step_word(state.stage)} {state.step:,} of {state.total:,}")
    if state.stopping:
        parts.append("stopping: the last whole step is being saved")
    elif state.phase and state.live:
        parts.append(state.phase)
    left = state.seconds_left()
    if left is not None and not state.stopping:
        parts.append(f"{in_words(left)} left")
    return " · ".join(parts)
