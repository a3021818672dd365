"""A box to choose from names that people gave: in one that is narrow for its name the cut is seen."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox


class NameBox(QComboBox):
    """Names that differ at their end, such as "(2)", are cut in the middle; under a style sheet Qt cuts without a sign."""

    def initStyleOption(self, option: QStyleOptionComboBox) -> None:
        """What is painted: as much of the name as there is room for."""
        super().initStyleOption(option)
        control, field = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(control, option, field, self).width()
        option.currentText = self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideMiddle, room)
