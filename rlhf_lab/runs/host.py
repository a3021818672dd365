"""What differs between platforms: own session, niceness, file locks, signals, cores. Nowhere else."""

import os
import shutil
import sys
from typing import IO, Any

from rlhf_lab.core.out_of_memory import LESS_MEMORY

WINDOWS = sys.platform == "win32"
PYTHON = (sys.executable, "-P", "-m")
"""Starts a module of ours: without -P, a file in the current folder that is called like a library would be run."""

_HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def default_threads() -> int:
    """One fewer than the cores: with all of them, training and a live window collapse together."""
    return max(1, cores() - 1)


def has_free_core() -> bool:
    """Whether training with the threads of `default_threads` leaves one to other work."""
    return cores() > default_threads()


def device_of(device: str) -> str:
    """Which device a config means, guessed without torch; for the queue alone."""
    if device != "auto":
        return device
    if sys.platform == "darwin" and os.uname().machine == "arm64":
        return "mps"
    return "cuda" if shutil.which("nvidia-smi") else "cpu"


def private_files() -> None:
    """Everything this process makes from now on is its owner's alone (no effect on Windows)."""
    os.umask(0o077)


def be_nice() -> None:
    """Let the window and everything else go first."""
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(5)


def limit_memory(most: int) -> None:
    """Let this process fail in words rather than take the machine with it (no effect on Windows and macOS)."""
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def detached() -> dict[str, Any]:
    """Arguments of `subprocess.Popen` for a child that outlives its parent and gets none of its signals."""
    if sys.platform == "win32":
        import subprocess

        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def child_environment() -> dict[str, str]:
    """For a child that will import torch: threads, and no network unless the person has asked for it."""
    threads = str(default_threads())
    wanted = {"OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    found = {**wanted, **os.environ}
    if found["HF_HUB_OFFLINE"] == "1":  # whoever asks nobody needs no token, and so cannot let it slip
        for name in _HUB_TOKENS:
            found.pop(name, None)
    return found


def online_environment() -> dict[str, str]:
    """For the one child that fetches what a person asked for: the hub may be reached, with the person's own token."""
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_VERBOSITY": "error"}
    found = {**os.environ, **quiet, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    return {name: value for name, value in found.items() if name not in ("HF_DEBUG", "TRANSFORMERS_OFFLINE")}


def can_ask_to_end() -> bool:
    """Whether `psutil.Process.terminate` asks (SIGTERM) rather than kills, as it does on Windows."""
    return not WINDOWS


def lock(file: IO[bytes]) -> bool:
    """Take the file's exclusive lock until it is closed; False when another has it (always True on Windows)."""
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def end_in_words(status: int | None, less_memory: str = LESS_MEMORY) -> str:
    """Why a process ended, from its exit status; ``less_memory``: what to do if memory ran out."""
    if_memory = f"If nobody ended it, the system ran out of memory. {less_memory}"
    if status is None:
        return f"The trainer process ended without saying why. {if_memory}"
    if status == -9:
        return f"The trainer process was killed (signal 9). {if_memory}"
    if status < 0:
        return f"The trainer process died of signal {-status}. Resume goes on from the last save. {if_memory}"
    return f"The trainer process ended with status {status}. The run's child.log may say why."
