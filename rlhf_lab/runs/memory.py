"""What a run would need of memory, in words for a form, before it starts; imports no torch."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from pydantic import ValidationError

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.lengths import FULL, Lengths
from rlhf_lab.core.memory import (
    CHECKPOINTED,
    Shape,
    adapters_trained,
    asking,
    estimate,
    in_words,
    micro_batch_of,
    settled,
    smaller_micro_batch,
)
from rlhf_lab.core.naming import gigabytes
from rlhf_lab.core.out_of_memory import LESS_MEMORY, advice
from rlhf_lab.core.records import AnyRecord, Demonstration, Pair, Several, Unpaired, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.core.settings import OnPolicyRun
from rlhf_lab.core.small_files import read_json
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.hub import hub_folder, snapshot

if TYPE_CHECKING:
    from rlhf_lab.store import Store

_CPU_INFO = Path("/proc/cpuinfo")
_NATIVE = frozenset({"avx512_bf16", "amx_bf16"})
_BYTES_A_TOKEN = 3.4
"""Of UTF-8: the bundled tokenizer writes 3.4 to 3.8 a token of its data, large ones about 4 of English."""
_TOKENS_A_MESSAGE = 4
"""What a chat template puts around it."""
_SAMPLE = 128
_PARTS = 4
"""A sample of a data set comes from so many places in it: records that lie together may be alike."""


def memory_in_words(config: RunConfig, store: "Store | None" = None, runs: Path | None = None) -> str:
    """What the run needs and what is free; "" where that is not known: a GPU, a .gguf file, a model not here yet.

    Rows are as long as those of the data set in ``store``, and sampled answers as those that the run which it starts
    from, in the folder ``runs``, learned; where these are not known, as long as the limits allow.
    """
    shape = shape_of(config.model)
    if shape is None or _on_gpu(config):
        return ""
    half, room = native_bf16(), psutil.virtual_memory().available
    lengths = lengths_of(sample_of(store, config.dataset), learned_answers(config, runs)) if store else FULL
    config, asked = settled(config, shape, room, bf16=half, lengths=lengths), config
    # The size is told as it was asked for: how much memory is free may be otherwise when the run starts.
    config = config.model_copy(update={"micro_batch_size": asked.micro_batch_size})
    needed = estimate(config, shape, bf16=half, lengths=lengths)
    advised = smaller_micro_batch(config, shape, room, bf16=half, lengths=lengths)
    lean = config.gradient_checkpointing == "on" != asked.gradient_checkpointing
    words = in_words(needed, room, advised, micro_batch_of(config))
    return f"{words} {CHECKPOINTED}" if lean else words


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
    half, lengths = native_bf16(), lengths_in(folder)
    ran = settled(config, shape, free, bf16=half, lengths=lengths)
    if smaller := ran.micro_batch_size // 2:
        less = ran.model_copy(update={"micro_batch_size": smaller})
        if fits := smaller_micro_batch(less, shape, free, bf16=half, lengths=lengths):
            return advice(fits, free)
    least = estimate(ran.model_copy(update={"micro_batch_size": 1}), shape, bf16=half, lengths=lengths)
    if ran.gradient_checkpointing == "on" or not adapters_trained(ran) or least.is_for_sampling:
        return advice(None, free, sampling=least.is_for_sampling)
    lean = ran.model_copy(update={"gradient_checkpointing": "on"})
    return advice(smaller_micro_batch(lean, shape, free, bf16=half, lengths=lengths), free, checkpointing=True)


def lengths_in(folder: RunFolder) -> Lengths:
    """Of the data that a run has, and of what its answers may be like."""
    return lengths_of(_first_of(folder), learned_answers(folder.config, folder.path.parent))


def lengths_of(records: Iterable[AnyRecord], answers: Sequence[tuple[int, ...]] = ()) -> Lengths:
    """About as many tokens as these texts have; ``answers`` instead of their own, which a stage that samples never reads."""
    prompts, own = [], []
    for record in records:
        messages = record.prompt.messages
        prompts.append(sum(_tokens(message.content) + _TOKENS_A_MESSAGE for message in messages))
        if found := tuple(_tokens(text) + 1 for text in _answers_of(record)):
            # The longest two of several: which become a pair is not known here.
            own.append(tuple(sorted(found, reverse=True)[:2]))
    return Lengths(tuple(prompts), tuple(answers) or tuple(own))


def learned_answers(config: RunConfig, runs: Path | None) -> tuple[tuple[int, ...], ...]:
    """Lengths that sampled answers may have: those of the run that an on-policy one starts from, else the limit."""
    if not isinstance(config, OnPolicyRun):
        return ()
    found: tuple[tuple[int, ...], ...] = ()
    if runs is not None and config.start_from:
        found = lengths_of(_first_of(RunFolder(runs / config.start_from))).answers
    return tuple(answers[:1] for answers in found) or ((config.max_new_tokens,),)


def sample_of(store: "Store", dataset: str) -> list[AnyRecord]:
    """Some records from all over the data set; none where there is no such one."""
    try:
        count, each = store.count(dataset), _SAMPLE // _PARTS
        starts = sorted({part * count // _PARTS for part in range(_PARTS)})
        return [row.record for start in starts for row in store.page_at(dataset, start, each)]
    except LabError:
        return []


def shape_of(model: str) -> Shape | None:
    """Of a model that lies in a folder, was downloaded, or is the bundled one."""
    try:
        folder = resource("model") if model == "bundled" else typed_path(model)
        if not folder.is_dir():
            folder = snapshot(hub_folder(model)) or folder
        found = read_json(folder / "config.json")
        return Shape.of(found) if isinstance(found, dict) else None
    except (OSError, ValueError):
        return None


def native_bf16(cpu_info: Path = _CPU_INFO) -> bool:
    """Whether this processor computes bf16 natively, as ``dtype = "auto"`` asks; False where that is not told."""
    try:
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return not _NATIVE.isdisjoint(flags)


def _first_of(folder: RunFolder) -> list[AnyRecord]:
    """Of the run's own copy of its data; none where it cannot be read."""
    try:
        with folder.data_path.open("rb") as lines:
            return [load_record(line) for line in islice(lines, _SAMPLE) if line.strip()]
    except (OSError, ValidationError):
        return []


def _answers_of(record: AnyRecord) -> list[str]:
    match record:
        case Pair():
            return [record.chosen.text, record.rejected.text]
        case Several():
            return [answer.text for answer in record.completions]
        case Demonstration() | Unpaired():
            return [record.completion.text]
        case _:
            return []


def _tokens(text: str) -> int:
    return -(-len(text.encode(errors="replace")) * 10 // round(10 * _BYTES_A_TOKEN))


def _on_gpu(config: RunConfig) -> bool:
    return config.device not in ("auto", "cpu") or (config.device == "auto" and Path("/dev/nvidia0").exists())
