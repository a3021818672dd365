"""A plot in its frame: title, what it means, and a legend whose entries show values and switch lines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QRect, QSize, Qt, Slot
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from rlhf_lab.core.help import tip
from rlhf_lab.core.metrics import METRICS, describe
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.marks import marks_at
from rlhf_lab.gui.models.plot_spec import PlotSpec, label, number
from rlhf_lab.gui.plots.curve_plot import CurvePlot
from rlhf_lab.gui.plots.heat_plot import HeatPlot
from rlhf_lab.gui.plots.histogram_plot import HistogramPlot
from rlhf_lab.gui.plots.step_plot import StepPlot
from rlhf_lab.gui.plots.tradeoff_plot import PAIRS, TradeoffPlot
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.flow import Flow
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip, visible

SWATCH = QSize(14, 10)


@dataclass(frozen=True)
class Entry:
    """One line of a legend: its key, words and tooltip, and whether its line is dashed."""

    key: str
    text: str
    tip: str
    dashed: bool = False


class Legend(Flow):
    """Entries with a swatch; a checked one is shown. Each can be reached by Tab and switched with Space."""

    def __init__(self, entries: Sequence[Entry], switch: Callable[[str, bool], None] | None):
        super().__init__(across=0)
        self._entries = {entry.key: entry for entry in entries}
        self._buttons: dict[str, QToolButton] = {}
        for entry in entries:
            button = QToolButton()
            button.setProperty("look", "legend")
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setIconSize(SWATCH)
            button.setToolTip(plain_tip(entry.tip))
            button.setAccessibleName(entry.text)
            button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
            if switch is not None:
                button.setCheckable(True)
                button.setChecked(True)
                button.toggled.connect(lambda on, key=entry.key: switch(key, on))
            else:
                button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setParent(self)
            button.show()
            self._buttons[entry.key] = button
        self.set_values({})
        self.show_widgets(list(self._buttons.values()))

    def button(self, key: str) -> QToolButton:
        """The entry's button."""
        return self._buttons[key]

    def set_values(self, values: dict[str, str]) -> None:
        """Show a value behind each entry's name."""
        for key, button in self._buttons.items():
            value = values.get(key, "")
            text = visible(self._entries[key].text + (f"  {value}" if value else "")).replace("&", "&&")
            if button.text() != text:
                button.setText(text)

    def set_names(self, names: Mapping[str, tuple[str, str]]) -> None:
        """Call entries something else: words and tooltip by key."""
        for key, (text, told) in names.items():
            self._entries[key] = replace(self._entries[key], text=text, tip=told)
            self._buttons[key].setToolTip(plain_tip(told))
            self._buttons[key].setAccessibleName(visible(text))

    def set_there(self, keys: Iterable[str]) -> None:
        """Name only these."""
        wanted = set(keys)
        for key, button in self._buttons.items():
            button.setVisible(key in wanted)

    def set_colours(self, colours: dict[str, str]) -> None:
        """Paint the swatches; those of hidden lines are faded."""
        for key, button in self._buttons.items():
            lit, icon = _swatch(colours[key], self._entries[key].dashed), QIcon()
            icon.addPixmap(lit, QIcon.Mode.Normal, QIcon.State.On)
            icon.addPixmap(_faded(lit) if button.isCheckable() else lit, QIcon.Mode.Normal, QIcon.State.Off)
            button.setIcon(icon)


class Card(QFrame):
    """Title and help above, a legend below them, the plot in the rest."""

    def __init__(self, title: str, help: str, plot: QWidget, legend: Legend, refs: str = ""):
        """``refs``: the pages of the help on it, for F1."""
        super().__init__()
        self.setProperty("help", refs)
        self.setProperty("surface", "card")
        self._heading = PlainLabel(title, role="strong")
        self._aside = PlainLabel("", role="caption")
        # It says what there is room for, and never makes the card wider.
        self._aside.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._aside.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self._heading)
        head.addWidget(HelpMark(title, help))
        head.addWidget(self._aside, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 8, 4)
        column.setSpacing(2)
        column.addLayout(head)
        column.addWidget(legend)
        column.addWidget(plot, 1)

    def set_title(self, title: str) -> None:
        """Show something else from now on."""
        self._heading.setText(title)

    def set_aside(self, text: str) -> None:
        """A few words on the right of the title, such as the step under the crosshair."""
        self._aside.setText(text)
        self._aside.setToolTip(plain_tip(text))

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run."""

    def take_changes(self, history: RunHistory | None, names: set[str]) -> None:
        """The run that is shown has said something new under these names; here, look at all of it again."""
        self.show_history(history)


class StepCard(Card):
    """A card whose plot moves together with the others of a board."""

    plot: StepPlot

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run."""
        self.plot.show_history(history)


