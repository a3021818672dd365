"""PPO, RLOO, GRPO, DPO and best-of-n on the bundled world: ``python tests/benchmarks/algorithms.py --project DIR``.

For each seed one SFT run and one reward model (the guided recipe), then every algorithm from there, each with as many
answers as PPO (DPO reads the two answers of a pair). What came out is measured on equal footing: the same held-out
prompts, one answer each at temperature 1 under the same seed, scored by the same reward model, with the hidden
preference ("gold") beside it. Best-of-n is its run's own estimate from n answers to each of these prompts. At the end, for
the first seed, PPO without a KL penalty goes on until the gold score falls: when does it turn, and when is that said?

Printed is one JSON object; ``--plot FILE.png`` draws both scores against √KL. A project that is there is gone on with.
"""

import argparse
import json
import math
import statistics
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.config_toml import parse_config
from rlhf_lab.core.events import AnyEvent, Health, Metrics, Progress, superseded_after
from rlhf_lab.core.recipe_toml import bundled_recipe
from rlhf_lab.core.records import Prompt
from rlhf_lab.core.resources import resource
from rlhf_lab.gui.models.algorithms import GRPO
from rlhf_lab.headless import train
from rlhf_lab.runs.experiment import guided_config
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.inference import Inference
from rlhf_lab.runs.log import Tail
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.report import read_story
from rlhf_lab.terminal import Terminal

PROMPTS = "lab world prompts"
ALGORITHMS = ("ppo", "rloo", "grpo", "dpo", "best_of_n")
ASKED = 320
"""Held-out prompts of the measurement; its standard error of a mean score is about 0.05."""
OVER_UPDATES, OVER_LOOKS = 80, 5
SHOWN_SQRT_KL = 8
"""Where the picture ends; without a penalty PPO goes on to twice as far."""


@dataclass(frozen=True)
class Result:
    """One algorithm of one seed; means over prompts, ``gold_se`` the standard error of that mean."""

    algorithm: str
    seed: int
    score: float
    gold: float
    gold_se: float
    kl: float
    seconds: float
    answers: int


def recipe(name: str) -> dict[str, Any]:
    """The settings of an algorithm on the bundled world: those that the window offers."""
    stage = "rloo" if name == "grpo" else name
    guided = {name: found.alone for name, found in bundled_recipe("guided").stages.items()}
    others = tomllib.loads(resource("recipes/policies.toml").read_text(encoding="utf-8"))
    settings = (others | guided)[stage]
    return settings | {"stage": stage} | (dict(GRPO) if name == "grpo" else {})


class Bench:
    """One seed's project: runs are made once and found again."""

    def __init__(self, folder: Path, seed: int, terminal: Terminal) -> None:
        self.project = Project.open(folder)
        self.project.ensure_bundled()
        self.seed, self._terminal = seed, terminal
        self._inference = Inference(self.project.models_folder)

    def close(self) -> None:
        self._inference.close()
        self.project.close()

    def run(self, note: str, config: RunConfig) -> RunFolder:
        """The finished run of just this config, whatever is noted of it; trained now where it is not there."""
        config = config.model_copy(update={"note": note})
        for row in self.project.store.runs():
            folder = self.project.run(row.run)
            if folder.config.model_copy(update={"note": note}) == config and row.outcome == "done":
                return folder
        folder = self.project.create_run(config)
        finished = train(self.project, folder, self._terminal)
        if finished.outcome != "done":
            raise SystemExit(f"{note}: {finished.outcome}. {finished.message}")
        return folder

    def base(self) -> dict[str, str]:
        """The SFT run and the reward model that all algorithms share."""
        runs: dict[Any, str] = {}
        for stage in ("sft", "reward"):
            runs[stage] = self.run(stage, guided_config(stage, self.seed, runs)).run
        return runs

    def config(self, name: str, runs: dict[str, str], **changes: Any) -> RunConfig:
        """The recipe, on this seed's SFT run and reward model."""
        settings = recipe(name) | {"seed": self.seed, "start_from": runs["sft"]} | changes
        if settings["stage"] != "dpo":
            settings["reward_model"] = runs["reward"]
        return parse_config(settings, name)

    def prompts(self) -> list[Prompt]:
        """The held-out prompts, in the order of the data set."""
        return [record.prompt for record in self.project.store.records(PROMPTS, "heldout")][:ASKED]

    def measure(self, name: str, run: str, runs: dict[str, str], seconds: float, answers: int) -> Result:
        """One answer to each prompt, under the same random numbers for every policy."""
        request = self._inference.generate(
            self.project.model_spec(run),
            self.prompts(),
            max_new_tokens=80,
            seed=1000 + self.seed,
            judge=True,
            kl=True,
            reward=self.project.model_spec(runs["reward"]),
        )
        found = [answer.values for answer in self._inference.wait_for(request)]
        gold = [values["gold"] for values in found]
        return Result(
            name,
            self.seed,
            score=statistics.mean(values["score"] for values in found),
            gold=statistics.mean(gold),
            gold_se=statistics.stdev(gold) / math.sqrt(len(gold)),
            kl=0.0 if run == runs["sft"] else statistics.mean(values["kl"] for values in found),
            seconds=seconds,
            answers=answers,
        )


