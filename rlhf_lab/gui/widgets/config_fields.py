"""One editor for each kind of question. Each has ``answer``, ``set_answer`` and ``changed``."""

from collections.abc import Sequence
from typing import Any, Protocol

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout, QLineEdit, QMenu, QToolButton, QWidget

from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.gui.models.form import Question, shown, stepped
from rlhf_lab.gui.models.offers import Option
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.function_field import FunctionEditor
from rlhf_lab.gui.widgets.name_box import NameBox
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip

BUNDLED = "bundled"


class Editor(Protocol):
    """What a form needs of an editor; it is a widget too."""

    changed: Signal

    def answer(self) -> Any:
        """What is entered, text where it could be a number."""

    def set_answer(self, answer: Any) -> None:
        """Enter something."""


class TextEditor(QLineEdit):
    """Free text."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.textChanged.connect(self.changed)

    def answer(self) -> str:
        """See `Editor`."""
        return self.text()

    def set_answer(self, answer: Any) -> None:
        """See `Editor`."""
        if answer != self.answer():
            self.setText(str(answer or ""))
            self.setCursorPosition(0)


class NumberEditor(QLineEdit):
    """A number as one types it (3e-4, 1,000); the arrow keys go up and down."""

    changed = Signal()

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question
        self.textChanged.connect(self.changed)

    def answer(self) -> str:
        """See `Editor`."""
        return self.text()

    def set_answer(self, answer: Any) -> None:
        """See `Editor`."""
        self.setText(shown(answer))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and Down change the number."""
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.setText(stepped(self._question, self.text(), event.key() == Qt.Key.Key_Up))
        else:
            super().keyPressEvent(event)


class SwitchEditor(QCheckBox):
    """Yes or no."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.toggled.connect(self.changed)

    def answer(self) -> bool:
        """See `Editor`."""
        return self.isChecked()

    def set_answer(self, answer: Any) -> None:
        """See `Editor`."""
        self.setChecked(bool(answer))


class OptionEditor(NameBox):
    """One of some options. An answer that is none of them stays, and is marked as missing."""

    changed = Signal()

    def __init__(self, missing: str = "not in this project") -> None:
        super().__init__()
        self._missing = missing
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.currentIndexChanged.connect(self.changed)

    def set_options(self, options: Sequence[Option]) -> None:
        """Offer these; what is chosen stays chosen."""
        before = self.answer()
        self.blockSignals(True)
        self.clear()
        for option in options:
            self.addItem(one_line(option.text, 120), option.answer)
            self.setItemData(self.count() - 1, plain_tip(option.tip or option.text), Qt.ItemDataRole.ToolTipRole)
        self._choose(before)
        self.blockSignals(False)

    def answer(self) -> Any:
        """See `Editor`."""
        return self.currentData()

    def set_answer(self, answer: Any) -> None:
        """See `Editor`."""
        self._choose(answer)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the form, unless the list has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def _choose(self, answer: Any) -> None:
        index = self.findData(answer)
        if index < 0 and answer in (None, ""):
            index = 0 if self.count() else -1
        elif index < 0:
            self.addItem(one_line(f"{answer} ({self._missing})", 120), answer)
            index = self.count() - 1
        self.setCurrentIndex(index)


class ModelEditor(QWidget):
    """The bundled model, one that the project knows, a folder, a .gguf file, or a hub id typed in."""

    changed = Signal()
    manage_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._box = OptionEditor()
        self._box.setEditable(True)
        self._box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self._box.lineEdit().setPlaceholderText("bundled, folder, .gguf or hub id")
        self._browse = QToolButton()
        self._browse.setProperty("look", "browse")
        self._browse.setAccessibleName("Choose a model from the disk")
        self._browse.setToolTip("Choose a model folder or a .gguf file from the disk")
        theme().keep_icon(self._browse, "folder")
        self._browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self._browse)
        menu.addAction("Model folder…", self._choose_folder)
        menu.addAction("GGUF file…", self._choose_file)
        menu.addSeparator()
        menu.addAction("Manage models…", self.manage_asked.emit)
        self._browse.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self._box, 1)
        row.addWidget(self._browse)
        self.setFocusProxy(self._box)
        self._box.editTextChanged.connect(self.changed)

    def set_known(self, models: Sequence[str]) -> None:
        """Offer models that this project knows."""
        text = self._box.currentText()
        self._box.blockSignals(True)
        self._box.clear()
        self._box.addItems([BUNDLED, *(m for m in models if m != BUNDLED)])
        self._box.setEditText(text)
        self._box.blockSignals(False)

    def answer(self) -> str:
        """See `Editor`."""
        return self._box.currentText().strip()

    def set_answer(self, answer: Any) -> None:
        """See `Editor`."""
        if answer != self.answer():
            self._box.setEditText(str(answer))
            self._box.lineEdit().setCursorPosition(0)

    def setAccessibleName(self, name: str) -> None:
        """The list is what a screen reader finds."""
        self._box.setAccessibleName(name)

    @Slot()
    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Model folder", str(typed_path("~")))
        if folder:
            self.set_answer(folder)

    @Slot()
    def _choose_file(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Model file", str(typed_path("~")), "GGUF models (*.gguf)")
        if file:
            self.set_answer(file)


def editor_for(question: Question) -> Editor:
    """An empty editor of the right kind."""
    match question.kind:
        case "whole" | "real":
            return NumberEditor(question)
        case "switch":
            return SwitchEditor()
        case "choice":
            choice = OptionEditor()
            choice.set_options([Option(name, name) for name in question.choices])
            return choice
        case "dataset" | "run":
            return OptionEditor()
        case "model":
            return ModelEditor()
        case "function":
            return FunctionEditor()
        case _:
            return TextEditor()
