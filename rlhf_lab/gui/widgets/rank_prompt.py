"""What was asked: one turn as it is, several turns with who said them."""

from PySide6.QtCore import QEvent
from PySide6.QtGui import QFont, QTextCharFormat
from PySide6.QtWidgets import QFrame, QVBoxLayout

from rlhf_lab.core.records import Prompt
from rlhf_lab.gui.widgets.rank_answer import ReadingText

_FEWEST_LINES, _MOST_LINES = 1, 7
_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


class PromptCard(QFrame):
    """As high as its text, up to seven lines; then it scrolls."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "card")
        self.view = ReadingText("Prompt")
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 8, 10)
        column.addWidget(self.view)
        self._fit()

    def show_prompt(self, prompt: Prompt) -> None:
        """Show another prompt; of a conversation its last turns are in view."""
        if len(prompt.messages) == 1:
            self.view.set_text(prompt.messages[0].content)
        else:
            spans = []
            for at, message in enumerate(prompt.messages):
                bold = QTextCharFormat()
                bold.setFontWeight(QFont.Weight.DemiBold)
                spans.append(("\n" * (at > 0) + f"{_SPEAKERS[message.role]}  ", bold))
                spans.append((message.content, None))
            self.view.set_spans(spans)
        self._fit()
        bar = self.view.verticalScrollBar()
        bar.setValue(bar.maximum() if len(prompt.messages) > 1 else 0)

    def changeEvent(self, event: QEvent) -> None:
        """Another font is another height."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fit()

    def _fit(self) -> None:
        # The layout of plain text counts its size in lines.
        lines = round(self.view.document().size().height())
        shown = min(max(lines, _FEWEST_LINES), _MOST_LINES)
        height = shown * self.view.fontMetrics().lineSpacing() + 8
        if self.view.height() != height or self.view.minimumHeight() != height:
            self.view.setFixedHeight(height)
