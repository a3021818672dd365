"""SFT, reward modelling, DPO and RLOO in the lab against TRL 1.16, on the same work.

TRL runs in an environment of its own; the two sides are separate processes that take turns:

    python -m venv trl116 && trl116/bin/pip install torch==2.13.0 trl==1.16.0 peft
    PYTHONPATH=. python tests/benchmarks/speed_stages.py --peer-python trl116/bin/python --pairs 3

Both sides have the same random base of SmolLM2-135M's shape (speed does not care what a model knows), the same ids in
the same batches, LoRA r 16 on all linear layers, AdamW, a clip of 1, fp32 unless a row says otherwise, no packing, no
gradient checkpointing, no dropout, as many rows at once (`--micro-batch`; the lab takes fewer where their activations
would be large), and the reference looked up in the step. The peer is left its own ways: its fused head and optimiser.
A head is trained whole on both. RLOO: 4 answers a prompt, one epoch, β 0.05, scores of a reward model, which the lab
has as an adapter on the same base and TRL as a whole model.

"first" is the first step's loss, before anything was learned: the same on both sides, or they do not compute the same.
The reward head of the fast kinds is another draw, so is their first loss. RLOO samples, each side in its own way: its
"first" is the mean length of the answers. With `--spread` answers vary between a quarter of the length and all of it;
for RLOO, whose answers a random base hardly ever ends, prompts do. An idle machine is wanted: a busy one gives ratios
at best. ``--pairs 0`` measures the lab alone, without a peer.
"""

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from speed_ppo import KINDS, SHAPES, make_base, output_of, usual
from transformers import AutoTokenizer

from rlhf_lab.core.records import Completion, Demonstration, Message, Pair, Prompt, PromptOnly
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import batch_indices
from rlhf_lab.engine.examples import Encoder

HERE = Path(__file__).parent
SAMPLES = 4
SEED = 0
STAGES: dict[str, dict[str, Any]] = {
    "sft": {},
    "reward": {"normalise": False},
    "dpo": {"beta": 0.1},
    "rloo": {"samples": SAMPLES, "epochs": 1, "kl_coef": 0.05, "temperature": 1.0},
}
"""What each asks for beside what all do."""
Record = Demonstration | Pair | PromptOnly


def make_work(folder: Path, options: argparse.Namespace) -> None:
    """Base, reward adapters, and for each stage its data and settings, for both sides."""
    make_base(folder / "base", SHAPES[options.shape])
    heads: dict[str, list[list[float]]] = {}
    for share in {kind.get("lora_layers", "1.0") for kind in KINDS.values()}:
        backbone = Backbone.load(folder / "base", device="cpu")
        backbone.add_adapter("reward", r=16, alpha=32, seed=SEED, head=True, layers=float(share))
        backbone.save_adapter("reward", folder / f"reward-{float(share)}", {"score_mean": 0.0, "score_std": 1.0})
        heads[share] = backbone.parameters_of("reward")["head.weight"].tolist()
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    for stage in options.stages:
        records = make_records(stage, options)
        rows = [ids_of(record, tokenizer, options) for record in records]
        at_once = options.batch // SAMPLES if stage == "rloo" else options.batch
        order = [place for step in range(options.updates) for place in batch_indices(len(rows), at_once, step, SEED)]
        work = {
            "lab": settings(stage, options),
            "records": [record.model_dump() for record in records],
            "rows": [rows[place] for place in order],
            "head": heads["1.0"],
            "micro_batch": options.micro_batch,
            "tokens": tokens_of(stage, rows, options) / options.updates,
        }
        (folder / f"{stage}.json").write_text(json.dumps(work))


def settings(stage: str, options: argparse.Namespace) -> dict[str, Any]:
    """The lab's config, from which the peer's side takes its own."""
    rows = 2 if stage in ("reward", "dpo") else 1
    return STAGES[stage] | {
        "stage": stage,
        "updates" if stage == "rloo" else "max_steps": options.updates,
        "batch_size": options.batch,
        "micro_batch_size": rows * options.micro_batch,
        "max_prompt_tokens": options.prompt,
        "max_new_tokens": options.answer,
        "lora_r": 16,
        "lora_alpha": 32,
        "learning_rate": 1e-5,
        "seed": SEED,
        "threads": options.threads,
        "device": "cpu",
        "eval_every": 0,
        "checkpoint_every": 0,
    }


