"""One of two processes that learn from one batch: its share of the answers, gradients summed with gloo.

``python -m rlhf_lab.engine.oracles.shared_batch FOLDER DEVICE RANK``, started by `whole_runs.two_processes`.
"""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from safetensors.torch import save_file
from torch import distributed

from rlhf_lab.engine import machine
from rlhf_lab.engine.oracles.bench import Bench, with_roles
from rlhf_lab.engine.oracles.update import CONFIG, Gradients, gradient, roll, rows_of
from rlhf_lab.engine.ppo_update import targets_of

SHARES = (range(5), range(5, 12))
"""Unequal, so that a plain mean over processes would be wrong."""


def share_of_gradient(bench: Bench, rows: Sequence[int]) -> Gradients:
    """Gradient of the answers ``rows``' part of the loss over all of the rollout's tokens."""
    backbone = with_roles(bench.backbone())
    rollout = roll(backbone)
    part, aims = rows_of(rollout, targets_of(rollout, CONFIG, CONFIG.kl_coef), rows)
    share = int(part.mask.sum()) / int(rollout.mask.sum())
    return {key: share * tensor for key, tensor in gradient(backbone, part, aims, CONFIG).items()}


def main(folder: Path, device: str, rank: int) -> None:
    """Work out this process's share, sum over both, leave the result in a file."""
    machine.use_threads(1)
    own = folder / f"of rank {rank}"
    own.mkdir(exist_ok=True)
    found = {key: tensor.cpu() for key, tensor in share_of_gradient(Bench(own, device), SHARES[rank]).items()}
    place = (folder / "meeting").as_uri()
    distributed.init_process_group(
        "gloo", init_method=place, rank=rank, world_size=len(SHARES), timeout=timedelta(seconds=300)
    )
    for key in sorted(found):
        distributed.all_reduce(found[key])
    distributed.destroy_process_group()
    save_file(found, folder / f"rank-{rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
