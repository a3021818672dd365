"""What is measured of the machine."""

import subprocess
import sys

import pytest
import torch

from rlhf_lab.engine.machine import peak_memory_mb, pick_device


@pytest.mark.parametrize(("cuda", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_an_apple_gpu_is_used_where_it_is_asked_for_alone(
    cuda: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto").type == chosen
    assert pick_device("mps").type == "mps"


_TELL = "import torch; from rlhf_lab.engine.machine import peak_memory_mb; print(peak_memory_mb(torch.device('cpu')))"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux is where a child's figure holds its parent's too")
def test_what_the_parent_held_is_not_in_a_childs_peak_memory() -> None:
    held = bytearray(b"x") * (3 * 2**30 // 4)
    ours = peak_memory_mb(torch.device("cpu"))
    assert ours > len(held) / 2**20
    child = subprocess.run([sys.executable, "-c", _TELL], capture_output=True, text=True, check=True)
    assert 50 < float(child.stdout) < ours - 200
