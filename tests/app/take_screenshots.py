"""Pictures of every pane, light and dark, at 1280 × 800, from a project in which the guided experiment has run.

    python tests/app/take_screenshots.py PROJECT [--to docs/screenshots] [--live]

A project without its runs gets them first, which takes some minutes. With --live a further PPO run
trains while the Policy pane is taken, and is stopped afterwards. Drives the real window, offscreen.
"""

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QElapsedTimer, QEventLoop, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from rlhf_lab.core.naming import Stage
from rlhf_lab.gui.app import BUSY_MS, Session
from rlhf_lab.gui.settings import Settings, SettingsDialog
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.models_dialog import CHECKING, ModelsDialog
from rlhf_lab.gui.widgets.palette import Palette
from rlhf_lab.gui.widgets.recipe_dialog import RecipeDialog
from rlhf_lab.gui.widgets.run_export import RunExportDialog
from rlhf_lab.gui.widgets.sweep_dialog import SweepDialog
from rlhf_lab.headless_recipes import guided_experiment
from rlhf_lab.runs.experiment import guided_config
from rlhf_lab.runs.project import Project
from rlhf_lab.terminal import Terminal

STAGE_PANES: dict[Stage, str] = {"sft": "sft", "reward": "reward", "ppo": "policy"}
LIVE_UPDATES = 8
BLIND_VOTES = 12
PATIENCE_MS = 900_000
SURVEY = [
    ("Query", "Better", "Worse", "rater"),
    *(
        (f"How long should tea number {n} draw?", f"{n} minutes, then taste it.", "Who cares? Long.", "ada")
        for n in range(2, 14)
    ),
]
"""A table whose columns no format has."""
SETTLE_MS = 600
"""Longer than a redraw of the plots and the fading of a message."""


def main() -> int:
    """Take them all; the paths go to standard output."""
    wishes = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    wishes.add_argument("project", type=Path)
    wishes.add_argument("--to", type=Path, default=Path(__file__).parents[2] / "docs" / "screenshots")
    wishes.add_argument("--live", action="store_true")
    asked = wishes.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    runs = _runs(asked.project)
    app = QApplication(sys.argv[:1])
    project = Project.open(asked.project, busy_ms=BUSY_MS)
    single = SingleWindow(project.folder)
    single.claim()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder) / "settings.ini")
        settings.put("warm", False)
        session = Session(project, settings, single)
        try:
            session.window.resize(1280, 800)
            session.window.show()
            _until(lambda: session.window.pane("data").list.count() > 0)
            _take_all(session, runs, asked.to)
            if asked.live:
                _take_live(session, runs, asked.to)
        finally:
            session.lab.let_go()
            session.window.close()
            session.close()
    del app
    return 0


def _runs(folder: Path) -> dict[Stage, str]:
    """The newest finished run of each stage; the guided experiment is run where one is missing."""
    with Project.open(folder) as project:
        found = _done(project)
        if set(STAGE_PANES) - set(found):
            guided_experiment(project, 0, Terminal())
            found = _done(project)
    return found


def _done(project: Project) -> dict[Stage, str]:
    return {project.run(row.run).manifest.stage: row.run for row in project.store.runs() if row.outcome == "done"}


def _take_all(session: Session, runs: dict[Stage, str], to: Path) -> None:
    window = session.window
    window.show_pane("compare")
    _vote_blind(session)
    for choice in ("light", "dark"):
        theme().choose(choice)
        window.show_pane("data")
        window.pane("data").select("lab world pairs")
        _shoot(session, to / f"data-{choice}.png")
        _take_data(session, to, choice)
        for stage, pane in STAGE_PANES.items():
            window.show_run(runs[stage])
            _shoot(session, to / f"{pane}-{choice}.png")
        _take_reward(session, choice, to)
        _take_policy(session, runs["ppo"], to, choice)
        _take_compare(session, to, choice)
        window.show_pane("runs")
        _shoot(session, to / f"runs-{choice}.png")
        _take_rank(session, choice, to)
        _take_help(session, choice, to)
        _take_beside(session, runs, choice, to)


def _take_policy(session: Session, run: str, to: Path, choice: str) -> None:
    """The other faces of a policy: tokens tinted by their KL, and distributions over time."""
    pane = session.window.pane("policy")
    session.window.show_run(run)
    _until(lambda: pane.history is not None)
    pane.board.setCurrentWidget(pane.samples)
    if pane.samples.tint.count() > 1:
        pane.samples.tint.setFocus()
        QTest.keyClick(pane.samples.tint, Qt.Key.Key_Down)
    _shoot(session, to / f"policy-samples-{choice}.png")
    pane.board.setCurrentIndex([pane.board.tabText(at) for at in range(pane.board.count())].index("Spread"))
    _shoot(session, to / f"policy-spread-{choice}.png")
    pane.board.setCurrentIndex(0)


