"""The only widgets that show text from data: never markup, nothing hidden, long lines stay cheap."""

import html
from collections.abc import Iterable

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor, QTextOption
from PySide6.QtWidgets import QLabel, QPlainTextEdit, QWidget

LONG_LINE = 2_000
"""Characters in one line from which words are no longer looked for (word wrap: 1.1 s per 100,000)."""

MOST_SHOWN = 200_000
"""Characters that a view shows; the rest is counted, not laid out."""

_BIDI = {
    0x061C: "ALM",
    0x200E: "LRM",
    0x200F: "RLM",
    0x202A: "LRE",
    0x202B: "RLE",
    0x202C: "PDF",
    0x202D: "LRO",
    0x202E: "RLO",
    0x2066: "LRI",
    0x2067: "RLI",
    0x2068: "FSI",
    0x2069: "PDI",
}
_SEEN = (
    {code: f"⟦{name}⟧" for code, name in _BIDI.items()}
    | {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)}
    | {0x7F: "␡", 0x2028: "\n", 0x2029: "\n"}
    | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
)


def visible(text: str) -> str:
    """The text with bidirectional and other control characters spelled out, so that it cannot lie."""
    return text.replace("\r\n", "\n").translate(_SEEN)


def one_line(text: str, most: int = 300) -> str:
    """The beginning of the text as a single visible line, for table cells and titles."""
    start = visible(text[: most + 1]).replace("\n", " ").replace("\t", " ")
    return start if len(text) <= most else start[:most] + "…"


def plain_tip(text: str) -> str:
    """A tooltip that shows the text as it is, wrapped; Qt would else read some of it as markup."""
    return f"<qt>{html.escape(visible(text)).replace(chr(10), '<br>')}</qt>" if text else ""


class PlainLabel(QLabel):
    """A label that shows its text as it is. ``role``: body, title, heading, caption, muted, good, warn, bad."""

    def __init__(self, text: str = "", parent: QWidget | None = None, *, role: str = "body", wrap: bool = False):
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wrap)
        self.setProperty("role", role)
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show ``text``, controls spelled out."""
        super().setText(visible(text))

    def set_role(self, role: str) -> None:
        """Change the look."""
        if self.property("role") != role:
            self.setProperty("role", role)
            self.style().unpolish(self)
            self.style().polish(self)


class PlainView(QPlainTextEdit):
    """A read-only view of text from data; Tab leaves it, long lines are broken anywhere."""

    def __init__(self, text: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.set_text(text)

    def set_text(self, text: str) -> None:
        """Replace what is shown."""
        self.set_spans([(text, None)])

    def set_spans(self, spans: Iterable[tuple[str, QColor | QTextCharFormat | None]]) -> None:
        """Replace what is shown by pieces, each with a background colour or a format of its own, or none."""
        pieces = [(visible(text), look) for text, look in spans if text]
        whole = "".join(text for text, _ in pieces)
        if len(whole) > MOST_SHOWN:
            pieces = [(whole[:MOST_SHOWN] + f"\n… {len(whole) - MOST_SHOWN:,} more characters are not shown.", None)]
        long = any(len(line) > LONG_LINE for line in whole.split("\n"))
        mode = QTextOption.WrapMode.WrapAnywhere if long else QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
        if self.wordWrapMode() != mode:
            self.setWordWrapMode(mode)
        self.setCurrentCharFormat(QTextCharFormat())  # else new text looks like what was marked before
        if all(look is None for _, look in pieces):
            self.setPlainText("".join(text for text, _ in pieces))
            return
        self.clear()
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        for text, look in pieces:
            cursor.insertText(text, _format(look))
        cursor.endEditBlock()
        self.moveCursor(QTextCursor.MoveOperation.Start)


def _format(look: QColor | QTextCharFormat | None) -> QTextCharFormat:
    if isinstance(look, QTextCharFormat):
        return look
    made = QTextCharFormat()
    if look is not None:
        made.setBackground(look)
    return made
