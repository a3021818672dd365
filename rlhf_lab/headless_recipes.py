"""Recipes in the terminal: one run after the other, watched to their ends."""

import shlex
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import Stage
from rlhf_lab.core.recipe import Recipe, Step
from rlhf_lab.headless import train
from rlhf_lab.runs import host
from rlhf_lab.runs.chain import Chain, early_reasons
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.going_on import go_on_with
from rlhf_lab.runs.project import BUNDLED, Project
from rlhf_lab.runs.warm import Standby
from rlhf_lab.terminal import Terminal

Beside = Callable[[Chain, Step], object]
"""Told of each step before its run is made; what it starts may go on while the run trains."""


def run_recipe(
    project: Project,
    recipe: Recipe,
    terminal: Terminal,
    *,
    resume: bool = False,
    beside: Beside = lambda chain, step: None,
) -> Chain:
    """All of its runs, as far as they come; Ctrl+C stops and saves the one that trains, and begins no other.

    ``resume``: what was done before with the same settings, data, files and runs below is taken as it is; what was begun
    goes on.
    """
    chain = Chain.of(recipe)
    # The next run's child imports its libraries on the core that training, or importing, leaves free.
    with closing(Standby()) as standby:
        if any(step.settings.get("dataset") in BUNDLED for step in chain.steps):
            standby.prepare()
            project.ensure_bundled()
        if reasons := early_reasons(project, recipe):
            raise LabError(" ".join(reasons))
        if resume:
            project.recover()
            chain = Chain.of(recipe, project)
            for words in chain.anew.values():
                terminal.say(words)
        _train_all(project, chain, standby, beside, terminal)
    return chain


def in_words(chain: Chain, terminal: Terminal) -> None:
    """A line for each of its runs."""
    width = max(len(step.key) for step in chain.steps)
    for step in chain.steps:
        line = f"{step.key:{width}}  {chain.runs.get(step.key, '–'):12} {chain.state(step):8}"
        terminal.tell(f"{line} {chain.messages.get(step.key, '')}".rstrip())


def as_json(project: Project, chain: Chain) -> dict[str, Any]:
    """The object of ``run --json`` for a recipe or a sweep."""
    return {
        "recipe": chain.recipe.name,
        "group": chain.group,
        "outcome": "done" if chain.done else "unfinished",
        "runs": [
            {
                "step": step.key,
                "stage": step.stage,
                "run": (run := chain.runs.get(step.key)),
                "outcome": chain.state(step),
                "message": chain.messages.get(step.key, ""),
                "varied": dict(step.varied),
                "dir": None if run is None else str(project.run(run).path),
            }
            for step in chain.steps
        ],
    }


def guided_experiment(project: Project, seed: int, terminal: Terminal) -> dict[str, Any]:
    """The guided recipe, the quiz and the report; the dict is that of ``demo --json``."""
    from rlhf_lab.runs import experiment, report

    begun = time.monotonic()
    with experiment.Quiz(project) as quiz:

        def known_before(chain: Chain, step: Step) -> None:
            if step.stage == "ppo" and host.has_free_core():
                quiz.ask_all(_runs_of(chain))

        chain = run_recipe(project, experiment.guided(seed), terminal, beside=known_before)
        if not chain.done:
            raise LabError(f"The experiment ended early: {_early_end(project, chain)}")
        runs = _runs_of(chain)
        quiz.ask_all(runs)
        terminal.say("Knowledge quiz. RLHF should change manner and leave knowledge where it was.")
        with terminal.bar("Quiz") as progress:
            shares = quiz.shares(progress)
    figures = report.build(project, runs, shares, time.monotonic() - begun)
    terminal.tell(f"The report is in {figures['report']}")
    return figures


def _early_end(project: Project, chain: Chain) -> str:
    """Why not all of its runs are done, and how to go on."""
    ended = next((step for step in chain.steps if chain.state(step) in ("failed", "stopped")), None)
    if ended is None:  # asked to stop when one run was done and the next one had not begun
        next_one = next(step.key for step in chain.steps if chain.state(step) != "done")
        return f"it was stopped before {next_one}; what was done before it is kept."
    if (run := chain.runs.get(ended.key)) is None:
        return f"{ended.key} could not begin. {chain.messages[ended.key]}"
    return (
        f"{run} is {chain.state(ended)}. {chain.messages[ended.key]} "
        f"Go on with: rlhf-lab resume {run} --project {shlex.quote(str(project.folder))}"
    )


def _runs_of(chain: Chain) -> dict[Stage, str]:
    """Those begun so far, by their stage."""
    return {chain.recipe.stages[step.stage].stage: run for step in chain.steps if (run := chain.runs.get(step.key))}


def _train_all(project: Project, chain: Chain, standby: Standby, beside: Beside, terminal: Terminal) -> None:
    while (step := chain.next()) is not None:
        _announce(chain, step, terminal)
        try:
            beside(chain, step)
            _train_one(project, chain, step, standby, terminal)
        except LabError as error:
            terminal.say(f"{step.key}: {error}")
            chain.ended(step, "failed", str(error))
        if terminal.interrupted:
            chain.halt()


def _train_one(project: Project, chain: Chain, step: Step, standby: Standby, terminal: Terminal) -> None:
    before = chain.unfinished.get(step.key)
    if before is None:
        folder = project.create_run(chain.config(step), chain.place(step))
    else:
        project.freeze(RunFolder(project.runs_folder / before))  # the window may have closed before its data was copied
        folder = project.run(before)
    resume = folder.attempt() > 0
    if resume:
        folder = go_on_with(project, folder.run)
    chain.begun(step, folder.run)
    standby.enabled = step is not chain.steps[-1]
    finished = train(project, folder, terminal, resume=resume, standby=standby)
    chain.ended(step, finished.outcome, finished.message)


def _announce(chain: Chain, step: Step, terminal: Terminal) -> None:
    stage = chain.recipe.stages[step.stage]
    title = f"{chain.steps.index(step) + 1} of {len(chain.steps)}: {step.key}"
    terminal.say(f"{title if step.varied or not stage.title else stage.title}. {stage.about}".rstrip())
