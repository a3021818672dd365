"""What the window itself lends to the palette: its panes, settings, the runs and data sets of the project."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.action_table import ACTIONS, Offer
from rlhf_lab.gui.models.algorithms import ALGORITHMS, Algorithm
from rlhf_lab.gui.models.palette import remembered
from rlhf_lab.gui.run_state import RunState
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.theme import theme

if TYPE_CHECKING:
    from rlhf_lab.gui.main_window import MainWindow
    from rlhf_lab.store import DatasetRow

_UNFINISHED = ("stopped", "failed", "interrupted")


class WindowActions(QObject):
    """Gives the actions their methods, and opens the palette on them."""

    def __init__(self, window: "MainWindow", lab: Lab, settings: Settings):
        super().__init__(window)
        self._window, self._lab, self._settings = window, lab, settings
        actions = lab.actions
        for name in ACTIONS:
            area, _, rest = name.partition(".")
            if area == "pane":
                actions.on(name, partial(window.show_pane, rest))
        for choice in ("system", "light", "dark"):
            actions.on(f"theme.{choice}", partial(self._colour, choice))
        for stage in ("sft", "reward"):
            actions.on(f"new.{stage}", partial(self._new_run, stage))
        for algorithm in ALGORITHMS:
            name = algorithm.title.lower() if algorithm.settings else algorithm.stage
            actions.on(f"new.{name}", partial(self._new_run, "policy", algorithm))
        for name, page in (("objective", "Objective"), ("answers", "Answers")):
            actions.on(f"policy.{name}", partial(self._show_board, "policy", page))
        actions.on("reward.diagnosis", partial(self._show_board, "reward", "Diagnosis"))
        for name, page in _COMPARED.items():
            actions.on(f"compare.{name}", partial(self._show_compared, page))
        actions.on("runs.lineage", self._show_lineage)
        actions.on("window.palette", self.show_palette)
        actions.on("window.settings", window.show_settings)
        actions.on("window.diagnostics", window.diagnostics.copy)
        actions.on("window.backups", window.backups_asked.emit)
        actions.on("models.show", window.show_models)
        actions.on("window.quit", window.close)
        actions.on("guide.run", window.start_guide)
        actions.on("runs.recipe", self._new_recipe)
        actions.on("data.import", partial(self._in_data, "choose_files"))
        actions.on("data.import_folder", partial(self._in_data, "choose_folder"))
        actions.offer(self._runs)
        actions.offer(self._datasets)
        actions.listen(window)

    @Slot()
    def show_palette(self) -> None:
        """Open it over the window."""
        from rlhf_lab.gui.widgets.palette import Palette  # the first window needs none of it

        offers = [offer for offer in self._lab.actions.offers() if offer.name != "window.palette"]
        palette = Palette(offers, self._settings.recent, self._window)
        palette.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        palette.chosen.connect(self._do)
        palette.open()

    @Slot(object)
    def _do(self, offer: Offer) -> None:
        self._settings.put_recent(remembered(offer.name, self._settings.recent))
        try:
            offer.act()
        except LabError as error:
            self._window.show_problem(str(error))

    def _colour(self, choice: str) -> None:
        self._settings.put("theme", choice)
        theme().choose(self._settings.theme)

    def _new_run(self, pane: str, algorithm: Algorithm | None = None) -> None:
        """Show the form of its stage, the keyboard in it."""
        self._window.show_pane(pane)
        launchers = self._window.pane(pane).launchers
        if algorithm is not None:
            launchers.choose(algorithm)
        launchers.launcher.preset.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _show_board(self, pane: str, page: str) -> None:
        """A page of the run that is shown there."""
        self._window.show_pane(pane)
        self._window.pane(pane).board.show_page(page)

    def _show_compared(self, page: str) -> None:
        self._window.show_pane("compare")
        self._window.pane("compare").pages[page].click()

    def _show_lineage(self) -> None:
        self._window.show_pane("runs")
        pane = self._window.pane("runs")
        pane.tabs.setCurrentWidget(pane.lineage)

    def _new_recipe(self) -> None:
        from rlhf_lab.gui.widgets.recipe_button import open_recipe  # the first window needs none of it

        open_recipe(self._lab, self._window)

    def _in_data(self, method: str) -> None:
        self._window.show_pane("data")
        getattr(self._window.pane("data"), method)()

    def _export_run(self, run: str) -> None:
        self._window.show_pane("runs")
        pane = self._window.pane("runs")
        pane.select(run)
        pane.export.click()

    def _export_dataset(self, row: "DatasetRow") -> None:
        self._window.show_pane("data")
        pane = self._window.pane("data")
        pane.select(row.name)
        pane.view.export_asked.emit(row)

    def _runs(self) -> Iterator[Offer]:
        live, queued = self._lab.live(), self._lab.queued()
        for row in reversed(self._lab.project.store.runs()):
            run, title = row.run, RunState(run=row.run, stage=row.stage).title
            state = self._lab.state(run) if run in live else None
            if state is not None and not state.stopping:
                if not state.held:
                    verb, act = ("Go on with", self._lab.go_on) if state.paused else ("Pause", self._lab.pause)
                    yield Offer(f"pause:{run}", f"{verb} {title}", "Running", partial(act, run))
                yield Offer(f"stop:{run}", f"Stop and save {title}", "Running", partial(self._lab.stop, run))
            elif run in queued:
                yield Offer(f"stop:{run}", f"Cancel {title}", "Waiting", partial(self._lab.stop, run))
            elif row.outcome in _UNFINISHED:
                yield Offer(f"resume:{run}", f"Resume {title}", "Runs", partial(self._lab.resume, run))
            export = partial(self._export_run, run)
            yield Offer(f"export:{run}", f"Export {title}…", "Runs", export, words="save adapter merged curves")
            words = " ".join((run, row.outcome, *row.tags))
            yield Offer(f"run:{run}", f"Show {title}", "Runs", partial(self._window.show_run, run), words=words)

    def _datasets(self) -> Iterator[Offer]:
        for row in self._lab.project.store.datasets():
            show = partial(self._lab.pane_asked.emit, "data", {"dataset": row.name})
            yield Offer(f"dataset:{row.name}", row.name, "Data sets", show, words=row.kind)
            export = partial(self._export_dataset, row)
            yield Offer(f"export-data:{row.name}", f"Export {row.name}…", "Data sets", export, words="save write")
            if row.kind in _RANKED:
                rank = partial(self._lab.pane_asked.emit, "rank", {"dataset": row.name})
                yield Offer(f"rank:{row.name}", f"Rank {row.name}", "Data sets", rank)


_COMPARED = {
    "beside": "Side by side",
    "blind": "Blind vote",
    "standings": "Standings",
    "changed": "What changed",
}
_RANKED = ("pair", "ranking", "rated", "candidates")
