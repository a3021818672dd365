"""The look: Fusion, one palette for light and one for dark, colour-blind-safe series, recoloured icons.

Lengths are multiples of 8 px; text sizes follow the system's font. Reach it with `theme()`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPalette, QPixmap
from PySide6.QtWidgets import QAbstractButton, QApplication, QPushButton, QWidget

from rlhf_lab.core.resources import resource
from rlhf_lab.gui.stylesheet import stylesheet

Choice = Literal["system", "light", "dark"]


@dataclass(frozen=True)
class Colours:
    """Every colour that a widget or a plot may use, as ``#rrggbb``."""

    dark: bool
    window: str
    surface: str
    raised: str
    border: str
    text: str
    muted: str
    accent: str
    on_accent: str
    accent_soft: str
    good: str
    warn: str
    bad: str
    good_soft: str
    warn_soft: str
    bad_soft: str
    series: tuple[str, ...]
    """After Okabe and Ito: told apart by people with any colour vision. Never the only mark."""


LIGHT = Colours(
    dark=False,
    window="#f4f5f7",
    surface="#ffffff",
    raised="#eceef1",
    border="#dcdfe4",
    text="#1c2024",
    muted="#5f6873",
    accent="#2b63c9",
    on_accent="#ffffff",
    accent_soft="#e3ecfb",
    good="#17734e",
    warn="#8f5b00",
    bad="#b3341d",
    good_soft="#ddf2e7",
    warn_soft="#fbefd5",
    bad_soft="#fbe3de",
    series=("#0072b2", "#d55e00", "#009e73", "#b0568a", "#c28500", "#3a9bd9", "#6b4fa0", "#555b61"),
)
DARK = Colours(
    dark=True,
    window="#15171b",
    surface="#1c1f24",
    raised="#272b32",
    border="#30353d",
    text="#e4e7eb",
    muted="#9aa4b0",
    accent="#6d9fff",
    on_accent="#0d1420",
    accent_soft="#22304a",
    good="#5cc596",
    warn="#e3ae4e",
    bad="#f0836c",
    good_soft="#1c3a2d",
    warn_soft="#3d3119",
    bad_soft="#44241e",
    series=("#56b4e9", "#ec8a3b", "#2fc397", "#d98fbd", "#e6c229", "#8fb8ff", "#b79aee", "#aab2bb"),
)


class Theme(QObject):
    """The application's look; ``changed`` is emitted when the colours are other ones.

    Windows wear the style sheet, not the application: with that, it is looked through for every widget each time that
    the widget, or one it is in, gets a parent. So it is looked through once, when a built pane comes into its window.
    """

    changed = Signal()

    def __init__(self, app: QApplication):
        super().__init__(app)
        self._app = app
        self._sheet = ""
        self._choice: Choice = "system"
        self.colours = LIGHT
        app.setStyle("Fusion")
        app.styleHints().colorSchemeChanged.connect(self._system_changed)
        self._apply()

    def dress(self, window: QWidget) -> None:
        """Put the style sheet on a window, best when it is built; one that has a parent wears its parent's."""
        window.setStyleSheet(self._sheet)

    @property
    def choice(self) -> Choice:
        """What the person chose."""
        return self._choice

    def choose(self, choice: Choice) -> None:
        """Follow the system, or stay light or dark."""
        self._choice = choice
        self._apply()

    def icon(self, name: str, colour: str | None = None) -> QIcon:
        """``resources/icons/NAME.svg`` in the text colour, or in ``colour``; muted where disabled."""
        return _icon(name, colour or self.colours.text, self.colours.muted)

    def keep_icon(self, button: QAbstractButton, name: str) -> None:
        """Give the button the icon in the text colour, now and after every change of the colours."""
        if isinstance(button, QPushButton) and button.text() and not button.text().startswith(" "):
            button.setText(f" {button.text()}")  # the style leaves hardly a gap
        _IconKeeper(self, button, name)

    def _system_changed(self) -> None:
        if self._choice == "system":
            self._apply()

    def _apply(self) -> None:
        system_dark = self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
        dark = system_dark if self._choice == "system" else self._choice == "dark"
        self.colours = DARK if dark else LIGHT
        self._app.setPalette(_palette(self.colours))
        worn, self._sheet = self._sheet, stylesheet(self.colours, self._app.font().pointSizeF())
        for window in self._app.topLevelWidgets():
            if worn and window.styleSheet() == worn:
                window.ensurePolished()  # one that was never shown would keep the old rules
                window.setStyleSheet(self._sheet)
        self.changed.emit()


def theme() -> Theme:
    """The look of the running application; made on first use."""
    app = QApplication.instance()
    assert isinstance(app, QApplication), "make the QApplication first"
    return app.findChild(Theme, options=Qt.FindChildOption.FindDirectChildrenOnly) or Theme(app)


class _IconKeeper(QObject):
    """Lives and dies with its button."""

    def __init__(self, look: Theme, button: QAbstractButton, name: str):
        for old in button.findChildren(_IconKeeper, options=Qt.FindChildOption.FindDirectChildrenOnly):
            old.setParent(None)
            old.deleteLater()
        super().__init__(button)
        self._look, self._button, self._name = look, button, name
        look.changed.connect(self._paint)
        self._paint()

    def _paint(self) -> None:
        chosen = self._button.property("look") == "primary"
        self._button.setIcon(self._look.icon(self._name, self._look.colours.on_accent if chosen else None))


@cache
def _icon(name: str, colour: str, disabled: str) -> QIcon:
    made = QIcon()
    for mode, paint in ((QIcon.Mode.Normal, colour), (QIcon.Mode.Disabled, disabled)):
        for size in (16, 20, 40):  # 40: twice 20, for dense screens
            made.addPixmap(_drawn(name, paint, size), mode)
    return made


@cache
def _source(name: str) -> bytes:
    return resource(f"icons/{name}.svg").read_bytes()


def _drawn(name: str, colour: str, size: int) -> QPixmap:
    # Through Qt's image plugin: importing QtSvg's Python side would cost the first paint 30 ms.
    sized = _source(name).replace(b"<svg ", f'<svg width="{size}" height="{size}" '.encode())
    pixmap = QPixmap()
    pixmap.loadFromData(sized.replace(b"currentColor", colour.encode()), "SVG")
    return pixmap


def _palette(c: Colours) -> QPalette:
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: c.window,
        QPalette.ColorRole.WindowText: c.text,
        QPalette.ColorRole.Base: c.surface,
        QPalette.ColorRole.AlternateBase: c.window,
        QPalette.ColorRole.ToolTipBase: c.raised,
        QPalette.ColorRole.ToolTipText: c.text,
        QPalette.ColorRole.PlaceholderText: c.muted,
        QPalette.ColorRole.Text: c.text,
        QPalette.ColorRole.Button: c.raised,
        QPalette.ColorRole.ButtonText: c.text,
        QPalette.ColorRole.BrightText: c.bad,
        QPalette.ColorRole.Link: c.accent,
        QPalette.ColorRole.Highlight: c.accent,
        QPalette.ColorRole.HighlightedText: c.on_accent,
        QPalette.ColorRole.Accent: c.accent,
        QPalette.ColorRole.Light: c.raised,
        QPalette.ColorRole.Midlight: c.raised,
        QPalette.ColorRole.Mid: c.border,
        QPalette.ColorRole.Dark: c.border,
        QPalette.ColorRole.Shadow: c.border,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.WindowText, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(c.muted))
    return palette
