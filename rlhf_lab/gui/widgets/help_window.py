"""The help, beside the window: one page, its links, and the way back."""

from PySide6.QtCore import Qt, QUrl, Signal, Slot
from PySide6.QtGui import QKeyEvent, QTextBlockFormat, QTextCursor, QTextDocument, QTextLength, QTextTable
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from rlhf_lab.gui.actions import written
from rlhf_lab.gui.models.help_pages import CONTENTS, KEYS, Page, page
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.enter_key import EnterKey
from rlhf_lab.gui.widgets.plain_text import PlainLabel

WIDTH, HEIGHT = 440, 620
SPACE, LINE = 8, 120
COLUMNS = [QTextLength(QTextLength.Type.PercentageLength, share) for share in (68, 32)]
"""What it does, and the key."""


class HelpWindow(QDialog):
    """Shows text of the lab's own alone, never data; Escape closes it, Alt+Left goes back."""

    action_asked = Signal(str)
    """A link asks for a declared action."""

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self.setWindowTitle("Help")
        self.resize(WIDTH, HEIGHT)
        self._trail: list[Page] = []
        self.title = PlainLabel(role="title", wrap=True)
        self.text = QTextBrowser()
        self.text.setAccessibleName("Help text")
        self.text.setOpenLinks(False)
        self.text.document().setDocumentMargin(4)
        self.back, self.contents, self.keys = QPushButton("Back"), QPushButton("Contents"), QPushButton("Keys")
        self.claims = QPushButton("What RLHF does")
        self.back.setToolTip("The page before (Alt+Left)")
        self.contents.setToolTip("All topics")
        self.keys.setToolTip("Every key of the window")
        self.claims.setToolTip("What RLHF does and does not do, and where to see it")
        self._lay_out()
        self.back.clicked.connect(self.go_back)
        self.contents.clicked.connect(lambda: self.show_ref(CONTENTS))
        self.keys.clicked.connect(lambda: self.show_ref(KEYS))
        self.claims.clicked.connect(lambda: self.show_ref("help:page.claims"))
        self.text.anchorClicked.connect(self._follow)
        theme().changed.connect(self._paint)

    @property
    def shown(self) -> Page | None:
        """The page that is shown."""
        return self._trail[-1] if self._trail else None

    def show_ref(self, ref: str) -> None:
        """Show a page by its name."""
        self.show_page(page(ref, written))

    def show_page(self, wanted: Page) -> None:
        """Show a page; the one before is a step back."""
        if wanted != self.shown:
            self._trail.append(wanted)
        self._paint()

    @Slot()
    def go_back(self) -> None:
        """The page before."""
        if len(self._trail) > 1:
            self._trail.pop()
            self._paint()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Alt+Left, as in a browser."""
        if event.key() == Qt.Key.Key_Left and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self.go_back()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _paint(self) -> None:
        """A document keeps the colours that it was made with."""
        if self.shown is None:
            return
        self.back.setEnabled(len(self._trail) > 1)
        self.title.setText(self.shown.title)
        self.text.setMarkdown(self.shown.markdown)
        _air(self.text.document())
        self.text.setFocus()

    @Slot(QUrl)
    def _follow(self, link: QUrl) -> None:
        ref = link.toString()
        kind, _, name = ref.partition(":")
        if kind == "do":
            self.action_asked.emit(name)
        else:
            self.show_ref(ref)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.back, self.contents, self.keys, self.claims):
            button.setProperty("look", "small")
            row.addWidget(button)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 16)
        column.setSpacing(10)
        column.addLayout(row)
        column.addWidget(self.title)
        column.addWidget(self.text, 1)
        EnterKey(self)


def _air(document: QTextDocument) -> None:
    """Space between paragraphs, more above headings; tables without lines. Markdown leaves none of it."""
    for frame in document.rootFrame().childFrames():
        if isinstance(frame, QTextTable):
            look = frame.format()
            look.setBorder(0)
            look.setTopMargin(SPACE)
            look.setCellPadding(2)
            look.setColumnWidthConstraints(COLUMNS)
            frame.setFormat(look)
    block = document.begin()
    while block.isValid():
        cursor = QTextCursor(block)
        shape = QTextBlockFormat()
        shape.setNonBreakableLines(False)  # an example in a narrow window
        if cursor.currentTable() is None:
            shape.setBottomMargin(SPACE)
            shape.setTopMargin(SPACE if block.blockFormat().headingLevel() else 0)
        shape.setLineHeight(LINE, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        cursor.mergeBlockFormat(shape)
        block = block.next()