def make_records(stage: str, options: argparse.Namespace) -> list[Record]:
    """Random words, so many that none comes twice."""
    draw = random.Random(SEED)
    highest = SHAPES[options.shape]["vocabulary"] - 1

    def words(count: int) -> str:
        return " ".join(f"w{draw.randint(4, highest)}" for _ in range(count))

    def length(whole: int) -> int:
        return draw.randint(max(2, whole // 4), whole) if options.spread else whole

    def asked(count: int) -> Prompt:
        return Prompt(messages=(Message(role="user", content=words(count)),))

    def answer() -> Completion:
        return Completion(text=words(length(options.answer) - 1))  # and the end token

    count = options.batch * options.updates
    if stage == "rloo":
        return [PromptOnly(prompt=asked(length(options.prompt))) for _ in range(count // SAMPLES)]
    if stage == "sft":
        return [Demonstration(prompt=asked(options.prompt), completion=answer()) for _ in range(count)]
    return [Pair(prompt=asked(options.prompt), chosen=answer(), rejected=answer()) for _ in range(count)]


def ids_of(record: Record, tokenizer: Any, options: argparse.Namespace) -> dict[str, Any]:
    """What the lab reads: ids by role, and the prompt's text, from which TRL's RLOO and DPO begin."""
    encoder = Encoder(tokenizer, options.prompt, options.answer)
    row = {"text": record.prompt.text, "prompt": encoder.prompt(record.prompt)}
    if isinstance(record, Demonstration):
        row["answer"] = encoder.answer(record.completion.text)
    elif isinstance(record, Pair):
        for side, answer in (("chosen", record.chosen), ("rejected", record.rejected)):
            row[side], row[f"{side}_text"] = encoder.answer(answer.text), answer.text
    assert not encoder.lost(), encoder.lost()
    return row


def tokens_of(stage: str, rows: list[dict[str, Any]], options: argparse.Namespace) -> float:
    """Prompts and answers of all steps; a prompt once for each of its answers."""
    if stage == "rloo":
        return float(sum(SAMPLES * (len(row["prompt"]) + options.answer) for row in rows))
    answers = ("answer",) if stage == "sft" else ("chosen", "rejected")
    return float(sum(len(row["prompt"]) + len(row[name]) for row in rows for name in answers))


def lab(folder: Path, stage: str, kind: str) -> dict[str, Any]:
    """One run of the lab's side."""
    changes = [f"{name}={value}" for name, value in KINDS[kind].items()]
    return output_of([sys.executable, str(HERE / "speed_stages_lab.py"), str(folder), stage, *changes])


def trl(folder: Path, stage: str, python: str) -> dict[str, Any]:
    """One run of the peer's side."""
    return output_of([python, str(HERE / "speed_stages_trl.py"), str(folder), stage])


def table(runs: dict[str, list[dict[str, Any]]], tokens: float) -> str:
    """Medians over the pairs, and ratios to the peer where it ran: of each pair, then their median."""
    lines = [
        f"{'':24} {'s/step':>8} {'CPU s':>8} {'tokens/s':>9} {'peak MB':>8} {'first':>9}"
        f" {'speed ×':>8} {'CPU ×':>6} {'memory ×':>9}"
    ]
    peers = runs.get("trl", [])
    for kind, found in runs.items():
        seconds, work = median(map(usual, found)), median(usual(run, "cpu_seconds") for run in found)
        peak = median(run["peak_mb"] for run in found)
        line = f"{kind:24} {seconds:8.3f} {work:8.3f} {tokens / seconds:9.1f} {peak:8.0f} {found[0]['first']:9.4f}"
        if peers and kind != "trl":
            both = list(zip(found, peers, strict=True))
            faster = median(usual(peer) / usual(run) for run, peer in both)
            lighter = median(usual(peer, "cpu_seconds") / usual(run, "cpu_seconds") for run, peer in both)
            leaner = median(run["peak_mb"] / peer["peak_mb"] for run, peer in both)
            line += f" {faster:8.2f} {lighter:6.2f} {leaner:9.2f}"
        lines.append(line)
    return "\n".join(lines)


def agree(stage: str, runs: dict[str, list[dict[str, Any]]]) -> str:
    """Whether both sides compute the same, or for RLOO sample as much, in words."""
    if "trl" not in runs or "all layers" not in runs:
        return ""
    ours, theirs = (runs[side][0]["first"] for side in ("all layers", "trl"))
    what = "tokens an answer, first step" if stage == "rloo" else "loss of the first step"
    return f"{what}: lab {ours:.5f}, TRL {theirs:.5f}, {abs(ours - theirs):.1e} apart\n"


def main() -> None:
    """Stage by stage, pairs of runs in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="of an environment with trl==1.16.0")
    parser.add_argument("--stages", nargs="*", choices=STAGES, default=list(STAGES), metavar="STAGE", help="all")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--updates", type=int, default=4, help="steps of each run; the first is not counted")
    parser.add_argument("--shape", choices=SHAPES, default="135M")
    parser.add_argument("--batch", type=int, default=8, help="examples, pairs or answers")
    parser.add_argument("--micro-batch", type=int, help="of them at once; the whole batch unless given")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--answer", type=int, default=32)
    parser.add_argument("--spread", action="store_true", help="lengths from a quarter to the whole")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.micro_batch = options.micro_batch or options.batch
    if options.pairs and not options.peer_python:
        parser.error("--peer-python is needed for pairs")
    if options.batch % SAMPLES or options.batch % options.micro_batch:
        parser.error(f"--batch must be a multiple of {SAMPLES} and of --micro-batch")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        in_own_process(make_work, folder, options)
        found = {}
        for stage in options.stages:
            runs: dict[str, list[dict[str, Any]]] = {}
            for _ in range(max(1, options.pairs)):
                for kind in options.only:
                    runs.setdefault(kind, []).append(lab(folder, stage, kind))
                if options.pairs:
                    runs.setdefault("trl", []).append(trl(folder, stage, options.peer_python))
            found[stage] = runs
            if not options.json:
                tokens = json.loads((folder / f"{stage}.json").read_text())["tokens"]
                sys.stdout.write(f"{headline(stage, options)}\n{table(runs, tokens)}\n{agree(stage, runs)}\n")
                sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")


def in_own_process(work: Any, *given: Any) -> None:
    """A child counts the peak of who started it as its own, so nothing large is ever loaded here."""
    maker = multiprocessing.get_context("spawn").Process(target=work, args=given)
    maker.start()
    maker.join()
    if maker.exitcode:
        sys.exit("The work could not be made; see above.")


def headline(stage: str, options: argparse.Namespace) -> str:
    """What was measured."""
    lengths = f"{options.prompt} + {options.answer} tokens" + (", spread" if options.spread else "")
    what = f"batch {options.batch}, {lengths}, {options.threads} threads, {options.updates - 1} steps counted"
    return f"{stage}: {options.shape}, {what}"


if __name__ == "__main__":
    main()
