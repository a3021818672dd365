"""What the selected runs came from and what came of them: data, SFT, reward model, policy, votes, from left to right."""

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRect, Qt, Signal
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from rlhf_lab.core.naming import run_title, so_many
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.plots.base import pen
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip, visible
from rlhf_lab.runs.lineage import KINDS, Lineage, Node, lineage

HEADS = {"data": "Data", "sft": "SFT", "reward": "Reward model", "policy": "Policy", "votes": "Votes"}
NOTE = (
    "What the selected runs stand on, and what stands on them. A click on a run selects it, on data opens it; what is "
    "crossed out is named by a run and is not there any more. A dashed line: data that was made of verdicts."
)
LONGEST = 28
SAG, ROUND = 18, 8
"""Pixels by which a line that leads back stays below what it passes, and of its corners."""


class LineageView(QWidget):
    """Nodes are buttons: reached by Tab, pressed by Space."""

    run_chosen = Signal(str)

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self.graph = _Graph()
        self.note = PlainLabel(role="caption", wrap=True)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(self.graph)
        area.viewport().setAutoFillBackground(False)
        self.graph.setAutoFillBackground(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.note)
        column.addWidget(area, 1)
        self.graph.chosen.connect(self._chosen)

    def show_runs(self, runs: Sequence[str]) -> None:
        """Show where these stand."""
        self.note.setText(NOTE if runs else "Select runs in the table.")
        store = self._lab.project.store
        found = lineage(store, runs)
        verdicts = {n.key: store.verdict_count(n.key[5:]) for n in found.nodes if n.key.startswith("data:") and n.known}
        self.graph.show_lineage(found, set(runs), verdicts)

    def _chosen(self, key: str) -> None:
        if key.startswith("data:"):
            self._lab.pane_asked.emit("data", {"dataset": key[5:]})
        else:
            self.run_chosen.emit(key)


class _Graph(QWidget):
    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[str, QPushButton] = {}
        self._edges: tuple[tuple[str, str], ...] = ()
        self._heads: list[PlainLabel] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 8, 8)
        self._grid.setHorizontalSpacing(56)
        self._grid.setVerticalSpacing(8)
        theme().changed.connect(self.update)

    def show_lineage(self, found: Lineage, selected: set[str], verdicts: dict[str, int]) -> None:
        """Show another graph."""
        for old in (*self.buttons.values(), *self._heads):
            self._grid.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.buttons, self._heads, self._edges = {}, [], found.edges
        rows = dict.fromkeys(KINDS, 0)
        for node in found.nodes:
            column = KINDS.index(node.kind)
            if not rows[node.kind]:
                head = PlainLabel(HEADS[node.kind], role="caption")
                self._heads.append(head)
                self._grid.addWidget(head, 0, column)
            rows[node.kind] += 1
            self.buttons[node.key] = self._button(node, node.key in selected, verdicts.get(node.key, 0))
            self._grid.addWidget(self.buttons[node.key], rows[node.kind], column, Qt.AlignmentFlag.AlignLeft)
        self._grid.setRowStretch(max(rows.values()) + 1, 1)
        self._grid.setColumnStretch(len(KINDS), 1)
        places = {node.key: KINDS.index(node.kind) for node in found.nodes}
        back = any(places[begin] > places[end] for begin, end in found.edges)
        self._grid.setContentsMargins(2 * ROUND if back else 0, 0, 2 * ROUND, 8 + SAG if back else 8)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Lines from what was used to what used it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        floor = max((button.geometry().bottom() for button in self.buttons.values()), default=0) + SAG
        for begin, end in self._edges:
            left, right = self.buttons[begin].geometry(), self.buttons[end].geometry()
            back = left.left() > right.right()
            painter.setPen(pen(theme().colours.muted, 150, Qt.PenStyle.DashLine if back else Qt.PenStyle.SolidLine))
            painter.drawPath(_back(left, right, floor) if back else _path(left, right))
        painter.end()

    def _button(self, node: Node, selected: bool, verdicts: int) -> QPushButton:
        name = node.key[5:] if node.key.startswith("data:") else run_title(node.key)
        whole = f"{name} · {so_many(verdicts, 'verdict')}" if verdicts else name
        short = whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"
        button = QPushButton(visible(short).replace("&", "&&"))
        button.setAccessibleName(visible(f"{HEADS[node.kind]}: {whole}{', selected' if selected else ''}"))
        button.setToolTip(plain_tip(whole if node.known else f"{whole} is not in this project any more"))
        button.setEnabled(node.known)
        font = button.font()
        font.setBold(selected)
        font.setStrikeOut(not node.known)
        button.setFont(font)
        button.clicked.connect(lambda _=False, key=node.key: self.chosen.emit(key))
        return button


def _path(begin: QRect, end: QRect) -> QPainterPath:
    """An S from left to right; a bow on the right side between two of the same column."""
    start, stop = QPointF(begin.right() + 1, begin.center().y()), QPointF(end.left(), end.center().y())
    path = QPainterPath(start)
    if start.x() <= stop.x():
        middle = (start.x() + stop.x()) / 2
        path.cubicTo(QPointF(middle, start.y()), QPointF(middle, stop.y()), stop)
        return path
    bow, stop = start.x() + 24.0, QPointF(end.right() + 1, stop.y())
    path.cubicTo(QPointF(bow, start.y()), QPointF(bow, stop.y()), stop)
    return path


def _back(begin: QRect, end: QRect, floor: int) -> QPainterPath:
    """From right to left: out on the right side, round below everything, in on the left side."""
    out, into = begin.right() + ROUND, end.left() - ROUND
    path = QPainterPath(QPointF(begin.right() + 1, begin.center().y()))
    path.quadTo(QPointF(out, begin.center().y()), QPointF(out, begin.center().y() + ROUND))
    path.lineTo(QPointF(out, floor - ROUND))
    path.quadTo(QPointF(out, floor), QPointF(out - ROUND, floor))
    path.lineTo(QPointF(into + ROUND, floor))
    path.quadTo(QPointF(into, floor), QPointF(into, floor - ROUND))
    path.lineTo(QPointF(into, end.center().y() + ROUND))
    path.quadTo(QPointF(into, end.center().y()), QPointF(end.left(), end.center().y()))
    return path
