"""The left side of a training pane: presets, the form, and Start with the reason why it cannot."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import Stage
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.form import check_answers, presets, questions
from rlhf_lab.gui.models.offers import dataset_options, known_models, run_options, suggested_runs
from rlhf_lab.gui.pair_count import PairCounter
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.command_dialog import CommandDialog
from rlhf_lab.gui.widgets.config_fields import ModelEditor
from rlhf_lab.gui.widgets.config_form import ConfigForm
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip
from rlhf_lab.gui.widgets.sweep_dialog import SweepDialog
from rlhf_lab.runs.by_heart import foretold
from rlhf_lab.runs.disk import disk_in_words
from rlhf_lab.runs.memory import memory_in_words
from rlhf_lab.runs.model_shelf import usable_names

CHECK_AFTER_MS = 150
"""After the last key: looking into the project at every one would be felt."""

OWN = "Your own settings"


class Launcher(QWidget):
    """Says `started` with the id of a run that was put in the queue."""

    started = Signal(str)

    def __init__(self, lab: Lab, stage: Stage):
        super().__init__()
        self._lab, self._stage = lab, stage
        self._presets = presets(stage)
        self._suggested: dict[str, Any] = {}
        self.form = ConfigForm(stage)
        self.preset = QComboBox()
        self.preset.setAccessibleName("Preset")
        self.preset.addItems([*self._presets, OWN])
        explain(self.preset, "control.preset")
        self.preset.activated.connect(self._take_preset)
        self.start = QPushButton("Start")
        self.start.setProperty("look", "primary")
        theme().keep_icon(self.start, "play")
        self.start.clicked.connect(self._start)
        self.sweep = QPushButton("Sweep…")
        self.sweep.setToolTip("Run it for several values of a setting, or with several seeds")
        self.sweep.clicked.connect(self._ask_for_sweep)
        self.command = QPushButton("Show command")
        self.command.setToolTip("The same run from a terminal: the command line and its config file")
        self.command.clicked.connect(self._show_command)
        self.reason = PlainLabel(role="warn", wrap=True)
        self.pairs = PlainLabel(role="muted", wrap=True)
        self.memory = PlainLabel(role="muted", wrap=True)
        self.by_heart = PlainLabel(role="warn", wrap=True)
        self.memory.setToolTip(plain_tip("Reckoned for texts as long as the limits allow: shorter ones need less."))
        self.setProperty("help", "help:control.form")
        self._counter = PairCounter(lab, self)
        self._counter.counted.connect(self._tell_pairs)
        self._timer = QTimer(self, singleShot=True, interval=CHECK_AFTER_MS)
        self._timer.timeout.connect(self.check)
        self._lay_out()
        self.form.changed.connect(self._timer.start)
        lab.closing.connect(self._timer.stop)
        lab.datasets_changed.connect(self._project_changed)
        lab.runs_changed.connect(self._project_changed)
        lab.models_changed.connect(self._project_changed)
        model = self.form.editor("model")
        assert isinstance(model, ModelEditor)
        model.manage_asked.connect(self._manage_models)
        lab.run_changed.connect(self._name_start)
        self.form.fill(self.first_preset())
        self.refresh()

    def fill(self, answers: Mapping[str, Any]) -> None:
        """Enter these settings."""
        self.form.fill(answers)
        self.check()

    def first_preset(self) -> Mapping[str, Any]:
        """What the form begins with."""
        return next(iter(self._presets.values()))

    @Slot()
    def refresh(self) -> None:
        """Look into the project anew: data sets, finished runs, models."""
        self.form.set_options("dataset", dataset_options(self._lab.project, self._stage))
        for question in questions(self._stage):
            if question.kind == "run":
                self.form.set_options(question.name, run_options(self._lab.project, question.name))
        models = [*known_models(self._lab.project), *usable_names(self._lab.project)]
        self.form.set_models(list(dict.fromkeys(models)))
        answers = self.form.answers()
        suggested = suggested_runs(self._lab.project, self._stage)
        # What the person chose stays; what was suggested before, or empty, follows the newest runs.
        untouched = [n for n in suggested if answers[n] in (None, self._suggested.get(n))]
        self.form.fill({name: suggested[name] for name in untouched})
        self._suggested = suggested
        self.check()

    @Slot()
    def check(self) -> None:
        """Show what is wrong, and allow Start when nothing is."""
        self._timer.stop()
        config, problems = self.form.config()
        reasons = [f"{self.form.label(name)}: {text}" if name else text for name, text in problems.items()]
        if config is not None:
            for reason in self._lab.project.check(config):
                name, _, words = reason.partition(": ")
                known = words and name in self.form.answers()
                reasons.append(words[:1].upper() + words[1:] if known else reason)
                if known:
                    problems.setdefault(name, words[:1].upper() + words[1:])
        self.form.show_problems(problems)
        more = f" ({len(reasons) - 1} more, marked above.)" if len(reasons) > 1 else ""
        self.reason.setText(f"Cannot start yet. {reasons[0]}{more}" if reasons else "")
        self.reason.setVisible(bool(reasons))
        self.start.setEnabled(not reasons)
        self.start.setToolTip(plain_tip("\n".join(reasons)))
        self.sweep.setEnabled(not reasons)
        self._name_start()
        self.start.setAccessibleDescription(" ".join(reasons))
        self.command.setEnabled(config is not None)
        self._counter.look_at(config)
        self._tell_memory(config)
        self._name_preset()

    @Slot(str)
    def _tell_pairs(self, text: str) -> None:
        self.pairs.setText(text)
        self.pairs.setVisible(bool(text))

    def _tell_memory(self, config: RunConfig | None) -> None:
        project, words = self._lab.project, ""
        if config is not None:
            found = (
                memory_in_words(config, project.store, project.runs_folder),
                disk_in_words(config, project.store, project.folder),
            )
            words = " ".join(filter(None, found))
        self.by_heart.setText(foretold(config, project.store) if config is not None else "")
        self.by_heart.setVisible(bool(self.by_heart.text()))
        self.memory.setText(words)
        self.memory.setVisible(bool(words))

    @Slot()
    def _name_start(self) -> None:
        words = "Add to queue" if self._lab.live() else "Start"
        if self.start.text() != words:
            self.start.setText(words)

    def showEvent(self, event: QShowEvent) -> None:
        """A pane that comes into view shows the project as it is now."""
        super().showEvent(event)
        self.refresh()

    @Slot()
    def _project_changed(self) -> None:
        if self.isVisible():  # else it looks when it is shown
            self.refresh()

    def _config(self) -> RunConfig | None:
        return self.form.config()[0]

    @Slot()
    def _start(self) -> None:
        self.check()
        config = self._config()
        if config is None or not self.start.isEnabled():
            return
        try:
            run = self._lab.start(config)
        except LabError as error:
            self.reason.setText(str(error))
            self.reason.show()
            return
        self.started.emit(run)

    @Slot()
    def _ask_for_sweep(self) -> None:
        self.check()
        config = self._config()
        if config is not None and self.sweep.isEnabled():
            for shown in self.window().findChildren(SweepDialog):
                shown.close()  # it was about the form as it stood then
            dialog = SweepDialog(self._lab, config, self.window())
            dialog.begun.connect(self.started)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.show()

    @Slot()
    def _manage_models(self) -> None:
        self._lab.models_asked.emit(self._stage)

    @Slot()
    def _show_command(self) -> None:
        config = self._config()
        if config is not None:
            dialog = CommandDialog(config, self._lab.project.folder, self.window())
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.open()

    @Slot(int)
    def _take_preset(self, index: int) -> None:
        values = self._presets.get(self.preset.itemText(index))
        if values is not None:
            self.fill(values)

    def _name_preset(self) -> None:
        answers = self.form.answers()
        names = [name for name, values in self._presets.items() if self._same(answers, values)]
        self.preset.setCurrentText(names[0] if names else OWN)

    def _same(self, answers: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
        entered, _ = check_answers(self._stage, {name: answers[name] for name in values})
        wanted, _ = check_answers(self._stage, values)
        return entered is not None and entered == wanted

    def _lay_out(self) -> None:
        self.setMinimumWidth(self.fontMetrics().horizontalAdvance("m") * 26)
        self.setMaximumWidth(self.minimumWidth())
        top = QHBoxLayout()
        top.setSpacing(8)
        caption = PlainLabel("Preset")
        caption.setBuddy(self.preset)
        top.addWidget(caption)
        top.addWidget(self.preset, 1)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(12, 4, 12, 8)
        column.addWidget(self.form)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        scroll.viewport().setAutoFillBackground(False)
        inside.setAutoFillBackground(False)
        foot = QVBoxLayout()
        foot.setSpacing(8)
        self.pairs.hide()
        foot.addWidget(self.pairs)
        foot.addWidget(self.by_heart)
        foot.addWidget(self.memory)
        foot.addWidget(self.reason)
        foot.addWidget(self.start)
        row = QHBoxLayout()
        row.addWidget(self.sweep, 1)
        row.addWidget(self.command, 1)
        foot.addLayout(row)
        card = QFrame()
        card.setProperty("surface", "card")
        whole = QVBoxLayout(card)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        top.setContentsMargins(12, 12, 12, 4)
        foot.setContentsMargins(12, 8, 12, 12)
        whole.addLayout(top)
        whole.addWidget(scroll, 1)
        whole.addLayout(foot)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(card)
