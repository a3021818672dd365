"""The kill benchmark on checkpoints that are written in place, as nobody should: it must find them damaged."""

import shutil
from pathlib import Path

from rlhf_lab.engine import disk
from tests.benchmarks import kills


def in_place(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    disk.fresh_beside, disk.replace, disk.settle = in_place, lambda fresh, folder: None, lambda folder: None
    kills.main()
