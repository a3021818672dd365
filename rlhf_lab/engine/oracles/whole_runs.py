"""Oracles of whole runs: what a reward model learns, a run that was stopped, a batch shared by two processes."""

import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from safetensors.torch import load_file

from rlhf_lab.core.config import DpoConfig, PpoConfig, RewardConfig, RlooConfig, RunConfig, SftConfig
from rlhf_lab.core.control import NoControl, StopRequested
from rlhf_lab.core.records import AnyRecord, Completion, Demonstration, Pair, PromptOnly
from rlhf_lab.engine import dpo, ppo, reward, rloo, sft
from rlhf_lab.engine.chat import encode_answer, encode_prompt
from rlhf_lab.engine.oracles.bench import WORDS, Bench, prompt, quiet
from rlhf_lab.engine.oracles.oracle import Oracle
from rlhf_lab.engine.oracles.shared_batch import share_of_gradient
from rlhf_lab.engine.oracles.update import Gradients, relative, small_ids
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.scoring import Episodes, score_answers

_SMALL: dict[str, Any] = {
    "batch_size": 8,
    "micro_batch_size": 4,
    "max_prompt_tokens": 32,
    "max_new_tokens": 6,
    "learning_rate": 0.01,
    "lora_r": 4,
    "lora_alpha": 8,
    "eval_every": 0,
    "checkpoint_every": 0,
    "threads": 1,
}


class StopAfter(NoControl):
    """Asks to stop at one of its polls."""

    def __init__(self, ticks: int) -> None:
        self._left = ticks

    def tick(self) -> None:
        """As a person who presses Stop in the middle of the work."""
        self._left -= 1
        if self._left < 0:
            raise StopRequested


def reward_model(bench: Bench) -> Iterator[Oracle]:
    """The reward stage on two answers, of which one won 7 times and the other 3 times."""
    won, lost = (Completion(text=text) for text in ("red tea", "blue milk rain"))
    better = Pair(prompt=prompt("tea"), chosen=won, rejected=lost)
    worse = Pair(prompt=prompt("tea"), chosen=lost, rejected=won)
    config = RewardConfig(
        **_SMALL | {"batch_size": 10, "micro_batch_size": 20}, max_steps=80, normalise=False, device=bench.device
    )
    list(reward.train(config, bench.parts("two answers", [better] * 7 + [worse] * 3)))
    backbone = bench.backbone()
    backbone.load_adapter("reward", bench.folder / "two answers" / "adapter", head=True)
    asked, _ = encode_prompt(backbone.tokenizer, prompt("tea"), 32)
    answers = [encode_answer(backbone.tokenizer, answer.text, 6) for answer in (won, lost)]
    both = Episodes(Asked([prompt("tea")] * 2, [asked] * 2), answers)
    first, second = score_answers(backbone, both, "reward", micro_batch_size=2, tick=quiet).tolist()
    words = "The reward model that Bradley–Terry makes likeliest: the logit of 7 in 10."
    yield Oracle("reward stage, 7 won of 10: r₁ − r₂", math.log(7 / 3), first - second, 0.02, words)


def resuming(bench: Bench) -> Iterator[Oracle]:
    """Stopped in the middle of a step and resumed: the weights of the uninterrupted run."""
    questions = [PromptOnly(prompt=prompt(f"{one} {other}")) for one in WORDS[:4] for other in WORDS[4:8]]
    pairs = [Pair(prompt=q.prompt, chosen=Completion(text="yes"), rejected=Completion(text="no no")) for q in questions]
    shown = [Demonstration(prompt=q.prompt, completion=Completion(text="red tea")) for q in questions]
    here: dict[str, Any] = _SMALL | {"device": bench.device}
    runs: list[tuple[RunConfig, Sequence[AnyRecord]]] = [
        (SftConfig(**here, max_steps=4), shown),
        (RewardConfig(**here, max_steps=4, normalise=False), pairs),
        (DpoConfig(**here, max_steps=4), pairs),
        (PpoConfig(**here, updates=4, epochs=2, adaptive_kl=True, normalise_rewards="running"), questions),
        (RlooConfig(**here, updates=4, epochs=2), questions),
    ]
    for config, records in runs:
        weights = []
        for name, ticks in ((f"{config.stage} whole", None), (f"{config.stage} stopped", 11)):
            control = NoControl() if ticks is None else StopAfter(ticks)
            _train(config, bench.parts(name, records, control=control))
            if ticks is not None:
                _train(config, bench.parts(name, records, resume=True))
            weights.append(load_file(bench.folder / name / "adapter" / "adapter_model.safetensors"))
        whole, resumed = weights
        gap = max((whole[key] - resumed[key]).abs().max().item() for key in whole)
        moved = max(tensor.abs().max().item() for key, tensor in whole.items() if "lora_B" in key)
        title = f"{config.stage}, stopped and resumed: largest difference of a weight"
        words = f"Bit for bit on a CPU; the run moved weights by up to {moved:.2g}."
        yield Oracle(title, 0, gap, 0 if bench.device == "cpu" else 1e-3, words)


def two_processes(bench: Bench) -> Iterator[Oracle]:
    """Two processes (gloo) that share a batch by answers and add up gradients by tokens, against one."""
    whole = share_of_gradient(bench, range(12))
    (bench.folder / "meeting").unlink(missing_ok=True)
    command = [sys.executable, "-m", "rlhf_lab.engine.oracles.shared_batch", str(bench.folder), bench.device]
    group = [subprocess.Popen([*command, str(rank)], stdin=subprocess.DEVNULL) for rank in range(2)]
    try:
        for process in group:
            if process.wait(timeout=300):
                raise RuntimeError(f"a process of the group ended with status {process.returncode}")
    finally:
        for process in group:
            process.kill()
            process.wait()
    for rank in range(2):
        found: Gradients = load_file(bench.folder / f"rank-{rank}.safetensors")
        gap = relative({key: tensor.cpu() for key, tensor in whole.items()}, found)
        words = "The loss is a sum over tokens divided by their global count, so it can be shared out."
        yield Oracle(f"gradient summed over two processes, rank {rank}, − one", 0, gap, 1e-4, words)


def _train(config: RunConfig, given: Any) -> None:
    match config:
        case SftConfig():
            list(sft.train(config, given))
        case RewardConfig():
            list(reward.train(config, given))
        case DpoConfig():
            list(dpo.train(config, given))
        case PpoConfig():
            list(ppo.train(config, given, [small_ids]))
        case RlooConfig():
            list(rloo.train(config, given, [small_ids]))
