"""The lab's losses and TRL's on the same batch and weights: ``python tests/benchmarks/against_trl.py --help``.

The batch is bundled data, the weights are the bundled model with adapters far from zero; TRL gets them merged, as
plain models. TRL's own trainers run in environments of their own:

    python -m venv trl116 && trl116/bin/pip install torch==2.13.0 trl==1.16.0 peft
    python -m venv trl112 && trl112/bin/pip install torch==2.13.0 trl==1.12.0 peft
    PYTHONPATH=. python tests/benchmarks/against_trl.py --peer-python trl116/bin/python --ppo-peer-python trl112/bin/python

TRL 1.12 is the last with PPO. Where TRL does something else, a row tells whether that something, done with the lab's
functions, is the whole difference.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.utils.logging import set_verbosity_error

from rlhf_lab.engine import adapters, maths
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.dpo import answer_logprobs, lay_out, preference_loss
from rlhf_lab.engine.pairs import Compared
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.ppo_update import Targets, describe, learn, targets_of
from rlhf_lab.engine.reward_loss import bradley_terry, centring
from rlhf_lab.engine.reward_scores import scores
from rlhf_lab.engine.rewards import RewardModel
from rlhf_lab.engine.rollout import Rollout, score_episodes
from rlhf_lab.engine.scoring import Episodes, score_values
from tests.benchmarks.trl_batch import DPO, PAIRS, PPO, SMOOTHING, make_batch, make_models

PEER = Path(__file__).parent / "trl_peer.py"
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Row:
    """One quantity on both sides."""

    name: str
    lab: float
    trl: float
    tolerance: float = TOLERANCE
    note: str = ""

    @property
    def ok(self) -> bool:
        return abs(self.lab - self.trl) <= self.tolerance * max(1.0, abs(self.trl))


def main() -> None:
    """Make the batch, run both sides, print the table; 1 when a row does not hold."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peer-python", type=Path, help="of an environment with trl 1.16: reward and DPO")
    options.add_argument("--ppo-peer-python", type=Path, help="of an environment with trl 1.12: PPO")
    options.add_argument("--json", action="store_true", help="end with one JSON object")
    given = options.parse_args()
    if not given.peer_python and not given.ppo_peer_python:
        options.error("name at least one environment with TRL")
    torch.set_num_threads(1)
    set_verbosity_error()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        backbone = make_models(folder)
        pairs, cases = make_batch(folder, backbone)
        rows: list[Row] = []
        theirs: list[str] = []
        if given.peer_python:
            found = peer(given.peer_python, "offline", folder)
            offline(backbone, pairs, found, rows, theirs)
        if given.ppo_peer_python:
            found = peer(given.ppo_peer_python, "ppo", folder)
            on_policy(backbone, cases, folder, found, rows, theirs)
    for row in rows:
        verdict = "ok" if row.ok else "DIFFERS"
        sys.stdout.write(
            f"{row.name:66} {row.lab:14.8f} {row.trl:14.8f} {abs(row.lab - row.trl):9.1e}  {verdict}  {row.note}" + "\n"
        )
    sys.stdout.write("\nTRL's own:\n" + "".join(f"- {line}\n" for line in theirs))
    if given.json:
        table = [vars(row) | {"ok": row.ok} for row in rows]
        sys.stdout.write(json.dumps({"rows": table, "theirs": theirs, "ok": all(row.ok for row in rows)}) + "\n")
    sys.exit(0 if all(row.ok for row in rows) else 1)


def peer(python: Path, what: str, folder: Path) -> dict[str, Any]:
    """What TRL makes of it."""
    surroundings = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    command = [str(python), str(PEER), what, str(folder)]
    ended = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(command)}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}")
    return dict(json.loads((folder / f"trl-{what}.json").read_text()))