def seconds_of(folder: RunFolder) -> float:
    """What its steps took, looks at held-out prompts left out."""
    return math.fsum(value for _, value in read_story(folder).curves.get("time/step", []))


def sampling_seconds(folder: RunFolder) -> float:
    """From the first answer to the last batch of prompts, where no step is timed."""
    times = [event.time for event in events_of(folder) if isinstance(event, Progress)]
    return times[-1] - times[0]


def events_of(folder: RunFolder) -> list[AnyEvent]:
    """What the run said, as it counts now."""
    tail, events = Tail(folder.events_path), list[AnyEvent]()
    while batch := tail.read():
        events += [event for event, _ in batch]
    return superseded_after(events)


def answers_of(config: Any) -> int:
    """How many answers the run learns from."""
    steps = config.updates if config.stage in ("ppo", "rloo") else config.max_steps
    return steps * config.batch_size * (2 if config.stage == "dpo" else 1)


def best_of_n(folder: RunFolder, seed: int) -> list[Result]:
    """The run's own estimate for each n."""
    curves = {name: dict(curve) for name, curve in read_story(folder).curves.items()}
    found, config = [], folder.config
    for n in sorted(curves["eval/score"]):
        gold = curves["eval/gold"][n]
        share = n / max(curves["eval/score"])
        seconds = sampling_seconds(folder) * share
        score, kl = curves["eval/score"][n], curves["bon/kl_bound"][n]
        found.append(Result(f"best of {n}", seed, score, gold, math.nan, kl, seconds, int(n) * config.eval_size))
    return found


def one_seed(bench: Bench, algorithms: Sequence[str]) -> list[Result]:
    """What every algorithm makes of the same start."""
    runs = bench.base()
    found = [bench.measure("start (SFT)", runs["sft"], runs, 0.0, 0)]
    for name in algorithms:
        config = bench.config(name, runs)
        if name == "best_of_n":
            config = config.model_copy(update={"eval_size": ASKED})
        folder = bench.run(name, config)
        if name == "best_of_n":
            found += best_of_n(folder, bench.seed)
        else:
            found.append(bench.measure(name, folder.run, runs, seconds_of(folder), answers_of(config)))
    return found


def over_optimise(bench: Bench) -> dict[str, Any]:
    """PPO with β = 0: where the gold score is highest, and where its fall was first told."""
    runs = bench.base()
    config = bench.config("ppo", runs, kl_coef=0.0, updates=OVER_UPDATES, eval_every=OVER_LOOKS, eval_size=320)
    folder = bench.run("beta 0", config)
    curves = read_story(folder).curves
    gold, kl = dict(curves["eval/gold"]), dict(curves["eval/kl"])
    peak = max(gold, key=gold.__getitem__)
    tail, events = Tail(folder.events_path), []
    while batch := tail.read():
        events += [event for event, _ in batch]
    said = {
        event.code: event.step for event in reversed(superseded_after(events)) if isinstance(event, Health) and event.on
    }
    return {
        "gold_by_update": {step: round(value, 3) for step, value in gold.items()},
        "score_by_update": {step: round(value, 3) for step, value in curves["eval/score"]},
        "sqrt_kl_by_update": {step: round(math.sqrt(max(value, 0)), 2) for step, value in kl.items()},
        "gold_highest_at": peak,
        "first_verdicts": said,
        "updates_run": max((event.step for event in events if isinstance(event, Metrics)), default=0),
    }


