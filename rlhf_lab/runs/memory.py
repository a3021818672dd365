"""What a run would need of memory, in words for a form, before it starts; imports no torch."""

from pathlib import Path

import psutil

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.memory import Shape, asking, estimate, gigabytes, in_words, smaller_micro_batch
from rlhf_lab.core.out_of_memory import LESS_MEMORY, advice
from rlhf_lab.core.resources import resource
from rlhf_lab.core.small_files import read_json
from rlhf_lab.runs.folder import RunFolder

_CPU_INFO = Path("/proc/cpuinfo")
_NATIVE = frozenset({"avx512_bf16", "amx_bf16"})


def memory_in_words(config: RunConfig) -> str:
    """What the run needs and what is free; "" where that is not known: a GPU, a .gguf file, a model not here yet."""
    shape = shape_of(config.model)
    if shape is None or _on_gpu(config):
        return ""
    half, room = native_bf16(), psutil.virtual_memory().available
    needed = estimate(config, shape, bf16=half)
    advised = smaller_micro_batch(config, shape, room, bf16=half)
    return in_words(needed, room, advised, config.micro_batch_size)


def asking_in_words(model: str, dtype: str) -> str:
    """What it takes to load a model and ask it, and what is free; "" where that is not known."""
    shape = shape_of(model)
    if shape is None or Path("/dev/nvidia0").exists():
        return ""
    half = dtype == "bf16" or (dtype == "auto" and native_bf16())
    needed, room = asking(shape, half), psutil.virtual_memory().available
    too_little = "" if needed <= room else " That is too little: wait for the run's end."
    return f"Asking needs about {gigabytes(needed)} of memory; {gigabytes(room)} are free.{too_little}"


def less_memory(folder: RunFolder, free: int) -> str:
    """What to do about a run that ran out of memory, of which it had ``free`` bytes: the micro-batch size that fits.

    It is smaller than the one that did not, whatever the estimate says of that.
    """
    try:
        config = folder.config
    except LabError:
        return LESS_MEMORY
    shape = shape_of(config.model)
    if shape is None or _on_gpu(config):
        return LESS_MEMORY
    smaller = config.model_copy(update={"micro_batch_size": config.micro_batch_size // 2})
    return advice(smaller_micro_batch(smaller, shape, free, bf16=native_bf16()), free)


def shape_of(model: str) -> Shape | None:
    """Of a model that lies in a folder, or the bundled one."""
    try:
        folder = resource("model") if model == "bundled" else Path(model).expanduser()
        found = read_json(folder / "config.json")
        return Shape.of(found) if isinstance(found, dict) else None
    except (OSError, ValueError, RuntimeError):
        return None


def native_bf16(cpu_info: Path = _CPU_INFO) -> bool:
    """Whether this processor computes bf16 natively, as ``dtype = "auto"`` asks; False where that is not told."""
    try:
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return not _NATIVE.isdisjoint(flags)


def _on_gpu(config: RunConfig) -> bool:
    return config.device not in ("auto", "cpu") or (config.device == "auto" and Path("/dev/nvidia0").exists())
