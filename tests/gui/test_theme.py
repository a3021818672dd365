"""Readable in light and dark, by the numbers; every icon draws."""

import pytest
from PySide6.QtCore import QSize
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.core.resources import resource
from rlhf_lab.gui.theme import DARK, LIGHT, Colours, theme

ICONS = sorted(path.stem for path in resource("icons").glob("*.svg"))


def luminance(colour: str) -> float:
    channels = [value / 255 for value in bytes.fromhex(colour[1:])]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["window", "surface", "accent_soft"])
@pytest.mark.parametrize("ink", ["text", "muted", "good", "warn", "bad"])
def test_text_stands_out_from_its_ground(colours: Colours, ground: str, ink: str) -> None:
    assert contrast(getattr(colours, ink), getattr(colours, ground)) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_series_and_buttons_stand_out(colours: Colours) -> None:
    assert contrast(colours.on_accent, colours.accent) >= 4.5
    assert all(contrast(colour, colours.surface) >= 3 for colour in colours.series)


@pytest.mark.parametrize("name", ICONS)
def test_every_icon_is_drawn_in_the_asked_colour(qapp: QApplication, name: str) -> None:
    image = theme().icon(name, "#ff0000").pixmap(QSize(24, 24)).toImage()
    seen = {image.pixelColor(x, y).alpha() for x in range(image.width()) for y in range(image.height())}
    assert max(seen) > 100


def test_the_choice_recolours_what_is_on_screen(qtbot: QtBot) -> None:
    button = QPushButton("Go")
    qtbot.addWidget(button)
    theme().keep_icon(button, "play")
    theme().choose("light")
    before = button.icon().cacheKey()
    with qtbot.waitSignal(theme().changed):
        theme().choose("dark")
    assert theme().colours is DARK
    assert button.icon().cacheKey() != before
    theme().choose("system")


def test_a_window_wears_the_sheet_of_the_chosen_colours(qtbot: QtBot) -> None:
    window, bare = QWidget(), QWidget()
    bare.setStyleSheet("QWidget { margin: 1px; }")
    inside = QPushButton(window)
    inside.setProperty("look", "primary")
    for made in (window, bare):
        qtbot.addWidget(made)
    theme().dress(window)
    theme().choose("dark")
    try:
        assert DARK.accent in window.styleSheet()
        inside.ensurePolished()
        assert inside.palette().buttonText().color().name() == DARK.on_accent, "what is in it is dressed with it"
        assert bare.styleSheet() == "QWidget { margin: 1px; }", "what wears another keeps it"
    finally:
        theme().choose("system")
    assert DARK.accent not in window.styleSheet()
