"""Enter presses the button in focus, and nothing that stands elsewhere or gets the keyboard only then."""

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.settings import SettingsDialog
from rlhf_lab.gui.widgets.recipe_button import open_recipe

ENTER = Qt.Key.Key_Return


def test_enter_in_the_table_of_a_recipe_neither_runs_nor_closes_it(qtbot: QtBot, window: MainWindow, lab: Lab) -> None:
    dialog = open_recipe(lab, window)
    dialog.table.setFocus()
    dialog.table.selectRow(0)
    qtbot.keyClick(dialog.table, ENTER)
    dialog.again.setFocus()
    qtbot.keyClick(dialog.again, ENTER)
    assert dialog.isVisible()
    assert lab.recipes.walks() == []
    pressed: list[bool] = []
    dialog.run.clicked.connect(lambda: pressed.append(True))
    dialog.run.setFocus()
    qtbot.keyClick(dialog.run, ENTER)
    assert pressed == [True]
    dialog.close()


def test_enter_in_a_setting_closes_the_settings_and_opens_no_backups(qtbot: QtBot, window: MainWindow) -> None:
    window.show_settings()
    dialog = window.findChild(SettingsDialog)
    dialog.awake.setFocus()
    with qtbot.assertNotEmitted(dialog.backups_asked):
        qtbot.keyClick(dialog.awake, ENTER)
    qtbot.waitUntil(lambda: window.findChild(SettingsDialog) is None)


def test_enter_on_a_button_of_the_help_presses_it(qtbot: QtBot, window: MainWindow, lab: Lab) -> None:
    lab.actions.trigger("help.contents")
    view = window.help.view
    view.keys.setFocus()
    qtbot.keyClick(view.keys, ENTER)
    assert view.title.text() == "Keys"
    view.close()


def test_enter_that_ends_a_line_presses_no_button_that_follows(qtbot: QtBot, window: MainWindow) -> None:
    pane = window.pane("data")
    pane.select("talks")
    qtbot.mouseClick(pane.view.rename, Qt.MouseButton.LeftButton)
    pane.view.new_name.setText("speeches")
    qtbot.keyClick(pane.view.new_name, ENTER)
    assert pane.view.rename.hasFocus()
    assert not pane.view.new_name.isVisible(), "the button beside it would begin anew"
    qtbot.keyClick(pane.view.rename, ENTER)
    assert pane.view.new_name.isVisible()
