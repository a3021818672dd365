"""The style sheet, filled in with one set of colours. Widgets ask for a look by property.

``QPushButton[look=primary|quiet|danger]``, ``QLabel[role=title|heading|caption|muted|good|warn|bad]``,
``QFrame[surface=card|plain|bar|rail|banner|note|problem|success|drop|line]``.
"""

from typing import TYPE_CHECKING

from rlhf_lab.core.resources import resource

if TYPE_CHECKING:
    from rlhf_lab.gui.theme import Colours


def stylesheet(c: "Colours", points: float) -> str:
    """The whole application's style sheet; ``points`` is the size of the system's font."""
    icons = resource("icons").as_posix()
    return f"""
QWidget {{ color: {c.text}; }}
QMainWindow, QDialog {{ background: {c.window}; }}
QToolTip {{ background: {c.raised}; color: {c.text}; border: 1px solid {c.border}; padding: 6px; }}

QLabel[role="title"] {{ font-size: {points * 1.45:.1f}pt; font-weight: 600; }}
QLabel[role="heading"] {{ font-size: {points * 1.1:.1f}pt; font-weight: 600; }}
QLabel[role="strong"] {{ font-weight: 600; }}
QLabel[role="caption"] {{ font-size: {points * 0.9:.1f}pt; color: {c.muted}; }}
QLabel[role="muted"] {{ color: {c.muted}; }}
QLabel[role="good"] {{ color: {c.good}; }}
QLabel[role="warn"] {{ color: {c.warn}; }}
QLabel[role="bad"] {{ color: {c.bad}; }}
QLabel[role="number"] {{ font-size: {points * 1.25:.1f}pt; font-weight: 600; }}

QFrame[surface="card"] {{ background: {c.surface}; border: 1px solid {c.border}; border-radius: 8px; }}
QFrame[surface="plain"] {{ background: {c.surface}; border: none; }}
QFrame[surface="bar"] {{ background: {c.surface}; border: none; border-top: 1px solid {c.border}; }}
QFrame[surface="rail"] {{ background: {c.surface}; border: none; border-right: 1px solid {c.border}; }}
QFrame[surface="banner"] {{ background: {c.accent_soft}; border: none; border-bottom: 1px solid {c.border}; }}
QFrame[surface="note"] {{ background: {c.raised}; border: none; border-top: 1px solid {c.border}; }}
QFrame[surface="problem"] {{ background: {c.bad_soft}; border: none; border-top: 1px solid {c.border}; }}
QFrame[surface="success"] {{ background: {c.good_soft}; border: none; border-top: 1px solid {c.border}; }}
QFrame[surface="drop"] {{ background: {c.accent_soft}; border: 2px dashed {c.accent}; border-radius: 8px; }}
QFrame[surface="mark-good"] {{ background: {c.good}; border: none; border-radius: 2px; }}
QFrame[surface="mark-warn"] {{ background: {c.warn}; border: none; border-radius: 2px; }}
QFrame[surface="mark-bad"] {{ background: {c.bad}; border: none; border-radius: 2px; }}
QFrame[surface="mark-muted"] {{ background: {c.border}; border: none; border-radius: 2px; }}
QFrame[surface="line"] {{ background: {c.border}; border: none; }}

QPushButton, QToolButton {{
    background: {c.surface}; border: 1px solid {c.border}; border-radius: 6px; padding: 6px 14px;
}}
QToolButton {{ padding: 6px; }}
QPushButton:hover, QToolButton:hover {{ background: {c.raised}; }}
QPushButton:pressed, QToolButton:pressed, QPushButton:checked, QToolButton:checked {{
    background: {c.accent_soft}; border-color: {c.accent};
}}
QPushButton:focus, QToolButton:focus {{ border: 1px solid {c.accent}; outline: none; }}
QPushButton:disabled, QToolButton:disabled {{ color: {c.muted}; background: {c.window}; }}
QPushButton[look="primary"] {{
    background: {c.accent}; color: {c.on_accent}; border: 1px solid {c.accent}; font-weight: 600;
}}
QPushButton[look="primary"]:hover {{ background: {_mix(c.accent, c.text, 0.14)}; }}
QPushButton[look="primary"]:focus {{ border: 1px solid {c.text}; }}
QPushButton[look="primary"]:disabled {{
    background: {c.raised}; color: {c.muted}; border-color: {c.border};
}}
QPushButton[look="danger"] {{ color: {c.bad}; }}
QPushButton[look="quiet"], QToolButton[look="quiet"] {{ background: transparent; border: 1px solid transparent; }}
QPushButton[look="quiet"]:hover, QToolButton[look="quiet"]:hover {{ background: {c.raised}; }}
QPushButton[look="quiet"]:focus, QToolButton[look="quiet"]:focus {{ border: 1px solid {c.accent}; }}
QPushButton[look="link"] {{
    background: transparent; border: 1px solid transparent; color: {c.accent}; padding: 2px 4px; text-align: left;
}}
QPushButton[look="link"]:hover {{ text-decoration: underline; }}
QPushButton[look="link"]:focus {{ border: 1px solid {c.accent}; }}

QToolButton[look="legend"] {{
    background: transparent; border: 1px solid transparent; border-radius: 4px; padding: 1px 6px 1px 2px;
    color: {c.muted}; font-size: {points * 0.9:.1f}pt;
}}
QToolButton[look="legend"]:checked {{ color: {c.text}; }}
QToolButton[look="legend"]:hover {{ background: {c.raised}; }}
QToolButton[look="legend"]:focus {{ border: 1px solid {c.accent}; }}
QToolButton[look="chip"] {{
    border-radius: 11px; padding: 2px 10px 2px 6px; background: {c.raised}; border: 1px solid {c.border};
}}
QToolButton[look="chip"][level="check"] {{ background: {c.warn_soft}; border-color: {c.warn}; }}
QToolButton[look="chip"][level="stop"] {{ background: {c.bad_soft}; border-color: {c.bad}; }}
QToolButton[look="chip"]:checked {{ border-color: {c.accent}; }}
QToolButton[look="chip"]:focus {{ border: 1px solid {c.accent}; }}
QToolButton[look="small"] {{ padding: 2px 8px; font-size: {points * 0.9:.1f}pt; }}
QToolButton[look="disclosure"] {{
    background: transparent; border: 1px solid transparent; padding: 4px 2px; text-align: left; font-weight: 600;
}}
QToolButton[look="disclosure"]:focus {{ border: 1px solid {c.accent}; }}
QToolButton[look="browse"] {{ padding: 4px; }}
QToolButton[look="browse"]::menu-indicator, QToolButton[look="small"]::menu-indicator,
QToolButton[look="rail"]::menu-indicator {{ image: none; width: 0; }}
QPushButton[look="small"] {{ padding: 4px 10px; }}
QToolButton[look="mark"] {{ background: transparent; border: 1px solid transparent; border-radius: 9px; padding: 0; }}
QToolButton[look="mark"]:hover {{ background: {c.raised}; }}
QToolButton[look="mark"]:focus {{ border: 1px solid {c.accent}; }}

QToolButton[look="rail"] {{
    background: transparent; border: 1px solid transparent; border-radius: 8px; padding: 8px 12px;
    text-align: left; color: {c.muted};
}}
QToolButton[look="rail"]:hover {{ background: {c.raised}; color: {c.text}; }}
QToolButton[look="rail"]:checked {{
    background: {c.accent_soft}; color: {c.text}; border: 1px solid transparent; font-weight: 600;
}}
QToolButton[look="rail"]:focus {{ border: 1px solid {c.accent}; }}

QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit, QTextEdit, QAbstractSpinBox {{
    background: {c.surface}; border: 1px solid {c.border}; border-radius: 6px; padding: 4px 8px;
    selection-background-color: {c.accent}; selection-color: {c.on_accent};
}}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus, QPlainTextEdit:focus, QTextEdit:focus {{
    border: 1px solid {c.accent};
}}
QPlainTextEdit[look="bare"] {{ background: transparent; border: none; padding: 0; }}
QLineEdit[problem="true"], QAbstractSpinBox[problem="true"], QComboBox[problem="true"] {{
    border: 1px solid {c.bad};
}}
QLineEdit:disabled, QAbstractSpinBox:disabled, QComboBox:disabled {{ color: {c.muted}; background: {c.window}; }}
QComboBox::drop-down {{ border: none; width: 24px; }}
QComboBox::down-arrow {{ image: url({icons}/arrow-down.svg); width: 12px; height: 12px; }}
QComboBox QAbstractItemView {{ background: {c.surface}; border: 1px solid {c.border}; padding: 4px; }}
QAbstractSpinBox QLineEdit {{ background: transparent; border: none; padding: 0 4px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ border: none; background: transparent; width: 18px; }}
QAbstractSpinBox::up-arrow {{ image: url({icons}/arrow-up.svg); width: 10px; height: 10px; }}
QAbstractSpinBox::down-arrow {{ image: url({icons}/arrow-down.svg); width: 10px; height: 10px; }}

QAbstractItemView {{
    background: {c.surface}; border: 1px solid {c.border}; border-radius: 8px; outline: none;
    selection-background-color: {c.accent_soft}; selection-color: {c.text};
}}
QAbstractItemView:focus {{ border: 1px solid {c.accent}; }}
QAbstractItemView[look="bare"], QAbstractItemView[look="bare"]:focus {{
    border: 1px solid transparent; border-radius: 0; background: transparent;
}}
QListView::item {{ padding: 6px 8px; border-radius: 6px; }}
QListView::item:hover {{ background: {c.raised}; }}
QListView::item:selected {{ background: {c.accent_soft}; color: {c.text}; }}
QTableView {{ gridline-color: {c.border}; alternate-background-color: {c.window}; }}
QTableView::item {{ padding: 4px 8px; border: none; }}
QTableView[look="matrix"]::item {{ border-bottom: 1px solid {c.border}; }}
QTableView::item:selected {{ background: {c.accent_soft}; color: {c.text}; }}
QHeaderView {{ background: transparent; border: none; }}
QHeaderView::section {{
    background: {c.surface}; color: {c.muted}; border: none; border-bottom: 1px solid {c.border}; padding: 6px 8px 6px 11px;
}}
QHeaderView::section:first {{ border-top-left-radius: 8px; }}
QHeaderView::section:last {{ border-top-right-radius: 8px; }}
QTableView[look="matrix"] QHeaderView::section:horizontal:first {{ border-top-left-radius: 0; }}
QTableView[look="matrix"] QHeaderView::section:vertical {{ border-radius: 0; }}
QTableView[look="matrix"] QHeaderView::section:vertical:last {{ border-bottom-left-radius: 8px; }}
QTableCornerButton::section {{
    background: {c.surface}; border: none; border-bottom: 1px solid {c.border}; border-top-left-radius: 8px;
}}

QProgressBar {{ background: {c.raised}; border: none; border-radius: 4px; min-height: 8px; max-height: 8px; }}
QProgressBar::chunk {{ background: {c.accent}; border-radius: 4px; }}
QSplitter::handle {{ background: transparent; }}
QScrollArea {{ border: none; background: transparent; }}
QScrollBar:vertical {{ background: transparent; width: 12px; margin: 2px; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 2px; }}
QScrollBar::handle {{ background: {_mix(c.border, c.muted, 0.35)}; border-radius: 4px; min-height: 32px; min-width: 32px; }}
QScrollBar::handle:hover {{ background: {c.muted}; }}
QAbstractScrollArea::corner {{ background: transparent; border: none; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}

QTabWidget::pane {{ border: none; }}
QTabBar::tab {{
    background: transparent; color: {c.muted}; padding: 8px 9px; border: none; border-bottom: 2px solid transparent;
}}
QTabBar::tab:hover {{ color: {c.text}; }}
QTabBar::tab:selected {{ color: {c.text}; border-bottom: 2px solid {c.accent}; }}
QTabBar::tab:focus {{ color: {c.accent}; }}
QMenu {{ background: {c.surface}; border: 1px solid {c.border}; padding: 4px; }}
QMenu::item {{ padding: 6px 16px; border-radius: 4px; }}
QMenu::item:selected {{ background: {c.accent_soft}; }}
QMenu::separator {{ height: 1px; background: {c.border}; margin: 4px 8px; }}
QCheckBox, QRadioButton {{ spacing: 8px; padding: 2px; border: 1px solid transparent; border-radius: 4px; }}
QCheckBox::indicator, QListView::indicator {{
    width: 14px; height: 14px; background: {c.surface}; border: 1px solid {c.muted}; border-radius: 4px;
}}
QCheckBox::indicator:checked, QListView::indicator:checked {{ background: {c.accent}; border-color: {c.accent}; image: url({icons}/tick.svg); }}
QCheckBox::indicator:disabled {{ border-color: {c.border}; }}
QCheckBox:focus, QRadioButton:focus {{ border: 1px solid {c.accent}; }}
"""


def _mix(one: str, other: str, share: float) -> str:
    """``share`` of ``other`` in ``one``."""
    channels = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in channels)
