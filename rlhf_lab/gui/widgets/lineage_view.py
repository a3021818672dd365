"""What the selected runs came from and what came of them: data, SFT, reward model, policy, from left to right."""

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.offers import run_title
from rlhf_lab.gui.plots.base import pen
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip, visible
from rlhf_lab.runs.lineage import KINDS, Lineage, Node, lineage

HEADS = {"data": "Data", "sft": "SFT", "reward": "Reward model", "policy": "Policy"}
NOTE = (
    "What the selected runs stand on, and what stands on them. A click on a run selects it, on data opens it; what is "
    "crossed out is named by a run and is not there any more."
)
LONGEST = 28


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
        verdicts = {n.key: store.verdict_count(n.key[5:]) for n in found.nodes if n.kind == "data" and n.known}
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
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Lines from what was used to what used it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(pen(theme().colours.muted, 150))
        for begin, end in self._edges:
            left, right = self.buttons[begin].geometry(), self.buttons[end].geometry()
            path = _path(
                QPoint(left.right() + 1, left.center().y()),
                QPoint(right.left(), right.center().y()),
                left.right() < right.left(),
            )
            painter.drawPath(path)
        painter.end()

    def _button(self, node: Node, selected: bool, verdicts: int) -> QPushButton:
        name = node.key[5:] if node.kind == "data" else run_title(node.key)
        whole = f"{name} · {verdicts:,} verdicts" if verdicts else name
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


def _path(begin: QPoint, end: QPoint, forward: bool) -> QPainterPath:
    """An S from left to right; a bow on the right side between two of the same column."""
    path = QPainterPath(QPointF(begin))
    if forward:
        middle = (begin.x() + end.x()) / 2
        path.cubicTo(QPointF(middle, begin.y()), QPointF(middle, end.y()), QPointF(end))
        return path
    bow = begin.x() + 24.0
    path.cubicTo(QPointF(bow, begin.y()), QPointF(bow, end.y()), QPointF(begin.x(), end.y()))
    return path
