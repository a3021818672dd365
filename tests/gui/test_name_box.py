"""A long name in a narrow box: that it is cut is seen, and what stands at its end too."""

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QStyleOptionComboBox
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.name_box import NameBox

LONG = "answers of a model with quite a name, of another and of 7 more (2)"


@pytest.fixture
def box(qtbot: QtBot) -> NameBox:
    made = NameBox()
    qtbot.addWidget(made)
    made.addItems(["talks", LONG])
    made.resize(200, made.sizeHint().height())
    with qtbot.waitExposed(made):
        made.show()
    return made


def painted(box: NameBox) -> str:
    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    return str(option.currentText)


def looks(box: NameBox) -> QImage:
    return box.grab().toImage()


def test_a_name_that_fits_is_whole_and_a_long_one_is_cut_in_its_middle(box: NameBox) -> None:
    assert painted(box) == "talks"
    box.setCurrentIndex(1)
    assert "…" in painted(box)
    assert painted(box).startswith("answers")
    assert painted(box).endswith("(2)")
    assert box.currentText() == LONG, "what is chosen is whole"
    box.resize(900, box.height())
    assert painted(box) == LONG


def test_the_cut_name_is_what_is_painted(box: NameBox) -> None:
    theme()
    box.setCurrentIndex(1)
    cut, image = painted(box), looks(box)
    box.setItemText(1, cut)
    assert looks(box) == image
    box.setItemText(1, "talks")
    assert looks(box) != image
