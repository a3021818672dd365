"""PPO in the lab against TRL 1.12, on the same work: ``python tests/benchmarks/speed_ppo.py --help``.

TRL runs in an environment of its own; the two sides are separate processes that take turns, in fp32 on both unless
a row says otherwise, gradient checkpointing off on both, on the same random base of SmolLM2-135M's shape (speed does
not care what a model knows), the same prompts, LoRA r 16 on all linear layers of the policy, 4 epochs of 1 minibatch:

    python -m venv trl112 && trl112/bin/pip install torch==2.13.0 trl==1.12.0 peft
    PYTHONPATH=. python tests/benchmarks/speed_ppo.py --peer-python trl112/bin/python --pairs 3

The lab has a critic and a reward model as adapters on the same base; TRL holds a whole model for each and trains all of
the critic. The preset "fast" (`lora_layers = 0.33`) adapts the top third of the layers, of all three adapters. An idle
machine is wanted: a busy one gives ratios at best. ``--pairs 0`` measures the lab alone, without a peer.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from rlhf_lab.engine.backbone import Backbone

HERE = Path(__file__).parent
SHAPES: dict[str, dict[str, int]] = {
    "1M": {"width": 128, "layers": 4, "heads": 4, "kv_heads": 2, "mlp": 352, "vocabulary": 2048},
    "10M": {"width": 256, "layers": 8, "heads": 4, "kv_heads": 2, "mlp": 768, "vocabulary": 8192},
    "135M": {"width": 576, "layers": 30, "heads": 9, "kv_heads": 3, "mlp": 1536, "vocabulary": 49152},
}
"""The last is SmolLM2-135M's."""
KINDS: dict[str, dict[str, str]] = {
    "all layers": {},
    "all layers, auto dtype": {"dtype": "auto"},
    "fast": {"lora_layers": "0.33"},
    "fast, auto dtype": {"lora_layers": "0.33", "dtype": "auto"},
}
"""What the lab is run with, beside the work that both sides are given."""
PHASES = ("time/rollout", "time/score", "time/learn")


def make_work(folder: Path, options: argparse.Namespace) -> None:
    """Base, reward adapters, prompts and settings, for both sides."""
    shape = SHAPES[options.shape]
    make_base(folder / "base", shape)
    for share in {kind.get("lora_layers", "1.0") for kind in KINDS.values()}:
        backbone = Backbone.load(folder / "base", device="cpu")
        backbone.add_adapter("reward", r=16, alpha=32, seed=5, head=True, layers=float(share))
        backbone.save_adapter("reward", folder / f"reward-{float(share)}", {"score_mean": 0.0, "score_std": 1.0})
    generator = torch.Generator().manual_seed(0)
    count = options.batch * options.updates
    words = torch.randint(4, shape["vocabulary"], (count, options.prompt), generator=generator).tolist()
    lab = {
        "stage": "ppo",
        "batch_size": options.batch,
        "micro_batch_size": options.micro_batch,
        "max_prompt_tokens": options.prompt,
        "max_new_tokens": options.answer,
        "updates": options.updates,
        "epochs": 4,
        "minibatches": 1,
        "lora_r": 16,
        "lora_alpha": 32,
        "learning_rate": 1e-5,
        "kl_coef": 0.05,
        "temperature": 1.0,
        "threads": options.threads,
        "device": "cpu",
        "checkpoint_every": 0,
    }
    work = {"lab": lab, "ids": words, "prompts": [" ".join(f"w{word}" for word in row) for row in words]}
    (folder / "work.json").write_text(json.dumps(work))


def make_base(folder: Path, shape: dict[str, int]) -> None:
    """A random Llama whose tokenizer knows one token a word, so that every prompt is as long as was asked for."""
    disable_progress_bar()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape["vocabulary"],
        hidden_size=shape["width"],
        intermediate_size=shape["mlp"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    names = ["<pad>", "<end>", "<unknown>", "<assistant>", *(f"w{i}" for i in range(4, shape["vocabulary"]))]
    core = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unknown>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<end>", pad_token="<pad>", unk_token="<unknown>", bos_token=None
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder)


def lab(folder: Path, kind: str) -> dict[str, Any]:
    """One run of the lab's side."""
    settings = [f"{name}={value}" for name, value in KINDS[kind].items()]
    return output_of([sys.executable, str(HERE / "speed_lab.py"), str(folder), *settings])


def trl(folder: Path, python: str) -> dict[str, Any]:
    """One run of the peer's side."""
    return output_of([python, str(HERE / "speed_trl.py"), str(folder)])


def output_of(command: list[str]) -> dict[str, Any]:
    """The JSON object that a child prints last; threads are set by the child."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def usual(run: dict[str, Any], clock: str = "seconds") -> float:
    """Seconds of an update: the median of all but the first, which also sets up, where there are others."""
    return median(run[clock][1:] or run[clock])


def phase(run: dict[str, Any], name: str) -> float:
    """The same for one phase of the lab's update."""
    return median([update[name] for update in run["phases"]][1:] or [update[name] for update in run["phases"]])


def table(runs: dict[str, list[dict[str, Any]]], episodes: int) -> str:
    """Medians over the pairs, and ratios to the peer where it ran: of each pair, then their median."""
    lines = [
        f"{'':24} {'s/update':>9} {'CPU s':>7} {'episodes/s':>11} {'peak MB':>8} {'rollout':>8} {'score':>7} {'learn':>7}"
        f" {'speed ×':>8} {'CPU ×':>6} {'memory ×':>9}"
    ]
    peers = runs.get("trl", [])
    for kind, found in runs.items():
        seconds, peak = median(map(usual, found)), median(run["peak_mb"] for run in found)
        work = median(usual(run, "cpu_seconds") for run in found)
        line = f"{kind:24} {seconds:9.2f} {work:7.2f} {episodes / seconds:11.3f} {peak:8.0f}"
        if "phases" in found[0]:
            line += "".join(f" {median(phase(run, name) for run in found):7.2f}" for name in PHASES)
            if peers:
                faster = median(usual(peer) / usual(run) for run, peer in zip(found, peers, strict=True))
                lighter = median(
                    usual(peer, "cpu_seconds") / usual(run, "cpu_seconds")
                    for run, peer in zip(found, peers, strict=True)
                )
                leaner = median(run["peak_mb"] / peer["peak_mb"] for run, peer in zip(found, peers, strict=True))
                line += f" {faster:8.2f} {lighter:6.2f} {leaner:9.2f}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Pairs of runs, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="of an environment with trl==1.12.0")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--updates", type=int, default=2, help="of each run; the first is not counted")
    parser.add_argument("--shape", choices=SHAPES, default="135M")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--micro-batch", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--answer", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.pairs and not options.peer_python:
        parser.error("--peer-python is needed for pairs")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_work(folder, options)
        runs: dict[str, list[dict[str, Any]]] = {}
        for _ in range(max(1, options.pairs)):
            for kind in options.only:
                runs.setdefault(kind, []).append(lab(folder, kind))
            if options.pairs:
                runs.setdefault("trl", []).append(trl(folder, options.peer_python))
    if options.json:
        sys.stdout.write(json.dumps(runs, indent=1) + "\n")
        return
    what = f"{options.shape}, batch {options.batch}, {options.prompt} + {options.answer} tokens, 4 epochs"
    sys.stdout.write(f"{what}, {options.threads} threads; lab: {next(iter(runs.values()))[0]['device']}\n")
    sys.stdout.write(table(runs, options.batch) + "\n")


if __name__ == "__main__":
    main()
