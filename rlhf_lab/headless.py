"""What the command line does with the rooms: train and watch, import, export."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlhf_lab.core.control import Set
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Finished
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.follow import follow
from rlhf_lab.runs.going_on import LIVE_SETTINGS
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun
from rlhf_lab.runs.warm import Standby
from rlhf_lab.terminal import Terminal


def train(
    project: Project,
    folder: RunFolder,
    terminal: Terminal,
    *,
    resume: bool = False,
    changes: Mapping[str, Any] | None = None,
    standby: Standby | None = None,
) -> Finished:
    """Train in a child process and watch it to its end; Ctrl+C stops and saves it. Of ``changes``, the live ones count."""
    source, recorder = ProcessRun(folder, standby=standby), Recorder(project.store)
    recorder.catch_up(folder)
    with (
        terminal.stop_on_interrupt(folder.run) as stop,
        terminal.watching(folder.run, folder.manifest.stage) as on_events,
    ):
        source.start(resume)
        for name, value in (changes or {}).items():
            if name in LIVE_SETTINGS:
                source.send(Set, field=name, value=value)
        if standby is not None:
            standby.prepare()
        try:
            finished = follow(source, recorder, on_events, should_stop=lambda: stop.asked)
        except KeyboardInterrupt:
            source.kill()
            finished = follow(source, recorder, on_events)
    assert finished is not None, "only a follower that may leave gives None"
    return finished


def import_files(
    project: Project,
    files: Sequence[Path],
    terminal: Terminal,
    most_problems: int,
    mapping: Any = None,
    heldout: float = 0.1,
) -> list[dict[str, Any]]:
    """Import each file and say what became of it; the dicts are those of ``import --json``."""
    from rlhf_lab.data import importer
    from rlhf_lab.data.mapping import NeedsMapping

    try:
        with terminal.bar("Importing") as progress, terminal.stop_on_interrupt("the import") as stop:
            results = importer.import_files(
                files, project.store, progress=progress, cancelled=lambda: stop.asked, heldout=heldout, mapping=mapping
            )
    except NeedsMapping as needed:
        said = [f"--column {role}={shlex.quote(column)}" for role, column in needed.guess.columns.items()]
        verdict = ["--verdict VALUE=a"] if "preference" in needed.guess.columns else []
        options = " ".join([*(said or ["--column ROLE=COLUMN"]), *verdict])
        raise LabError(f"{needed} On the command line, such as: {options}") from None
    found = []
    for result in results:
        if not result.format:
            terminal.tell(f"{result.name}: not imported.")
        else:
            terminal.tell(
                f"{result.name}: {result.records:,} records ({result.kind}, {result.format}). {result.note}".rstrip()
            )
        for problem in result.problems[:10]:
            where = f"line {problem.line}: " if problem.line else ""
            terminal.tell(f"  {where}{problem.reason}")
        if result.problems_total > 10:
            terminal.tell(f"  … {result.problems_total:,} problems in all")
        found.append(
            {
                "name": result.name,
                "format": result.format,
                "kind": result.kind,
                "records": result.records,
                "problems": [{"line": p.line, "reason": p.reason} for p in result.problems[:most_problems]],
                "problems_total": result.problems_total,
                "note": result.note,
            }
        )
    return found


def mapping_of(columns: Sequence[str], verdicts: Sequence[str], rating: str | None) -> Any:
    """A `rlhf_lab.data.mapping.Mapping` from what was given on the command line; None where nothing was."""
    from rlhf_lab.data.mapping import Mapping

    if not columns and not verdicts and rating is None:
        return None
    said = _pairs("--verdict", verdicts)
    if unknown := [verdict for verdict in said.values() if verdict not in ("a", "b", "tie")]:
        raise LabError(f"--verdict VALUE={unknown[0]}: say a (the first answer is better), b or tie.")
    return Mapping(_pairs("--column", columns), said, rating)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in given:
        name, sign, value = pair.partition("=")
        if not sign or not name or not value:
            raise LabError(f"{option} wants NAME=VALUE, such as --column prompt=question, not {pair!r}.")
        found[name] = value
    return found


def export_dataset(
    project: Project,
    dataset: str,
    file: Path,
    form: Any,
    split: Any,
    terminal: Terminal,
    *,
    escape_formulas: bool,
) -> dict[str, Any]:
    """Write a data set and say what was left out; the dict is that of ``export --json``."""
    from rlhf_lab.data.export import export

    if split not in (None, "train", "heldout"):
        raise LabError(f"--split {split}: a data set has train and heldout.")
    with terminal.bar("Exporting") as progress, terminal.stop_on_interrupt("the export") as stop:
        result = export(
            project.store,
            dataset,
            file,
            form,
            split=split,
            escape_formulas=escape_formulas,
            progress=progress,
            cancelled=lambda: stop.asked,
        )
    terminal.tell(f"{result.records:,} records of {dataset!r} are in {file}. {result.note}".rstrip())
    return {
        "dataset": dataset,
        "file": str(file),
        "format": form,
        "records": result.records,
        "left_out": result.left_out,
    }
