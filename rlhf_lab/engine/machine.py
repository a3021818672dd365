"""What the run stands on: device, precision, threads, memory, versions."""

import itertools
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.freed_memory import give_back


def pick_device(name: str) -> torch.device:
    """The device that a config names; "auto" is a CUDA GPU when there is one.

    Apple's GPUs have no float64, and nobody has tried the lab on one: they are used where they are asked for.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "cpu") if there[kind])
    if not there[name]:
        raise LabError(f"There is no {name} device here. Set device to auto or cpu.")
    return torch.device(name)


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The base's precision; "auto" is bf16 where the device computes it natively."""
    if name == "auto":
        native = (
            torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else _cpu_has_bf16(device)
        )
        return torch.bfloat16 if native else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[name]


def use_threads(count: int) -> None:
    """Compute with so many threads; 0 leaves one core to the window."""
    torch.set_num_threads(count or max(1, (os.cpu_count() or 2) - 1))


def describe(device: torch.device, dtype: torch.dtype) -> str:
    """For people: "cpu, fp32, 1 thread"."""
    kind = "bf16" if dtype == torch.bfloat16 else "fp32"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {kind}"
    threads = torch.get_num_threads()
    return f"{device.type}, {kind}, {threads} thread{'s' * (threads != 1)}"


def versions() -> dict[str, str]:
    """Of everything that decides a run's numbers."""
    found = {"python": sys.version.split()[0]}
    for name in ("rlhf-lab", "torch", "transformers", "peft"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process so far; on a GPU, the peak that was allocated there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    if (peak := re.search(r"^VmHWM:\s+(\d+) kB", _status(), re.MULTILINE)) is not None:
        return int(peak[1]) / 2**10
    import resource  # POSIX only

    # Linux counts in it what the parent held when it started this process, so that is the second choice.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def free_memory(device: torch.device) -> int:
    """Bytes that a run on this device may still take; on a GPU, of its own memory."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def _status() -> str:
    try:
        return Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return ""


def return_freed_memory() -> None:
    """Give freed memory back to the system now and then, once the process is large: at each 16th call.

    Training frees activations in between what it keeps, and glibc holds on to the holes: 135M parameters
    grew to 3.8 GB within three steps. What was given back has to be faulted in again: at each call that
    was a tenth of the time of a pass.
    """
    if psutil.Process().memory_info().rss > _LARGE and next(_CALLS) % 16 == 0:
        give_back()


_LARGE = 2**30
_CALLS = itertools.count(1)


def _cpu_has_bf16(device: torch.device) -> bool:
    found = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
