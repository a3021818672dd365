"""PPO of the lab against TRL 1.12's at equal episodes, on the bundled world, where both can learn.

    python tests/benchmarks/equal_episodes.py --project DIR --peer-python trl112/bin/python [--seeds 0 1 2] [--json FILE]

For each seed one SFT run and one reward model, as in `algorithms.py`; from there the lab's PPO with all layers and with
the fast preset's top third, and TRL's PPO: the same base, questions in the same order, scores, batch, epochs and
length. TRL has its own small sweep on the first seed, and goes on with what reached most score − β·KL. What each side
left answers the same held-out questions in the lab under the same random numbers. Intervals are of a bootstrap over
questions. Finished parts are found again in DIR.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.settings import FAST
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import batch_indices
from rlhf_lab.engine.prompts import encode, unique_prompts
from rlhf_lab.engine.record_file import RecordFile
from rlhf_lab.engine.rewards import score_scale
from rlhf_lab.engine.sampler import noise_for, sample
from rlhf_lab.engine.scoring import Episodes, score_by_head
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.export_child import base_of, read
from rlhf_lab.runs.exporting import Wish, export_run
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.terminal import Terminal
from tests.benchmarks.algorithms import Bench

PEER = Path(__file__).parent / "equal_trl.py"
TRIALS: dict[str, dict[str, float]] = {
    "lr-6e-4": {},
    "lr-2e-4": {"learning_rate": 2e-4},
    "lr-1.5e-3": {"learning_rate": 1.5e-3},
}
"""TRL's sweep; its critic, a whole model, has the policy's learning rate. The first is the lab's recipe."""
MEASURED = ("score", "gold", "kl", "tokens")
DRAWS = 10_000
TOLERANCE = 1e-3
"""Of the same score on both sides; scores have a deviation of 1."""

Answers = dict[str, list[float]]