@torch.no_grad()
def offline(backbone: Backbone, pairs: Compared, found: dict[str, Any], rows: list[Row], theirs: list[str]) -> None:
    """Reward model and DPO."""
    version, reward, dpo = found["version"], found["reward"], found["dpo"]
    everyone = list(range(PAIRS))
    chosen, rejected = scores(backbone, pairs, everyone)
    nothing = torch.zeros(PAIRS)
    plain = bradley_terry(chosen, rejected, nothing, pairs.tie).mean()
    rows += [
        Row(f"reward loss (TRL {version})", plain.item(), reward["plain"]),
        Row(
            "reward loss with margins",
            bradley_terry(chosen, rejected, pairs.margin, pairs.tie).mean().item(),
            reward["margin"],
        ),
        Row(
            "reward loss with centring 0.01",
            (plain + 0.01 * centring(chosen, rejected).mean()).item(),
            reward["centring"],
        ),
    ]
    laid = lay_out(backbone, pairs, everyone)
    policy, start = (answer_logprobs(backbone, laid, adapter) for adapter in ("policy", None))
    lengths = torch.tensor([[len(c), len(r)] for c, r in zip(pairs.chosen, pairs.rejected, strict=True)])

    def direct(wrong: float = 0.0, **changes: Any) -> float:
        config = DPO.model_copy(update=changes)
        return preference_loss(policy, start, lengths, nothing + wrong, config).mean().item()

    losses = {
        "sigmoid": direct(),
        "ipo": direct(loss="ipo"),
        "smoothing": direct(SMOOTHING),
        "swapped": direct(1.0),
    }
    robust = ((1 - SMOOTHING) * losses["sigmoid"] - SMOOTHING * losses["swapped"]) / (1 - 2 * SMOOTHING)
    rows += [
        Row(f"DPO loss, sigmoid, β {DPO.beta} (TRL {version})", losses["sigmoid"], dpo["sigmoid"]),
        Row("DPO loss, IPO", losses["ipo"], dpo["ipo"]),
        Row(f"DPO loss, smoothing {SMOOTHING} (TRL: AOT, one pair at a time)", losses["smoothing"], dpo["smoothing"]),
    ]
    theirs += [
        f"TRL {version}, DPO: `label_smoothing` {SMOOTHING} changes the sigmoid loss by "
        f"{abs(dpo['sigmoid with smoothing'] - dpo['sigmoid']):.1e}: it is read by robust, EXO and AOT alone. The lab's is "
        f"the conservative loss ({losses['smoothing']:.5f}); TRL's robust one is another ({dpo['robust']:.5f}, "
        f"by the lab's numbers {robust:.5f}).",
        f"TRL {version}, reward: a tokenizer without a pad token gets the end token for one, and the score is then read "
        f"before the end: loss {reward['padded with the end']:.5f}, not {reward['plain']:.5f}, on this batch.",
        f"TRL {version}, reward: equal scores count as wrong in the accuracy, ties do not exist; a batch's mean is a mean of "
        "micro-batches. The lab counts ½ and weighs pairs.",
    ]


def on_policy(
    backbone: Backbone,
    cases: dict[str, Episodes],
    folder: Path,
    found: dict[str, Any],
    rows: list[Row],
    theirs: list[str],
) -> None:
    """PPO: one update on the same answers, policy and critic moved in between by the same amount."""
    version, metrics = found["version"], found["ppo"]
    seen = torch.load(folder / "trl.pt", weights_only=True)
    source = RewardModel(backbone, 0.0, 1.0, 8)
    for name, episodes in cases.items():
        title, trl, tensors = f"PPO, answers {name}", metrics[name], seen[name]
        back = torch.tensor(tensors["order"]).argsort()
        stand(backbone, folder, later=False)
        rollout = score_episodes(backbone, episodes, (source,), PPO, lambda: None)
        assert rollout.values is not None
        targets = targets_of(rollout, PPO, PPO.kl_coef)
        raw, _ = maths.gae(targets.rewards, rollout.values, rollout.mask, PPO.gamma, PPO.gae_lambda)
        told = describe(rollout, targets, PPO.kl_coef)
        rows += [
            Row(f"{title}: score (TRL {version})", told["objective/scores"], trl["objective/scores"]),
            Row(f"{title}: KL", told["objective/kl"], trl["objective/kl"]),
            Row(f"{title}: score − β·KL", told["objective/rlhf_reward"], trl["objective/rlhf_reward"]),
        ]
        theirs_raw, theirs_white = tensors["advantages"][back], tensors["whitened"][back]
        wide = one_state_more(backbone, rollout)
        gap = (theirs_raw - raw)[rollout.mask].abs().max().item()
        if name == "cut":
            rows.append(Row(f"{title}: GAE, largest difference", gap, 0, note="same placement"))
        else:
            rest = (theirs_raw - wide.advantages)[rollout.mask].abs().max().item()
            rows.append(Row(f"{title}: GAE with the score one place later", rest, 0, note="TRL's placement"))
            theirs.append(
                f"TRL {version}, PPO: the score of an answer that ended stands one place after its end token, so that one "
                f"more value is bootstrapped from and one more place is in the value loss: advantages differ by up to "
                f"{gap:.3f}. Done so with the lab's functions, {rest:.1e} is left."
            )
        tokens = int(rollout.mask.sum())
        bessel = math.sqrt((tokens - 1) / tokens)
        scaled = bessel * maths.masked_whiten(theirs_raw, rollout.mask)
        gap = (theirs_white - scaled)[rollout.mask].abs().max().item()
        rows.append(Row(f"{title}: whitening × √((n − 1)/n), largest difference", gap, 0, note=f"n = {tokens}"))
        # From here on TRL's advantages on both sides.
        white = torch.where(rollout.mask, theirs_white, 0)
        stand(backbone, folder, later=True)
        ours = learned(backbone, rollout, Targets(white, targets.returns, targets.rewards))
        places = rollout.mask.numel()
        rows += [
            Row(f"{title}: policy loss, moved policy", ours["loss/policy_avg"], trl["loss/policy_avg"]),
            Row(f"{title}: share clipped", ours["policy/clipfrac_avg"], trl["policy/clipfrac_avg"]),
            Row(
                f"{title}: approximate KL" + (" × tokens/places" if tokens < places else ""),
                ours["policy/approxkl_avg"] * tokens / places,
                trl["policy/approxkl_avg"],
            ),
        ]
        if name == "cut":
            rows.append(Row(f"{title}: value loss, moved critic", ours["loss/value_avg"], trl["loss/value_avg"]))
            rows.append(Row(f"{title}: share of values clipped", ours["val/clipfrac_avg"], trl["val/clipfrac_avg"]))
            continue
        moved = values_of(backbone, wide.episodes)
        loss, _ = maths.clipped_value_loss(moved, wide.values, wide.returns, PPO.value_clip_range)
        over_all = maths.masked_mean(loss, wide.mask).item()
        rows.append(Row(f"{title}: value loss over one more place", over_all, trl["loss/value_avg"]))
        theirs += [
            f"TRL {version}, PPO: approximate KL and ratio are means over padding too: {trl['policy/approxkl_avg']:.6f} "
            f"where {ours['policy/approxkl_avg']:.6f} is true, a factor of {places / tokens:.2f} on this batch.",
            f"TRL {version}, PPO: in micro-batches of 2 the losses are means of means: policy loss "
            f"{metrics['ended, in micro-batches']['loss/policy_avg']:.6f}, in one batch {trl['loss/policy_avg']:.6f}; "
            "the lab's is the same for every micro-batch.",
        ]
    steps, last = (int(metrics[f"minibatches{which}"]["optimiser steps"]) for which in ("", ", last of the data"))
    theirs += [
        f"TRL {version}, PPO: variances are unbiased in whitening (OAI's and the published vector are biased): a factor of "
        "√((n − 1)/n).",
        f"TRL {version}, PPO: 2 minibatches over 4 micro-batches of accumulation make {steps} optimiser step an epoch where "
        f"2 were asked for, and {last} on the last batch of the data. `max_grad_norm` is not used.",
        f"TRL {version}, PPO: old log-probs are those of generation, not of the training forward; `objective/entropy` is the "
        "summed surprise of the sampled tokens, not an entropy.",
    ]


