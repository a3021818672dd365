"""The settings of a stage as a form, derived from its config model; problems stand below their fields."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.naming import Stage
from rlhf_lab.gui.models.form import Question, check_answers, questions
from rlhf_lab.gui.models.offers import Option
from rlhf_lab.gui.widgets.config_fields import Editor, ModelEditor, OptionEditor, editor_for
from rlhf_lab.gui.widgets.disclosure import Disclosure
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip

LABEL_WIDTH_EM = 9
"""Width of the labels in widths of the letter m: the form scales with the system's font."""

WIDE = frozenset({"dataset", "model", "run", "function", "text"})
"""Kinds whose answers are long: their label stands above, not beside."""


class _Field:
    """Label, editor and problem of one question, in one row of a grid."""

    def __init__(self, stage: Stage, question: Question, grid: QGridLayout, row: int):
        self.question = question
        self.editor: Editor = editor_for(question)
        self.editor.setAccessibleName(question.label)
        self.editor.setAccessibleDescription(question.help)
        self.editor.setToolTip(plain_tip(question.tip))
        self.editor.setProperty("help", f"field:{stage}.{question.name}")
        label = PlainLabel(question.label, wrap=True)
        label.setToolTip(plain_tip(question.tip))
        label.setBuddy(self.editor)
        self.problem = PlainLabel(role="bad", wrap=True)
        self.problem.hide()
        line = QHBoxLayout()
        line.setSpacing(6)
        line.addWidget(self.editor, 1)
        if question.unit:
            line.addWidget(PlainLabel(question.unit, role="caption"))
        if question.kind in WIDE:
            label.setContentsMargins(0, 5, 0, 0)  # nearer to its own editor than to the one above
            grid.addWidget(label, 3 * row, 0, 1, 2)
            grid.addLayout(line, 3 * row + 1, 0, 1, 2)
        else:
            width = label.fontMetrics().horizontalAdvance("m") * LABEL_WIDTH_EM
            label.setFixedWidth(width)
            grid.addWidget(label, 3 * row, 0, Qt.AlignmentFlag.AlignVCenter)
            grid.addLayout(line, 3 * row, 1)
        grid.addWidget(self.problem, 3 * row + 2, 0, 1, 2)

    def show_problem(self, text: str) -> None:
        self.problem.setText(text)
        self.problem.setVisible(bool(text))
        if self.editor.property("problem") != bool(text):
            self.editor.setProperty("problem", bool(text))
            self.editor.style().unpolish(self.editor)
            self.editor.style().polish(self.editor)


class ConfigForm(QWidget):
    """Holds answers, not a config: what is half typed stays as it is."""

    changed = Signal()

    def __init__(self, stage: Stage):
        super().__init__()
        self._stage = stage
        self._fields: dict[str, _Field] = {}
        self.sections: dict[str, Disclosure] = {}
        asked = questions(stage)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for title, part in groupby(asked, lambda question: question.section):
            fields = self._part(list(part))
            if title:
                self.sections[title] = Disclosure(title, fields)
            else:
                fields.layout().setContentsMargins(0, 0, 0, 6)
            column.addWidget(self.sections.get(title, fields))
        column.addStretch(1)
        self._chain_tabs()
        self.changed.connect(self._count)
        self.fill({q.name: q.default for q in asked})

    def answers(self) -> dict[str, Any]:
        """What is entered, by field."""
        return {name: field.editor.answer() for name, field in self._fields.items()}

    def fill(self, answers: Mapping[str, Any]) -> None:
        """Enter these; other fields stay as they are. Says `changed` once."""
        self.blockSignals(True)
        for name, answer in answers.items():
            self._fields[name].editor.set_answer(answer)
        self.blockSignals(False)
        self.changed.emit()

    def config(self) -> tuple[RunConfig | None, dict[str, str]]:
        """The config that is entered, or what is wrong with it by field."""
        return check_answers(self._stage, self.answers())

    def show_problems(self, problems: Mapping[str, str]) -> None:
        """Put each sentence below its field, and take the others away."""
        for name, field in self._fields.items():
            field.show_problem(problems.get(name, ""))
        for section in {self._fields[name].question.section for name in problems if name in self._fields} - {""}:
            self.sections[section].open()

    def set_options(self, name: str, options: Sequence[Option]) -> None:
        """What a field for a data set or a run offers."""
        editor = self._fields[name].editor
        assert isinstance(editor, OptionEditor)
        editor.set_options(options)

    def set_models(self, models: Sequence[str]) -> None:
        """Models that the project knows."""
        editor = self._fields["model"].editor
        assert isinstance(editor, ModelEditor)
        editor.set_known(models)

    def editor(self, name: str) -> Editor:
        """The editor of a field."""
        return self._fields[name].editor

    def problem(self, name: str) -> str:
        """The sentence that stands below a field now."""
        return self._fields[name].problem.text()

    def label(self, name: str) -> str:
        """What the form calls a field."""
        return self._fields[name].question.label if name in self._fields else name

    def _part(self, asked: list[Question]) -> QWidget:
        part = QWidget()
        grid = QGridLayout(part)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        for row, question in enumerate(asked):
            field = _Field(self._stage, question, grid, row)
            field.editor.changed.connect(self._said)
            self._fields[question.name] = field
        return part

    def _chain_tabs(self) -> None:
        """Each section's heading comes before its fields: Qt would go by the order in which they were made."""
        before: QWidget | None = None
        reached: set[str] = {""}
        for field in self._fields.values():
            section = field.question.section
            for widget in (field.editor,) if section in reached else (self.sections[section].button, field.editor):
                if before is not None:
                    self.setTabOrder(before, widget)
                before = widget
            reached.add(section)

    @Slot()
    def _count(self) -> None:
        """Each heading says how many of its fields are not as they were at first."""
        for title, section in self.sections.items():
            own = [field for field in self._fields.values() if field.question.section == title]
            changed = sum(not field.question.is_default(field.editor.answer()) for field in own)
            section.set_title(f"{title} · {changed} set" if changed else title)

    @Slot()
    def _said(self) -> None:
        self.changed.emit()
