"""How healthy a run is: a chip for each verdict that holds, and below them what was seen, why, and what to do."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.events import Health
from rlhf_lab.gui.models.verdicts import CAUTION, ICONS, LEVEL_WORDS, ROLES, Spell, in_full, passed, standing, told
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.flow import Flow
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip, visible

MOST_CHIPS = 6
"""Verdicts with a chip of their own; the rest share one, so that the chips leave the plots their room."""
TITLE_SHOWN = 48
"""Characters; no rule's title is longer, but a run of another version may have said any."""
MOST_DETAILS_LINES = 16
MOST_PASSED = 6
"""Verdicts of the past that the details list."""
WATCHED = (
    "The curves are watched for signs of trouble: KL that runs away, collapse, reward hacking, dead gradients … What is "
    "found stands here, with its likely cause and what to do. " + CAUTION
)


class Chip(QToolButton):
    """One verdict, or several; hovering, a click and F1 tell more."""

    help_asked = Signal()

    def __init__(self, text: str, spells: Sequence[Spell]):
        super().__init__()
        self.spells = tuple(spells)
        self._level = next((s.said.level for s in spells if s.holds), None)
        self.setText(visible(text).replace("&", "&&"))
        self.setProperty("look", "chip")
        self.setProperty("level", self._level or "past")
        self.setCheckable(True)
        self.setIconSize(QSize(16, 16))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        words = "\n\n".join(in_full(spell) for spell in spells)
        self.setToolTip(plain_tip(words))
        self.setAccessibleName(text if self._level is None else f"{LEVEL_WORDS[self._level]}: {text}")
        self.setAccessibleDescription(words)
        theme().changed.connect(self._paint)
        self._paint()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """F1 shows the details."""
        if event.key() == Qt.Key.Key_F1:
            self.help_asked.emit()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _paint(self) -> None:
        colour = getattr(theme().colours, ROLES[self._level] if self._level is not None else "muted")
        self.setIcon(theme().icon(ICONS[self._level] if self._level is not None else "check", colour))


class _Scroll(QScrollArea):
    """As high as what it shows, where there is room; scrolls where plots need the room."""

    def __init__(self, content: QWidget):
        super().__init__()
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.viewport().setAutoFillBackground(False)
        content.setAutoFillBackground(False)
        self.setMinimumHeight(3 * self.fontMetrics().lineSpacing())

    def fit(self) -> None:
        """The content is another one."""
        self.widget().layout().activate()
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """The height of the content at this width."""
        content = self.widget()
        width = self.viewport().width()
        height = content.heightForWidth(width) if content.hasHeightForWidth() else content.sizeHint().height()
        return QSize(content.sizeHint().width(), min(height, MOST_DETAILS_LINES * self.fontMetrics().lineSpacing()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width needs another height."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()


class HealthChips(QWidget):
    """Shows the verdicts of one run; the details stay open while their verdict holds."""

    def __init__(self) -> None:
        super().__init__()
        self.chips: list[Chip] = []
        self._said: tuple[Health, ...] = ()
        self._open: tuple[str, ...] | None = None
        self.fine = PlainLabel(role="muted")
        self.setProperty("help", "help:control.verdicts")
        self.fine.setToolTip(plain_tip(WATCHED))
        self.details = QFrame()
        self.details.setProperty("surface", "card")
        self.details.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.details.setAccessibleName("What is known of the verdict")
        inside = QWidget()
        self._texts = QVBoxLayout(inside)
        self._texts.setContentsMargins(12, 8, 12, 10)
        self._texts.setSpacing(8)
        self._scroll = _Scroll(inside)
        whole = QVBoxLayout(self.details)
        whole.setContentsMargins(1, 1, 1, 1)
        whole.addWidget(self._scroll)
        self._flow = Flow()
        self._flow.show_widgets([self.fine])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self._flow)
        column.addWidget(self.details)
        column.addStretch(1)
        self.details.hide()
        self.hide()

    def show_health(self, said: Sequence[Health], *, watched: bool, live: bool = True) -> None:
        """Show these verdicts; ``watched``: the run has begun, so that silence means health; ``live``: it goes on."""
        self.fine.setText(f"✓ Nothing to check{' so far' if live else ''}")
        self.setVisible(watched or bool(said))
        self.fine.setVisible(not standing(said))
        if tuple(said) != self._said:
            self._said = tuple(said)
            self._make_chips()

    def close_details(self) -> None:
        """For another run."""
        self._open = None
        self._show_details()

    def _make_chips(self) -> None:
        focused = next((_key(chip) for chip in self.chips if chip.hasFocus()), None)
        for chip in self.chips:
            chip.hide()
            chip.deleteLater()
        now, past = standing(self._said), passed(self._said)
        self.chips = [Chip(one_line(spell.said.title, TITLE_SHOWN), [spell]) for spell in now[:MOST_CHIPS]]
        if now[MOST_CHIPS:]:
            self.chips.append(Chip(f"{len(now) - MOST_CHIPS} more", now[MOST_CHIPS:]))
        if past:
            self.chips.append(Chip(f"{len(past)} passed", past[:MOST_PASSED]))
        self._flow.show_widgets([self.fine, *self.chips])
        for chip in self.chips:
            chip.show()
            key = _key(chip)
            chip.clicked.connect(lambda _=False, key=key: self._ask(key))
            chip.help_asked.connect(lambda key=key: self._tell(key))
            if key == focused:
                chip.setFocus()
        self._show_details()

    def _ask(self, key: tuple[str, ...]) -> None:
        self._open = None if key == self._open else key
        self._show_details()

    def _tell(self, key: tuple[str, ...]) -> None:
        self._open = key
        self._show_details()

    def _show_details(self) -> None:
        while (item := self._texts.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        chosen = next((chip for chip in self.chips if _key(chip) == self._open), None)
        for chip in self.chips:
            chip.setChecked(chip is chosen)
        if chosen is not None:
            parts = [_part(spell) for spell in chosen.spells]
            for part in (*parts, PlainLabel(CAUTION, role="caption", wrap=True)):
                self._texts.addWidget(part)
                part.show()  # else its height counts only from the next turn of the loop on
        self.details.setVisible(chosen is not None)
        self._scroll.fit()


def _key(chip: Chip) -> tuple[str, ...]:
    """What the chip is about, however often it is made anew."""
    return (str(chip.property("level")), *(spell.said.code for spell in chip.spells[:1]))


def _part(spell: Spell) -> QWidget:
    said, part = spell.said, QWidget()
    grid = QGridLayout(part)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(2)
    grid.setColumnStretch(1, 1)
    head = PlainLabel(said.title, role="strong")
    when = PlainLabel(f"{LEVEL_WORDS[said.level]} · {spell.when}", role=ROLES[said.level] if spell.holds else "muted")
    top = QHBoxLayout()
    top.setSpacing(12)
    top.addWidget(head)
    top.addWidget(when)
    top.addStretch(1)
    grid.addLayout(top, 0, 0, 1, 2)
    for row, (name, text) in enumerate(told(said), 1):
        label = PlainLabel(name, role="muted")
        words = PlainLabel(text, wrap=True)
        words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(words, row, 1)
    return part