class CurveCard(StepCard):
    """A `CurvePlot` with its legend."""

    def __init__(self, spec: PlotSpec, plot: CurvePlot | None = None):
        self.plot = plot or CurvePlot(spec)
        entries = [Entry(n, words, describe(n), n in spec.dashed) for n, words in spec.lines.items()]
        self.legend = Legend(entries, self.plot.set_shown if len(entries) > 1 else None)
        title = spec.title if spec.unit in ("", "share") else f"{spec.title} ({spec.unit})"
        super().__init__(title, spec.help, self.plot, self.legend, _metric_refs(spec.metrics))
        self.plot.values_changed.connect(self._show_values)
        theme().changed.connect(self._recolour)
        self._recolour()
        if spec.optional:
            self.legend.set_there(name for name in spec.metrics if name not in spec.optional)

    def keep_view(self, history: RunHistory) -> None:
        """The same with other points: what is in view stays in view."""
        self.plot.replace_history(history)

    def take_changes(self, history: RunHistory | None, names: set[str]) -> None:
        """Redraw where it concerns these curves, or what is marked on them."""
        if not names.isdisjoint((*self.plot.spec.metrics, "changes", "health")):
            self.plot.ask_redraw()

    @Slot()
    def _show_values(self) -> None:
        spec = self.plot.spec
        self.legend.set_values({name: self.plot.value_text(name) for name in spec.metrics})
        if spec.optional:
            known = self.plot.history.curves if self.plot.history is not None else {}
            self.legend.set_there(name for name in spec.metrics if name in known or name not in spec.optional)
        step = self.plot.cursor_step
        marked = marks_at(self.plot.history, self.plot.spec.metrics, step)
        told = f"{self.plot.spec.over} {step:,.0f}" if step is not None else ""
        self.set_aside(f"{marked} · {told}" if marked else told)

    @Slot()
    def _recolour(self) -> None:
        self.legend.set_colours({name: self.plot.colour(name) for name in self.plot.spec.metrics})


class HeatCard(StepCard):
    """A `HeatPlot`: the distribution that is called ``name``, over the steps."""

    def __init__(self, title: str, name: str, help: str):
        self.plot = HeatPlot(title, name)
        entries = (
            Entry("share", "Share", "The stronger the colour, the more of the values of that step lie there."),
            Entry("median", "Median", "Half of the values lie below."),
            Entry(
                "spread",
                "80%",
                "80% of the values lie between the dotted lines.",
                True,
            ),
        )
        self.legend = Legend(entries, None)
        super().__init__(title, f"{help}\n\n{tip('control.heat')}", self.plot, self.legend, "help:control.heat")
        self.plot.values_changed.connect(self._show_values)
        theme().changed.connect(self._recolour)
        self._recolour()

    def take_changes(self, history: RunHistory | None, names: set[str]) -> None:
        """Redraw where there is a new histogram."""
        if self.plot.name in names:
            self.plot.ask_redraw()

    @Slot()
    def _show_values(self) -> None:
        step, at = self.plot.cursor_step, self.plot.at_cursor()
        values = {}
        if at is not None:
            low, middle, high = (number(value) for value in at)
            values = {"median": middle, "spread": f"{low} to {high}"}
        self.legend.set_values(values)
        self.set_aside("" if step is None else f"step {step:,.0f}")

    @Slot()
    def _recolour(self) -> None:
        series = theme().colours.series
        self.legend.set_colours({"share": series[0], "median": series[1], "spread": series[1]})


class HistogramCard(Card):
    """A `HistogramPlot`; ``names`` gives each distribution its words."""

    def __init__(self, title: str, help: str, names: dict[str, str]):
        self.plot = HistogramPlot(title, tuple(names))
        self._names = tuple(names)
        self.legend = Legend([Entry(key, text, text) for key, text in names.items()], None)
        super().__init__(title, help, self.plot, self.legend, "help:control.score_histogram")
        theme().changed.connect(self._recolour)
        self._recolour()

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run, or what is new of this one."""
        self.plot.show_history(history)
        shown = next((h for h in map(self.plot.shown, self._names) if h is not None), None)
        self.set_aside("" if shown is None else f"step {shown.step:,}")

    @Slot()
    def _recolour(self) -> None:
        self.legend.set_colours({name: self.plot.colour(name) for name in self._names})


class TradeoffCard(Card):
    """The `TradeoffPlot` of these scores."""

    def __init__(self, title: str, help: str, scores: Sequence[str] = tuple(PAIRS)):
        self.plot = TradeoffPlot(title, scores)
        self._scores = tuple(scores)
        self.legend = Legend([Entry(name, label(name), describe(name)) for name in scores], None)
        super().__init__(title, help, self.plot, self.legend, f"help:control.tradeoff {_metric_refs(self._scores)}")
        theme().changed.connect(self._recolour)
        self._recolour()

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run, or what is new of this one."""
        self.plot.show_history(history)

    @Slot()
    def _recolour(self) -> None:
        self.legend.set_colours({name: self.plot.colour(name) for name in self._scores})


def _metric_refs(names: Iterable[str]) -> str:
    return " ".join(f"metric:{name}" for name in names if name in METRICS)


def _swatch(colour: str, dashed: bool) -> QPixmap:
    pixmap = QPixmap(SWATCH * 2)
    pixmap.setDevicePixelRatio(2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    middle = SWATCH.height() // 2 - 1
    for left, width in ((0, 5), (8, 5)) if dashed else ((0, 13),):
        painter.fillRect(QRect(left, middle, width, 2), QColor(colour))
    painter.end()
    return pixmap


def _faded(pixmap: QPixmap) -> QPixmap:
    made = QPixmap(pixmap.size())
    made.setDevicePixelRatio(pixmap.devicePixelRatio())
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setOpacity(0.2)
    painter.drawPixmap(0, 0, pixmap)
    painter.end()
    return made
