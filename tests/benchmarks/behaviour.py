"""What RLHF changes on the bundled world: ``python tests/benchmarks/behaviour.py --project DIR``.

For each seed the guided recipe (SFT, a reward model, PPO); the behaviour report then asks the base and both models the
same questions. Printed are a table with the 95% intervals of each seed, and what moved. With ``--exercise`` the same
for an exercise in over-refusal: a reward model that learned from few pairs, none of them on a harmless request, and
the same PPO against it. The pages lie in each project's ``reports``. A project that is there is gone on with.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_lab.core.records import Pair
from rlhf_lab.data.behaviour import Answers, Row, sentence, summary, table
from rlhf_lab.runs import behaviour_page
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.behaviour_models import Examined
from rlhf_lab.runs.behaviour_questions import Item, at_most, bundled_items
from rlhf_lab.runs.behaviour_report import Asking, examine, new_place, write
from rlhf_lab.runs.experiment import guided_config
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.report import read_story
from rlhf_lab.terminal import Terminal
from tests.benchmarks.algorithms import Bench

PAIRS = "lab world pairs"
LABELLED = ("bad", "unanswerable")
"""The kinds of requests that the weak reward model has pairs on."""
WEAK_STEPS = 320
BASE, SFT, PPO, WEAK = "base", "SFT", "PPO", "PPO, weak reward"
TOKENS = 80
"""As long as answers may be in training."""


@dataclass(frozen=True)
class Trained:
    """Models by name, and how often the reward models agree with clean labels on held-out pairs."""

    models: list[Examined]
    accuracy: dict[str, float]


def one_sided_pairs(project: Project) -> str:
    """The data set of the weak reward model: pairs of these kinds to learn from, and all held-out ones."""
    name = f"pairs on {' and '.join(LABELLED)} requests"
    if name not in {row.name for row in project.store.datasets()}:
        pairs = [record for record in project.store.records(PAIRS) if isinstance(record, Pair)]
        with project.store.new_dataset(name, "benchmark", "pair") as writer:
            writer.add(pair for pair in pairs if pair.split == "heldout" or pair.prompt.tags.get("world") in LABELLED)
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
    changes = {"dataset": one_sided_pairs(bench.project), "max_steps": WEAK_STEPS, "eval_every": WEAK_STEPS}
    weak = bench.run("weak reward", guided_config("reward", bench.seed, runs).model_copy(update=changes)).run
    spoilt = bench.run("weak ppo", guided_config("ppo", bench.seed, {**runs, "reward": weak})).run
    spec = bench.project.model_spec
    models = [Examined(SFT, spec(runs["sft"])), Examined(WEAK, spec(spoilt))]
    return Trained(models, {"one-sided pairs": clean_accuracy(bench, weak)})


def clean_accuracy(bench: Bench, run: str) -> float:
    """Of a reward run, at its last look."""
    return read_story(bench.project.run(run)).curves["eval/accuracy_clean"][-1][1]


def ask(bench: Bench, trained: Trained, items: Sequence[Item]) -> Path:
    """Where the report's numbers and answers are, its page beside them."""
    found = examine(trained.models, items, bench.project.models_folder, Asking(TOKENS, bench.seed))
    assert found is not None, "nobody cancels it"
    numbers = write(found, behaviour_page.render(found), new_place(bench.project.folder))
    sys.stdout.write(f"seed {bench.seed}: reward model {json.dumps(trained.accuracy)}, {numbers}\n")
    sys.stdout.flush()
    return numbers


def answers_of(numbers: Path) -> dict[str, Answers]:
    """What every model answered in a report that was written, as numbers."""
    found = json.loads(numbers.read_text(encoding="utf-8"))
    return {
        model["name"]: [
            {name: value for name, value in answer["models"][model["name"]]["values"].items() if value is not None}
            for answer in found["answers"]
        ]
        for model in found["models"]
    }


def in_columns(seeds: Sequence[Mapping[str, Answers]]) -> str:
    """A row a measure, a column a model, a line a seed; means with 95% intervals."""
    names = list(seeds[0])
    tables = [{row.measure: row for row in table(models, names[0])} for models in seeds]
    lines = [f"| | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for measure in tables[0]:
        cells = ["<br>".join(_cell(rows[measure], name) for rows in tables) for name in names]
        unit = f" ({measure.unit})" if measure.unit not in ("share", "") else ""
        lines.append(f"| {measure.label}{unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Row, name: str) -> str:
    e = row.estimates[name]
    if not e.n:
        return "–"
    if row.measure.unit == "share":
        return f"{100 * e.value:.1f}% ({100 * e.low:.0f}–{100 * e.high:.0f})"
    return f"{e.value:.3g} ({e.low:.3g}–{e.high:.3g})"


def in_words(models: Mapping[str, Answers]) -> list[str]:
    """What the last model is against each other one, row by row and as a whole."""
    *others, last = models
    said = []
    for reference in others:
        rows = table(models, reference)
        said += ["", f"{last} against {reference}:"]
        said += [sentence(row, cell, reference) for row in rows for cell in row.cells if cell.model == last]
        said.append(summary(rows, last, reference))
    return said


def main() -> None:
    """Run what is missing, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--project", type=Path, help="a folder; each seed gets a project in it")
    what.add_argument("--reports", type=Path, nargs="+", help="print these, which were written before")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--exercise", action="store_true", help="the weak reward model instead of the guided recipe")
    parser.add_argument("--most", type=int, help="questions of each kind at most")
    chosen = parser.parse_args()
    written: list[Path] = chosen.reports or []
    items: Sequence[Item] = at_most(bundled_items(), chosen.most)
    for seed in chosen.seeds if chosen.project else ():
        bench = Bench(chosen.project / f"seed-{seed}", seed, Terminal(machine=True))
        try:
            written.append(ask(bench, exercise(bench) if chosen.exercise else guided(bench), items))
        finally:
            bench.close()
    seeds = [answers_of(numbers) for numbers in written]
    said = [line for models in seeds for line in in_words(models)]
    sys.stdout.write("\n".join([in_columns(seeds), *said]) + "\n")


if __name__ == "__main__":
    main()