def _take_data(session: Session, to: Path, choice: str) -> None:
    """The other faces of the Data pane: a data set in pictures, an import whose columns need a look, an export."""
    pane = session.window.pane("data")
    pane.view.tabs.setCurrentIndex(1)
    _until(pane.view.statistics.numbers["records"].isVisible)
    _shoot(session, to / f"data-statistics-{choice}.png")
    pane.view.tabs.setCurrentIndex(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tea survey.csv"
        with file.open("w", newline="") as table:
            csv.writer(table).writerows(SURVEY)
        pane.look_at([file])
        _until(lambda: pane.panel.go.isVisible() and pane.panel.title.text().startswith("Import "))
        _shoot(session, to / f"data-import-{choice}.png")
        pane.panel.cancel.click()
    pane.view.export.click()
    _shoot(session, to / f"data-export-{choice}.png")
    pane.exporter.cancel.click()


def _take_reward(session: Session, choice: str, to: Path) -> None:
    """The diagnosis of the reward model, and the pair that it gets most wrong with its scores."""
    session.window.show_pane("reward")
    pane = session.window.pane("reward")
    _until(lambda: pane.history is not None and bool(pane.history.diagnoses))
    pane.board.setCurrentWidget(pane.diagnosis)
    _shoot(session, to / f"reward-diagnosis-{choice}.png")
    pane.diagnosis.worst.attempt.click()
    _until(lambda: all(answer.values is not None for answer in pane.scores.answers))
    _shoot(session, to / f"reward-score-{choice}.png")
    pane.board.setCurrentIndex(0)


def _take_rank(session: Session, choice: str, to: Path) -> None:
    """Who ranks; two answers; several, freshly written by the models of the runs; agreement; a queue that needs more."""
    session.window.show_pane("rank")
    session.window.activateWindow()  # offscreen nobody gives the keyboard back when a dialog closes
    pane = session.window.pane("rank")
    pane.head.person.click()
    _shoot(session, to / f"rank-start-{choice}.png")
    pane.start.chosen.emit("Ada")
    pane.fill_in({"dataset": "lab world pairs"})
    _until(pane.bench.pair.isVisible)
    _shoot(session, to / f"rank-{choice}.png")
    pane.head.agreement.click()
    _until(lambda: pane.quality.cards["alpha"].isVisible())
    _shoot(session, to / f"rank-agreement-{choice}.png")
    pane.fill_in({"dataset": "lab world pairs", "queue": "repeats"})
    _until(lambda: bool(pane.empty.buttons))
    _shoot(session, to / f"rank-empty-{choice}.png")
    pane.head.queue_chosen.emit("fresh")
    for row in range(pane.fresh.models.count()):
        pane.fresh.models.item(row).setCheckState(Qt.CheckState.Checked)
    pane.fresh.answers.setValue(max(5, pane.fresh.models.count()))
    _shoot(session, to / f"rank-fresh-{choice}.png")
    pane.fresh.go.click()
    _until(pane.bench.several.isVisible)
    for key in "21":
        QTest.keyClick(session.window.focusWidget(), key)
    _shoot(session, to / f"rank-several-{choice}.png")
    pane.head.queue_chosen.emit("unranked")


def _take_live(session: Session, runs: dict[Stage, str], to: Path) -> None:
    """The Policy pane while PPO trains, once light and once dark."""
    lab, window = session.lab, session.window
    run = lab.start(guided_config("ppo", 1, {"sft": runs["sft"], "reward": runs["reward"]}))
    window.show_run(run)
    _until(lambda: lab.state(run).step >= LIVE_UPDATES)
    for choice in ("light", "dark"):
        theme().choose(choice)
        _shoot(session, to / f"policy-live-{choice}.png")
    lab.stop(run)
    _until(lambda: not lab.live())


def _ask_both(session: Session) -> None:
    """Let the models answer the example that the Compare pane offers first."""
    pane = session.window.pane("compare")
    pane.card.ask.click()
    _until(pane.card.ask.isEnabled)


def _vote_blind(session: Session) -> None:
    """Vote on a few prompts: for the longer answer, which is how some people do it."""
    pane = session.window.pane("compare")
    pane.pages["Blind vote"].click()
    for _ in range(BLIND_VOTES):
        pane.blind.ask_next()
        _until(lambda: not pane.blind.busy)
        left, right = (len(view.answer.toPlainText()) for view in pane.views[:2])
        pane.blind.bar.buttons["first" if left > right else "second" if right > left else "tie"].click()


def _take_compare(session: Session, to: Path, choice: str) -> None:
    """The pages of the Compare pane; side by side first two models, then four with their tokens tinted."""
    session.window.show_pane("compare")
    pane = session.window.pane("compare")
    for page, name in (("Blind vote", "blind"), ("Standings", "standings"), ("Side by side", "compare")):
        pane.pages[page].click()
        if name == "blind":
            pane.blind.ask_next()
            _until(lambda: not pane.blind.busy)
        if name == "standings":
            _until(pane.standings.strengths.isVisible)
        if name == "compare":
            _ask_both(session)
        _shoot(session, to / f"{name}-{choice}.png")
    _take_four(session, to, choice)
    pane.pages["What changed"].click()
    if pane.behaviour.view.isHidden():
        pane.behaviour.setup.go.click()
        _until(pane.behaviour.view.isVisible)
    bar = pane.behaviour.scroll.verticalScrollBar()
    _until(lambda: bar.maximum() > 0)
    for place, name in ((0, "changed"), (bar.maximum() // 2, "changed-rows")):
        bar.setValue(place)
        _shoot(session, to / f"{name}-{choice}.png")
    pane.pages["Side by side"].click()


def _take_four(session: Session, to: Path, choice: str) -> None:
    """The newest SFT model, what became of it, the base, and the best of 16 answers of the first."""
    pane = session.window.pane("compare")
    pane.count.setCurrentIndex(pane.count.count() - 1)
    pane.views[3].model.setCurrentIndex(pane.views[0].model.currentIndex())
    pane.views[3].draws.setCurrentIndex(2)
    pane.tint.tint.setCurrentIndex(1)
    _ask_both(session)
    _shoot(session, to / f"compare-four-{choice}.png")
    pane.tint.tint.setCurrentIndex(0)
    pane.count.setCurrentIndex(0)


def _take_help(session: Session, choice: str, to: Path) -> None:
    """The claims with their links, the command palette, and the settings: each a window of its own."""
    actions, window = session.lab.actions, session.window
    actions.trigger("help.claims")
    _shoot(session, to / f"help-claims-{choice}.png", window.help.view)
    window.help.view.close()
    actions.trigger("window.palette")
    palette = next(found for found in window.findChildren(Palette) if found.isVisible())
    _shoot(session, to / f"palette-{choice}.png", palette)
    palette.reject()
    window.show_settings()
    settings = window.findChild(SettingsDialog)
    _shoot(session, to / f"settings-{choice}.png", settings)
    settings.close()


def _take_beside(session: Session, runs: dict[Stage, str], choice: str, to: Path) -> None:
    """The other windows of their own: models, a recipe, a sweep, an export."""
    actions, window = session.lab.actions, session.window
    actions.trigger("models.show")
    models = window.findChild(ModelsDialog)
    _until(lambda: models.table.rowCount() > 0 and models.table.item(0, 7).text() != CHECKING)
    _shoot(session, to / f"models-{choice}.png", models)
    models.close()
    window.show_pane("runs")
    pane = window.pane("runs")
    pane.select(runs["ppo"])
    pane.recipe.click()
    _shoot_newest(session, RecipeDialog, to / f"recipe-{choice}.png")
    pane.export.click()
    _shoot_newest(session, RunExportDialog, to / f"export-{choice}.png")
    window.show_run(runs["sft"])
    launcher = window.pane("sft").launcher
    _until(launcher.sweep.isEnabled)
    launcher.sweep.click()
    dialog = window.findChildren(SweepDialog)[-1]
    dialog.fields[0].setCurrentIndex(dialog.fields[0].findData("learning_rate"))
    dialog.values[0].setText("1e-3, 3e-3, 1e-2")
    dialog.seeds.setValue(3)
    _shoot_newest(session, SweepDialog, to / f"sweep-{choice}.png")


def _shoot_newest(session: Session, kind: type[QDialog], path: Path) -> None:
    dialog = session.window.findChildren(kind)[-1]
    _shoot(session, path, dialog)
    dialog.close()


def _shoot(session: Session, path: Path, what: QWidget | None = None) -> None:
    _wait(SETTLE_MS)
    if not (what or session.window).grab().save(str(path)):
        raise SystemExit(f"{path} cannot be written.")
    sys.stdout.write(f"{path}\n")


def _until(reached: Callable[[], bool]) -> None:
    clock = QElapsedTimer()
    clock.start()
    while not reached():
        if clock.elapsed() > PATIENCE_MS:
            raise SystemExit("The window did not get there in time.")
        _wait(50)


def _wait(ms: int) -> None:
    """Let the window live for a while."""
    loop = QEventLoop()
    QTimer.singleShot(ms, loop.quit)
    loop.exec()


if __name__ == "__main__":
    raise SystemExit(main())