class Match:
    """One seed: both sides, from the same start."""

    def __init__(self, place: Path, seed: int, python: str) -> None:
        self.bench = Bench(place / f"seed-{seed}", seed, Terminal(machine=True))
        self.runs = self.bench.base()
        config = self.bench.config("ppo", self.runs)
        assert isinstance(config, PpoConfig)
        self.config = config
        self.folder = place / "peer" / f"seed-{seed}"
        self._python = python

    def prepare(self) -> float:
        """Give TRL what it needs; how far its scores are from the lab's, at most."""
        self.folder.mkdir(parents=True, exist_ok=True)
        project = self.bench.project
        reward = project.run(self.runs["reward"])
        if not (self.folder / "reward").exists():
            export_run(Wish(run=reward.path, form="reward", place=self.folder / "reward", precision="fp32"))
        if not (self.folder / "exported").exists():
            export_run(Wish(run=reward.path, form="adapter-and-base", place=self.folder / "exported"))
        if not (self.folder / "base").exists():
            (self.folder / "base").symlink_to("exported/base")
        ours = self._write_work(reward, self.bench.run("ppo", self.config))
        self._peer("scores")
        theirs = torch.tensor(json.loads((self.folder / "scores.json").read_text()))
        apart = (ours - theirs).abs().max().item()
        if apart > TOLERANCE:
            sys.exit(f"TRL's scores differ from the lab's by up to {apart:.2g}.")
        return apart

    def _write_work(self, reward: RunFolder, run: RunFolder) -> torch.Tensor:
        """The questions in the lab's order, and answers with the lab's scores of them."""
        config, trained = self.config, read(reward, base_of(reward))
        backbone = Backbone.load(trained.model, start_adapters=trained.start_folders, device="cpu")
        pool, _ = unique_prompts(RecordFile(run.data_path))
        ids: list[list[int]] = []
        for step in range(config.updates):
            places = batch_indices(len(pool), config.batch_size, step, config.seed)
            asked, _ = encode(backbone.tokenizer, pool, places, config.max_prompt_tokens)
            ids += asked.ids
        answers = sample(
            backbone,
            list(asked.ids),
            adapter=None,
            temperature=1.0,
            max_new_tokens=config.max_new_tokens,
            noise=noise_for(torch.Generator().manual_seed(0), config.max_new_tokens, len(asked)),
            tick=lambda: None,
        )
        backbone.load_adapter("reward", trained.folder, head=True)
        mean, std = score_scale(trained.own.lab)
        raw = score_by_head(backbone, Episodes(asked, answers), "reward", micro_batch_size=16, tick=lambda: None)
        pairs = [{"prompt": p, "answer": a} for p, a in zip(asked.ids, answers, strict=True)]
        work = {"lab": config.model_dump(mode="json"), "trials": TRIALS, "ids": ids, "answered": pairs}
        (self.folder / "work.json").write_text(json.dumps(work))
        return (raw.mean(-1) - mean).detach() / std

    def lab(self, name: str, **changes: Any) -> Answers:
        """The lab's PPO, then its answers."""
        run = self.bench.run(name, self.config.model_copy(update=changes))
        return self._judged(f"lab {name}", self.bench.project.model_spec(run.run))

    def start(self) -> Answers:
        """What both begin with; its KL, to itself, is 0 and not the SFT run's."""
        found = self._judged("start", self.bench.project.model_spec(self.runs["sft"]))
        return found | {"kl": [0.0] * len(found["kl"])}

    def trl(self, trial: str) -> Answers:
        """TRL's PPO, then the answers of its adapter on the lab's SFT run."""
        if not (self.folder / trial).exists():
            self._peer("train", trial)
        sft = self.bench.project.model_spec(self.runs["sft"])
        adapters = (*sft.adapters, self.folder / trial)
        return self._judged(f"trl {trial}", sft.model_copy(update={"adapters": adapters}))

    def _judged(self, name: str, spec: ModelSpec) -> Answers:
        file = self.folder / f"{name.replace(' ', '-')}.answers.json"
        if not file.exists():
            inference = self.bench._inference
            request = inference.generate(
                spec,
                self.bench.prompts(),
                max_new_tokens=self.config.max_new_tokens,
                seed=1000 + self.bench.seed,
                judge=True,
                kl=True,
                reward=self.bench.project.model_spec(self.runs["reward"]),
            )
            found = [answer.values for answer in inference.wait_for(request)]
            told = {key: [values[key] for values in found] for key in (*MEASURED, "ended")}
            file.write_text(json.dumps(told))
        answers: Answers = json.loads(file.read_text())
        return answers

    def _peer(self, *what: str) -> None:
        done = subprocess.run([self._python, str(PEER), str(self.folder), *what], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"TRL's side ended with {done.returncode}:\n{done.stderr[-3000:]}")


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the middle 95 % of the means of questions drawn anew."""
    numbers = torch.tensor(values, dtype=torch.float64)
    drawn = torch.randint(len(values), (DRAWS, len(values)), generator=torch.Generator().manual_seed(0))
    low, high = torch.quantile(numbers[drawn].mean(1), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return numbers.mean().item(), low, high


def objective(answers: Answers, kl_coef: float) -> float:
    """What both sides climb: score − β·KL."""
    return interval(answers["score"])[0] - kl_coef * interval(answers["kl"])[0]


def table(found: dict[int, dict[str, Answers]]) -> str:
    """A row a policy and seed, then how far each of the lab's is ahead of TRL, question by question."""
    lines = [f"{'seed':4} {'policy':18} " + " ".join(f"{name:>22}" for name in MEASURED) + f" {'ended':>6}"]
    for seed, policies in found.items():
        for name, answers in policies.items():
            cells = " ".join("{:8.3f} [{:5.2f}, {:5.2f}]".format(*interval(answers[key])) for key in MEASURED)
            lines.append(f"{seed:4} {name:18} {cells} {interval(answers['ended'])[0]:6.3f}")
    for seed, policies in found.items():
        best = next(answers for name, answers in policies.items() if name.startswith("TRL"))
        for name in ("lab, all layers", "lab, fast"):
            gaps = {key: [a - b for a, b in zip(policies[name][key], best[key], strict=True)] for key in MEASURED}
            cells = " ".join("{:+8.3f} [{:5.2f}, {:5.2f}]".format(*interval(gaps[key])) for key in MEASURED)
            lines.append(f"{seed:4} {name[5:] + ' − TRL':18} {cells}")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, required=True, help="a folder; each seed gets a project in it")
    parser.add_argument("--peer-python", required=True, help="of an environment with trl==1.12.0 and peft")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[int, dict[str, Answers]] = {}
    sweep: dict[str, float] = {}
    apart: dict[int, float] = {}
    for seed in options.seeds:
        match = Match(options.project.absolute(), seed, options.peer_python)
        try:
            apart[seed] = match.prepare()
            sys.stdout.write(f"seed {seed}: the scores of both sides differ by {apart[seed]:.1e} at most\n")
            if not sweep:
                sweep = {trial: objective(match.trl(trial), match.config.kl_coef) for trial in TRIALS}
                sys.stdout.write(f"TRL, seed {seed}, score − β·KL: {json.dumps(sweep)}\n")
            best = max(sweep, key=sweep.__getitem__)
            found[seed] = {
                "start (SFT)": match.start(),
                f"TRL, {best}": match.trl(best),
                "lab, all layers": match.lab("ppo"),
                "lab, fast": match.lab("fast", lora_layers=FAST["lora_layers"]),
            }
            sys.stdout.flush()
        finally:
            match.bench.close()
    sys.stdout.write(table(found) + "\n")
    if options.json:
        options.json.write_text(json.dumps({"apart": apart, "sweep": sweep, "answers": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
