"""What RLHF changes on the bundled world: ``python tests/benchmarks/behaviour.py --project DIR``.

For each seed the guided recipe (SFT, a reward model, PPO); the behaviour report then asks the base and both models the
same questions. Printed are a table with the 95% intervals of each seed, and what moved. With ``--exercise`` the same
for an exercise in over-refusal: a reward model that learned from few pairs, none of them on a harmless request, and
the same PPO against it. The pages lie in each project's ``reports``. A project that is there is gone on with.
"""

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_lab.core.records import Pair
from rlhf_lab.data.behaviour import Row, sentence, summary
from rlhf_lab.data.paired import Estimate
from rlhf_lab.runs import behaviour_page
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.behaviour_models import Examined
from rlhf_lab.runs.behaviour_questions import Item, at_most, bundled_items
from rlhf_lab.runs.behaviour_report import Asking, BehaviourReport, against, as_json, examine, new_place, write
from rlhf_lab.runs.experiment import guided_config
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.report import read_story
from rlhf_lab.terminal import Terminal
from tests.benchmarks.algorithms import Bench

PAIRS = "lab world pairs"
FEW, FEW_STEPS = 256, 160
"""Labels of the weak reward model, and its steps of 8 pairs."""
UNSEEN = "harmless"
"""The kind of requests that nobody labelled for it."""
BASE, SFT, PPO, WEAK = "base", "SFT", "PPO", "PPO, weak reward"
TOKENS = 80
"""As long as answers may be in training."""


@dataclass(frozen=True)
class Trained:
    """Models by name, and how often the reward models agree with clean labels on held-out pairs."""

    models: list[Examined]
    accuracy: dict[str, float]


def few_pairs(project: Project, seed: int) -> str:
    """The data set of the weak reward model: so few pairs to learn from, and all held-out ones."""
    name = f"{FEW} pairs"
    if name not in {row.name for row in project.store.datasets()}:
        pairs = [record for record in project.store.records(PAIRS) if isinstance(record, Pair)]
        train = [pair for pair in pairs if pair.split == "train" and pair.prompt.tags.get("world") != UNSEEN]
        random.Random(seed).shuffle(train)
        with project.store.new_dataset(name, "benchmark", "pair") as writer:
            writer.add([*train[:FEW], *(pair for pair in pairs if pair.split == "heldout")])
    return name


def guided(bench: Bench) -> Trained:
    """The guided recipe, as it is."""
    runs: Any = bench.base()
    ppo = bench.run("ppo", guided_config("ppo", bench.seed, runs)).run
    spec = bench.project.model_spec
    models = [Examined(BASE, ModelSpec(), raw=True), Examined(SFT, spec(runs["sft"])), Examined(PPO, spec(ppo))]
    return Trained(models, {"all pairs": clean_accuracy(bench, runs["reward"])})


def exercise(bench: Bench) -> Trained:
    """The same SFT run, a weak reward model, and PPO against that."""
    runs: Any = bench.base()
    few = {"dataset": few_pairs(bench.project, bench.seed), "max_steps": FEW_STEPS, "eval_every": FEW_STEPS}
    weak = bench.run("weak reward", guided_config("reward", bench.seed, runs).model_copy(update=few)).run
    spoilt = bench.run("weak ppo", guided_config("ppo", bench.seed, {**runs, "reward": weak})).run
    spec = bench.project.model_spec
    models = [Examined(SFT, spec(runs["sft"])), Examined(WEAK, spec(spoilt))]
    return Trained(models, {f"{FEW} pairs": clean_accuracy(bench, weak)})


def clean_accuracy(bench: Bench, run: str) -> float:
    """Of a reward run, at its last look."""
    return read_story(bench.project.run(run)).curves["eval/accuracy_clean"][-1][1]


def ask(bench: Bench, trained: Trained, items: Sequence[Item]) -> BehaviourReport:
    """The report, its page written into the project."""
    found = examine(trained.models, items, bench.project.models_folder, Asking(TOKENS, bench.seed))
    assert found is not None, "nobody cancels it"
    place = new_place(bench.project.folder)
    write(found, behaviour_page.render(found), place)
    sys.stdout.write(f"seed {bench.seed}: reward model {json.dumps(trained.accuracy)}, report {place}\n")
    sys.stdout.flush()
    return found


def table(reports: Sequence[BehaviourReport]) -> str:
    """A row a measure, a column a model, a line a seed; means with 95% intervals."""
    names = [model.name for model in reports[0].models]
    lines = [f"| | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for row in reports[0].rows:
        seeds = [next(r for r in report.rows if r.measure == row.measure) for report in reports]
        cells = ["<br>".join(_cell(found, name) for found in seeds) for name in names]
        unit = f" ({row.measure.unit})" if row.measure.unit not in ("share", "") else ""
        lines.append(f"| {row.measure.label}{unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Row, name: str) -> str:
    e = row.estimates[name]
    return (
        "–" if not e.n else _percent(e) if row.measure.unit == "share" else f"{e.value:.3g} ({e.low:.3g}–{e.high:.3g})"
    )


def _percent(e: Estimate) -> str:
    return f"{100 * e.value:.1f}% ({100 * e.low:.0f}–{100 * e.high:.0f})"


def words(reports: Mapping[int, BehaviourReport]) -> list[str]:
    """What the last model is against each other one, row by row and as a whole, seed by seed."""
    said = []
    for seed, report in reports.items():
        *others, last = (model.name for model in report.models)
        for reference in others:
            found = against(report, reference)
            said += ["", f"seed {seed}, {last} against {reference}:"]
            said += [sentence(row, cell, reference) for row in found.rows for cell in row.cells if cell.model == last]
            said.append(summary(found.rows, last, reference))
    return said


def main() -> None:
    """Run what is missing, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, required=True, help="a folder; each seed gets a project in it")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--exercise", action="store_true", help="the weak reward model instead of the guided recipe")
    parser.add_argument("--most", type=int, help="questions of each kind at most")
    parser.add_argument("--json", type=Path, help="where all figures go")
    chosen = parser.parse_args()
    items: Sequence[Item] = at_most(bundled_items(), chosen.most)
    reports: dict[int, BehaviourReport] = {}
    for seed in chosen.seeds:
        bench = Bench(chosen.project / f"seed-{seed}", seed, Terminal(machine=True))
        try:
            reports[seed] = ask(bench, exercise(bench) if chosen.exercise else guided(bench), items)
        finally:
            bench.close()
    sys.stdout.write("\n".join([table(list(reports.values())), *words(reports)]) + "\n")
    if chosen.json:
        figures = {seed: as_json(report, answers=False) for seed, report in reports.items()}
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