def table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Means over seeds, with the least and the largest gold score."""
    names = list(dict.fromkeys(result.algorithm for result in results))
    rows = []
    for name in names:
        some = [result for result in results if result.algorithm == name]
        row = {
            field: round(statistics.mean(getattr(result, field) for result in some), 3)
            for field in ("score", "gold", "kl", "seconds", "answers")
        }
        rows.append({"algorithm": name, **row, "gold_by_seed": [round(result.gold, 3) for result in some]})
    return rows


def plot(results: Sequence[Result], over: dict[str, Any] | None, file: Path) -> None:
    """Score (left) and gold (right) against √KL; a symbol an algorithm, a point a seed."""
    import os

    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import pyqtgraph as pg
    from PySide6.QtWidgets import QApplication

    app = QApplication.instance() or QApplication([])
    pg.setConfigOptions(background="w", foreground="k", antialias=True)
    view = pg.GraphicsLayoutWidget(size=(1200, 520))
    colours = ("#000000", "#0072b2", "#d55e00", "#cc79a7", "#009e73", "#e69f00")
    kinds = list(dict.fromkeys("best of n" if r.algorithm.startswith("best of") else r.algorithm for r in results))
    for which, title in (("score", "Reward-model score"), ("gold", "Gold score (hidden preference)")):
        axes = view.addPlot(title=title)
        axes.setLabel("bottom", "√KL to the start, nats")
        axes.showGrid(x=True, y=True, alpha=0.2)
        if which == "score":
            axes.addLegend(offset=(-10, -10), brush="#ffffffd0", pen="#bbbbbb")
        axes.setXRange(0, SHOWN_SQRT_KL)
        axes.setYRange(-0.5, 3.5 if which == "score" else 2.5)
        for kind, colour, symbol in zip(kinds, colours, "od+tsx", strict=False):
            some = [r for r in results if r.algorithm == kind or (kind == "best of n" and "best of" in r.algorithm)]
            points = [(math.sqrt(max(r.kl, 0)), getattr(r, which)) for r in some]
            axes.plot(*zip(*points, strict=True), pen=None, symbol=symbol, symbolBrush=colour, symbolSize=11, name=kind)
        if over:
            key = f"{which}_by_update"
            line = [(over["sqrt_kl_by_update"][step], value) for step, value in over[key].items()]
            pen = pg.mkPen("#777777", width=2, style=pg.QtCore.Qt.PenStyle.DashLine)
            axes.plot(*zip(*line, strict=True), pen=pen, name="PPO with β = 0")
    view.show()
    app.processEvents()
    view.grab().save(str(file))


def main() -> None:
    """Run what is missing, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, required=True, help="a folder; each seed gets a project in it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=ALGORITHMS, choices=ALGORITHMS)
    parser.add_argument("--no-over-optimisation", action="store_true")
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args()
    terminal = Terminal(machine=True)
    results: list[Result] = []
    over = None
    for seed in range(chosen.seeds):
        bench = Bench(chosen.project / f"seed-{seed}", seed, terminal)
        try:
            results += one_seed(bench, chosen.only)
            if seed == 0 and not chosen.no_over_optimisation:
                over = over_optimise(bench)
        finally:
            bench.close()
    if chosen.plot:
        plot(results, over, chosen.plot)
    sys.stdout.write(json.dumps({"table": table(results), "over_optimisation": over}, indent=1) + "\n")


if __name__ == "__main__":
    main()