@dataclass(frozen=True)
class Wide:
    """A rollout as TRL sees it: with one more place for each answer that ended early. All [B, R]."""

    episodes: Episodes
    mask: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


def one_state_more(backbone: Backbone, rollout: Rollout) -> Wide:
    """The state after the end has a value, and the score stands there."""
    found = rollout.episodes
    width = rollout.mask.shape[1]
    longer = [[*answer, 0] if len(answer) < width else answer for answer in found.answer_ids]
    episodes = replace(found, answer_ids=longer)
    mask = episodes.answer_mask(backbone.device)
    values = values_of(backbone, episodes)
    same = torch.zeros_like(values)
    penalty = maths.token_rewards(
        torch.zeros_like(rollout.scores), rollout.logprobs, rollout.ref_logprobs, rollout.mask, PPO.kl_coef
    )
    rewards = penalty + maths.token_rewards(rollout.scores, same, same, mask, 0.0)
    return Wide(episodes, mask, values, *maths.gae(rewards, values, mask, PPO.gamma, PPO.gae_lambda))


def values_of(backbone: Backbone, episodes: Episodes) -> Tensor:
    """[B, R]"""
    return score_values(backbone, episodes, "value", micro_batch_size=8, tick=lambda: None)


def stand(backbone: Backbone, folder: Path, *, later: bool) -> None:
    """Put policy and critic where the rollout, or learning, finds them."""
    for name in ("policy", "value"):
        found = adapters.read(folder / "adapters" / (f"{name} later" if later else name))
        with torch.no_grad():
            for key, parameter in backbone.parameters_of(name).items():
                if key.startswith("head."):
                    assert found.head is not None
                    parameter.copy_(found.head[0] if key == "head.weight" else found.head[1])
                else:
                    layer, _, part = key.rpartition(".lora_")
                    parameter.copy_(found.layers[layer][0 if part == "A" else 1])


def learned(backbone: Backbone, rollout: Rollout, targets: Targets) -> dict[str, float]:
    """The metrics of the real update; its one step is too short to matter."""
    generator = torch.Generator().manual_seed(0)
    trainable = Trainable(backbone, PPO)
    return learn(backbone, trainable, rollout, targets, PPO, generator=generator, tick=lambda: None)


if __name__ == "__main__":
    main()
