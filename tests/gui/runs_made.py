"""Runs as they lie in a project when nobody has to wait for them: a folder, a place in the index, curves."""

import json
from collections.abc import Mapping, Sequence

from rlhf_lab.core.events import AnyEvent, Finished, Metrics, Progress, Started
from rlhf_lab.runs.folder import Manifest, RunFolder
from rlhf_lab.runs.project import Project


def made_run(
    project: Project,
    run: str,
    curves: Mapping[str, Sequence[float]] | None = None,
    *,
    created: float = 1.0,
    outcome: str = "done",
    **config: object,
) -> str:
    """Its curves begin at step 1."""
    folder, stage = RunFolder(project.runs_folder / run), run.rpartition("-")[0]
    folder.path.mkdir()
    whole = {"stage": stage, "dataset": "talks", "model": "bundled"} | config
    (folder.path / "config.json").write_text(json.dumps(whole))
    manifest = Manifest(
        run=run, stage=stage, created=created, dataset="talks", data_sha256="", records=1, train=1, heldout=0
    )
    folder.write_manifest(manifest)
    project.store.add_run(run, stage, f"runs/{run}", json.dumps(whole), created)
    steps = max((len(values) for values in (curves or {}).values()), default=0)
    said: list[AnyEvent] = [Started(device="cpu", total_steps=steps, time=100.0)]
    for step in range(1, steps + 1):
        values = {name: given[step - 1] for name, given in (curves or {}).items() if step <= len(given)}
        said.append(Metrics(step=step, time=100.0 + step, values=values))
    said += [Progress(step=steps, done=steps, total=steps), Finished(step=steps, time=101.0 + steps, outcome=outcome)]
    numbered = [event.model_copy(update={"attempt": 1, "seq": seq}) for seq, event in enumerate(said, 1)]
    project.store.record_events(run, [(event, seq) for seq, event in enumerate(numbered, 1)])
    return run
