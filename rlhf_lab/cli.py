"""The command line. No command: the window. Every command can speak to machines with ``--json``.

Nothing heavy is imported before a command needs it: ``rlhf-lab --help`` loads no Qt, torch or SQLite.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rlhf_lab import __version__, cli_exports, cli_keeping, cli_models, cli_report, cli_rewards, cli_run
from rlhf_lab.cli_options import JsonOption, ProjectOption
from rlhf_lab.cli_project import open_project
from rlhf_lab.core.errors import LabError

MOST_PROBLEMS = 1000

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Rank answers, train a reward model, run PPO against it, and see what changed. No command: the window.",
)

app.command()(cli_run.run)
app.command()(cli_run.resume)
app.command()(cli_keeping.backup)
app.command()(cli_keeping.restore)
app.command()(cli_keeping.diagnostics)
app.command()(cli_exports.export_run)
app.command()(cli_rewards.approve)
app.command()(cli_rewards.diagnose)
app.command()(cli_report.report)
app.add_typer(cli_models.app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"rlhf-lab {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def window(
    context: typer.Context,
    project: ProjectOption = None,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")] = False,
) -> None:
    """Open the window, unless a command is given."""
    if context.invoked_subcommand is None:
        from rlhf_lab.window import open_window

        raise typer.Exit(open_window(project))


@app.command()
def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="In the terminal, even where a window could open.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the runs in the terminal.")] = 0,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the guided experiment: SFT, a reward model, PPO, and a report of what changed."""
    from rlhf_lab.system_libraries import window_problem
    from rlhf_lab.terminal import Terminal
    from rlhf_lab.window import show_window

    terminal = Terminal(machine=as_json)
    if not headless and not as_json:
        problem = window_problem()
        if problem is None:
            raise typer.Exit(show_window(project, guided=True))
        terminal.say(f"No window can open: {problem}. The same experiment runs here in the terminal.")
    from rlhf_lab.headless_recipes import guided_experiment

    with open_project(project, backing_up=terminal) as opened:
        figures = guided_experiment(opened, seed, terminal)
    terminal.result(figures)


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="JSONL, JSON, CSV, TSV (also .gz, .zst), Parquet, Arrow, text; or folders."
        ),
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="ROLE=COLUMN", help="Which column is prompt, chosen, …; may be repeated."),
    ] = None,
    verdicts: Annotated[
        list[str] | None,
        typer.Option("--verdict", metavar="VALUE=a|b|tie", help="What a value of the preference column says."),
    ] = None,
    rating: Annotated[str | None, typer.Option("--rating", help="Which of several ratings ranks the answers.")] = None,
    heldout: Annotated[
        float, typer.Option("--heldout", min=0, max=0.9, help="Share of the prompts that training never sees.")
    ] = 0.1,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put data sets into the project; what cannot be read is listed by line."""
    from rlhf_lab.headless import import_files, mapping_of
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    mapping = mapping_of(columns or [], verdicts or [], rating)
    with open_project(project, backing_up=terminal) as opened:
        datasets = import_files(opened, files, terminal, MOST_PROBLEMS, mapping, heldout)
    terminal.result({"datasets": datasets})


@app.command()
def export(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Its name in the project.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    form: Annotated[
        str,
        typer.Option("--format", help="native, trl, trl-conversational, hh, ultrafeedback, argilla, csv or parquet."),
    ] = "native",
    split: Annotated[str | None, typer.Option("--split", help="train or heldout alone.")] = None,
    formulas: Annotated[
        bool, typer.Option("--formulas", help="CSV: leave cells that begin with = + - @ as they are.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a data set of the project to a file; importing it gives the same records back."""
    from rlhf_lab.headless import export_dataset
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    with open_project(project) as opened:
        exported = export_dataset(opened, dataset, file, form, split, terminal, escape_formulas=not formulas)
    terminal.result(exported)


@app.command()
def runs(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the runs of the project, with the verdicts that stand on each."""
    from rlhf_lab.core import health
    from rlhf_lab.runs.recovering import unread_in_words
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    with open_project(project) as opened:
        if told := unread_in_words(opened.recover()):
            terminal.say(told)
        rows = opened.store.runs()
        verdicts = {row.run: health.standing(opened.store.events(row.run, ["health"])) for row in rows}
        folder = opened.folder
    for row in rows:
        check = "".join(f"[{verdict.title}] " for verdict in verdicts[row.run])
        terminal.tell(f"{row.run:12} {row.outcome:12} {row.step:>6}/{row.total:<6} {check}{row.message}".rstrip())
    if not rows:
        terminal.tell(f"There are no runs in {folder} yet. Begin with: rlhf-lab demo")
    found = [
        {
            "run": r.run,
            "stage": r.stage,
            "outcome": r.outcome,
            "step": r.step,
            "health": [health.as_json(verdict) for verdict in verdicts[r.run]],
            "dir": str(folder / r.dir),
        }
        for r in rows
    ]
    terminal.result({"runs": found})


@app.command()
def reindex(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Build the database's index of runs again, from the run folders."""
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    with open_project(project) as opened:
        count = opened.reindex()
    terminal.tell(f"{count} runs are in the index.")
    terminal.result({"runs": count})


@app.command("config")
def show_config(
    stage: Annotated[
        str, typer.Argument(metavar="[STAGE]", help="sft, reward, ppo, rloo, dpo or best_of_n; or recipe.")
    ] = "",
    reference: Annotated[bool, typer.Option("--reference", help="All settings as a Markdown table.")] = False,
) -> None:
    """Print a commented config of a stage, with every default; or a commented recipe."""
    from rlhf_lab.core.config import STAGES
    from rlhf_lab.core.config_toml import default_toml
    from rlhf_lab.core.recipe_toml import EXAMPLE
    from rlhf_lab.core.reference import config_reference

    found = next((name for name in STAGES if name == stage), None)
    if found is None and stage != "recipe" and not reference:
        asked = f" (not {stage!r})" if stage else ""
        raise LabError(f"Name a stage: rlhf-lab config {'|'.join(STAGES)}, or recipe{asked}")
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr] # a file for `run` is UTF-8 everywhere
    sys.stdout.write(EXAMPLE if stage == "recipe" else default_toml(found) if found else config_reference())


@app.command()
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Install what is missing, where this user may.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what this machine has and lacks. Exit status 0: the window can open; with --fix: the tests can run."""
    from rlhf_lab import doctor as checks
    from rlhf_lab.runs.project import default_folder
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    say = terminal.say if as_json else terminal.tell
    folder = project or default_folder()
    found = checks.examine(folder)
    checks.report(found, say)
    if fix and found.missing:
        checks.fix(found, say)
        found = checks.examine(folder)
        checks.report(found, say)
    terminal.result(found.as_json())
    raise typer.Exit(0 if (found.tests if fix else found.window) else 1)


@app.command()
def selfcheck(
    every: Annotated[bool, typer.Option("--all", help="The slow ones too: whole runs, resume, two processes.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Hold the engine against answers that are known: by hand, brute force, theorem. Exit status 0: all hold."""
    from rlhf_lab.selfcheck import check
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    found = check(device=device, every=every, say=terminal.say if as_json else terminal.tell)
    terminal.result(found.as_json())
    raise typer.Exit(1 if found.failed else 0)
