"""The strip at the bottom of every pane: what trains now, how far, how long yet, pause and stop."""

from PySide6.QtCore import QSize, Qt, QTimer, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton, QToolButton, QWidget

from rlhf_lab.core.metrics import METRICS, describe
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.models.verdicts import ICONS, LEVEL_WORDS, ROLES, in_full, standing
from rlhf_lab.gui.run_state import RunState, in_words
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip, visible
from rlhf_lab.gui.widgets.queue_button import QueueButton

HEADLINES: dict[str, tuple[str, ...]] = {
    "sft": ("train/loss",),
    "reward": ("reward/accuracy", "reward/loss"),
    "ppo": ("objective/scores", "objective/kl"),
    "rloo": ("objective/scores", "objective/kl"),
    "dpo": ("dpo/accuracy", "dpo/loss"),
    "best_of_n": ("eval/score", "eval/gold"),
}
"""The numbers that the strip shows for each stage."""
VERDICT_SHOWN = 24
"""Characters of a verdict in the strip; the tooltip has all of it."""


class RunStrip(QFrame):
    """Follows the newest living run; when there is none, it says how the last one ended."""

    def __init__(self, lab: Lab, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab = lab
        self._run: str | None = None
        self.setProperty("surface", "bar")
        self.setAccessibleName("Runs in progress")
        self.setProperty("help", "help:control.strip")
        self.setMinimumHeight(48)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 6, 16, 6)
        row.setSpacing(12)

        self.title = QPushButton()
        self.title.setProperty("look", "link")
        self.title.setToolTip("Show this run")
        self.title.clicked.connect(self._show_run)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(176)
        self.bar.setAccessibleName("Progress of the run")
        self.share = PlainLabel(role="strong")
        self.left = PlainLabel(role="muted")
        self.doing = PlainLabel("Nothing is training.", role="muted")
        self.numbers = [PlainLabel(), PlainLabel()]
        self.health = QToolButton()
        self.health.setProperty("look", "chip")
        self.health.setIconSize(QSize(16, 16))
        self.health.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.health.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.health.clicked.connect(self._show_run)
        self.queue = QueueButton(lab)
        self.pause = self._button("pause", "Pause", self._pause)
        self.stop = QPushButton("Stop and save")
        self.stop.setAccessibleName("Stop and save")
        self.stop.setToolTip("Save the last whole step and end the run; it can be resumed")
        self.stop.clicked.connect(self._stop)
        theme().keep_icon(self.stop, "stop")
        self.resume = QPushButton("Resume")
        self.resume.setAccessibleName("Resume this run")
        self.resume.setToolTip("Go on from the last save")
        self.resume.clicked.connect(self._resume)
        theme().keep_icon(self.resume, "resume")

        for widget in (self.title, self.bar, self.share, self.left):
            row.addWidget(widget)
        row.addWidget(self.doing, 1)
        for widget in (self.health, *self.numbers, self.queue, self.pause, self.stop, self.resume):
            row.addWidget(widget)

        # Time goes on between events: a step may take minutes.
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._paint)
        lab.run_changed.connect(self._changed)
        lab.runs_changed.connect(self._paint)
        theme().changed.connect(self._paint)
        self._paint()

    @Slot(str)
    def _changed(self, run: str) -> None:
        live = self._lab.live()
        if run in live or not live:
            self._run = live[-1] if live else run
            self._paint()

    @Slot()
    def _paint(self) -> None:
        live = self._lab.live()
        if live and self._run not in live:
            self._run = live[-1]
        self.queue.refresh()
        state = self._lab.state(self._run) if self._run else None
        working = state is not None and state.live
        for widget in (self.bar, self.share, self.left, self.pause, self.stop):
            widget.setVisible(working)
        ended = state is not None and not state.live
        self.resume.setVisible(ended and state.outcome in ("stopped", "failed", "interrupted"))
        self.title.setVisible(state is not None)
        self._paint_health(state)
        for label in self.numbers:
            label.setVisible(False)
        if state is None:
            return
        self.title.setText(state.title)
        self.title.setAccessibleName(f"Show {state.title}")
        if working:
            self._paint_working(state)
            if not self._clock.isActive():
                self._clock.start()
        else:
            self._clock.stop()
            self._paint_ended(state)

    def _paint_health(self, state: RunState | None) -> None:
        """The gravest verdict that holds, and how many others do."""
        found = standing(list(state.health.values())) if state is not None else []
        self.health.setVisible(bool(found))
        if not found:
            return
        gravest = found[0].said
        more = f" +{len(found) - 1}" if len(found) > 1 else ""
        words = f"{one_line(gravest.title, VERDICT_SHOWN)}{more}"
        self.health.setText(visible(words).replace("&", "&&"))
        self.health.setAccessibleName(f"{LEVEL_WORDS[gravest.level]}: {words}. Show the run")
        self.health.setToolTip(plain_tip("\n\n".join(in_full(spell) for spell in found)))
        self.health.setIcon(theme().icon(ICONS[gravest.level], getattr(theme().colours, ROLES[gravest.level])))
        if self.health.property("level") != gravest.level:
            self.health.setProperty("level", gravest.level)
            self.health.style().unpolish(self.health)
            self.health.style().polish(self.health)

    def _paint_working(self, state: RunState) -> None:
        self.bar.setRange(0, state.total)  # 0 to 0 while the total is unknown: a busy bar
        self.bar.setValue(state.step)
        self.share.setText(f"{100 * state.step // state.total}%" if state.total else "")
        seconds = state.seconds_left()
        self.left.setText(f"{in_words(seconds)} left" if seconds is not None and not state.stopping else "")
        self.doing.set_role("warn" if state.held else "muted")
        self.doing.setToolTip(plain_tip(state.held))
        if state.stopping:
            self.doing.setText("Stopping… the last whole step is being saved")
        elif state.paused:
            self.doing.setText(f"Waiting. {state.held}" if state.held else "Paused")
        else:
            self.doing.setText(state.phase[:1].upper() + state.phase[1:] + "…" if state.phase else "")
        names = [name for name in HEADLINES[state.stage] if name in state.values]
        for label, name in zip(self.numbers, names, strict=False):
            label.setText(f"{METRICS[name].label} {number(state.values[name])}")
            label.setToolTip(plain_tip(describe(name)))
            label.setVisible(True)
        title, icon = ("Go on", "play") if state.paused else ("Pause", "pause")
        self.pause.setToolTip(f"{title} ({state.title})")
        self.pause.setAccessibleName(title)
        if self.pause.property("shows") != icon:
            self.pause.setProperty("shows", icon)
            theme().keep_icon(self.pause, icon)
        self.pause.setEnabled(not state.stopping and not state.held)
        self.stop.setEnabled(not state.stopping)

    def _paint_ended(self, state: RunState) -> None:
        roles = {"done": "good", "failed": "bad", "interrupted": "warn", "stopped": "muted", "queued": "muted"}
        words = {"done": "Finished", "stopped": "Stopped and saved", "queued": "Waiting for its turn"}
        said = words.get(state.outcome, state.outcome.capitalize())
        self.doing.set_role(roles[state.outcome])
        twice = state.message.startswith(f"{said.split()[0]} ")  # "Stopped after step 3 of 60" says it already
        self.doing.setText(state.message if twice else f"{said}. {state.message}".strip())
        self.doing.setToolTip(plain_tip(state.message))

    def _button(self, icon: str, title: str, act: object) -> QToolButton:
        button = QToolButton()
        button.setAccessibleName(title)
        button.setIconSize(QSize(20, 20))
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.clicked.connect(act)
        theme().keep_icon(button, icon)
        return button

    @Slot()
    def _pause(self) -> None:
        if self._run is not None:
            (self._lab.go_on if self._lab.state(self._run).paused else self._lab.pause)(self._run)

    @Slot()
    def _stop(self) -> None:
        if self._run is not None:
            self._lab.stop(self._run)

    @Slot()
    def _resume(self) -> None:
        if self._run is not None:
            self._lab.resume(self._run)

    @Slot()
    def _show_run(self) -> None:
        if self._run is not None:
            self._lab.run_asked.emit(self._run)
