"""Damage checkpoints of every stage, position by position: ``PYTHONPATH=. python tests/benchmarks/damaged_checkpoints.py``.

Each stage (SFT, reward, PPO, RLOO, DPO) trains two steps on a tiny model and keeps a checkpoint of both. Then the newer one
is damaged in one place after the other: bytes of every kind flipped, files cut, emptied, lengthened, missing, or in
their place a folder, a link, a pipe or another run's file. It must be found (`checkpoint.newest` passes it over and
says why) and the older one must be used, with the weights that it was saved with. Prints a table; exits with 1 where
anything was not found.
"""

import json
import os
import shutil
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from rlhf_lab.core.config import DpoConfig, PpoConfig, RewardConfig, RlooConfig, RunConfig, SftConfig
from rlhf_lab.core.events import Finished, Resumed, Warned
from rlhf_lab.core.records import AnyRecord
from rlhf_lab.engine import checkpoint
from tests.engine.conftest import demonstrations, make_tokenizer, pairs, save_model, tiny_llama
from tests.engine.stage_runs import of, parts, run

SMALL: dict[str, Any] = {
    "batch_size": 4,
    "micro_batch_size": 4,
    "max_prompt_tokens": 32,
    "max_new_tokens": 6,
    "eval_size": 4,
    "eval_every": 0,
    "checkpoint_every": 1,
    "lora_r": 2,
    "threads": 1,
}
STEPS = {**SMALL, "max_steps": 2}
UPDATES = {**SMALL, "updates": 2, "epochs": 1, "length_weight": 1.0}
CONFIGS: tuple[RunConfig, ...] = (
    SftConfig(**STEPS),
    RewardConfig(**STEPS),
    PpoConfig(**UPDATES),
    RlooConfig(**UPDATES, samples=2),
    DpoConfig(**STEPS),
)
Damage = Callable[[Path], object]
"""What is done to a checkpoint's folder."""


def records_of(config: RunConfig) -> list[AnyRecord]:
    """What the stage learns from."""
    return list(pairs() if config.stage in ("reward", "dpo") else demonstrations())


def flipped(name: str, place: int) -> Damage:
    """One bit of a byte, or all of it, in turn."""

    def damage(folder: Path) -> None:
        with (folder / name).open("rb+") as file:
            file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ (1 if place % 2 else 0xFF)]))

    return damage


def damages(folder: Path) -> Iterator[tuple[str, str, Damage]]:
    """(file, class of position, what to do) for all that can befall the checkpoint in the folder."""
    for name, classes in _places(folder).items():
        for kind, places in classes.items():
            for place in places:
                yield name, f"byte flipped: {kind}", flipped(name, place)
    for name in (checkpoint.TENSORS, checkpoint.STATE, checkpoint.MANIFEST):
        size = (folder / name).stat().st_size
        for length in (0, 1, size // 2, size - 1):
            yield (
                name,
                f"cut to {'0' if not length else '1' if length == 1 else 'half' if length * 2 <= size else '-1'}",
                _cut(name, length),
            )
        yield (
            name,
            "lengthened by a byte",
            lambda at, name=name: (at / name).write_bytes((at / name).read_bytes() + b"\n"),
        )
        yield name, "missing", lambda at, name=name: (at / name).unlink()
        yield name, "a folder", _instead(name, lambda path: path.mkdir())
        yield name, "a link to the same bytes", _linked(name)
        yield name, "a pipe", _instead(name, lambda path: os.mkfifo(path))
        yield name, "of the step before", lambda at, name=name: shutil.copy(at.parent / "step-1" / name, at / name)
        yield (
            name,
            "zeros of the same size",
            lambda at, name=name: (at / name).write_bytes(bytes((at / name).stat().st_size)),
        )
    yield "the folder", "empty", lambda at: [file.unlink() for file in at.iterdir()]
    yield "the folder", "a file", _whole(lambda path: path.write_bytes(b""))
    yield "the folder", "a pipe", _whole(lambda path: os.mkfifo(path))
    yield "the folder", "a link to the step before", _whole(lambda path: path.symlink_to("step-1"))
    yield (
        "the folder",
        "the step before under this name",
        _whole(lambda path: shutil.copytree(path.parent / "step-1", path)),
    )


Saved = tuple[int, dict[str, torch.Tensor], dict[str, Any]]


def tried(folder: Path, damage: Damage, wanted: Saved) -> str:
    """What is wrong with how the damage to ``folder/step-2`` is met; "" where it is as it should be."""
    damage(folder / "step-2")
    heard: list[tuple[str, str]] = []
    try:
        found = checkpoint.newest(folder, lambda path, why: heard.append((path.name, why)))
    except Exception as error:  # which would end a run with a traceback
        return f"{type(error).__name__}: {error}"
    if [name for name, _ in heard] != ["step-2"] or not heard[0][1]:
        return f"not said: {heard}"
    if found is None or found[0] != 1:
        return f"not passed over: {found and found[0]}"
    same = found[1].keys() == wanted[1].keys() and all(torch.equal(found[1][n], wanted[1][n]) for n in wanted[1])
    return "" if same and found[2] == wanted[2] else "the one before is not what was saved"


def trained(config: RunConfig, model: Path, folder: Path) -> Path:
    """The checkpoints of a real run of the stage."""
    run(config, parts(folder / "run", model, records_of(config)))
    kept = folder / "run" / "checkpoints"
    assert sorted(path.name for path in kept.iterdir()) == ["step-1", "step-2"]
    return kept


def try_all(kept: Path, step: int = 1) -> Iterator[tuple[str, str, str]]:
    """(file, class of position, what is wrong) for each damage, or every ``step``-th of a class, to a copy of them."""
    place, seen = kept.with_name("damaged"), Counter[tuple[str, str]]()
    shutil.copytree(kept, place)
    shutil.rmtree(place / "step-2")
    wanted = checkpoint.newest(place)
    assert wanted is not None
    wanted = (wanted[0], {name: tensor.clone() for name, tensor in wanted[1].items()}, wanted[2])
    for name, kind, damage in damages(kept / "step-2"):
        seen[name, kind] += 1
        if seen[name, kind] % step == 1 % step:
            shutil.copytree(kept / "step-2", place / "step-2")
            yield name, kind, tried(place, damage, wanted)
            _gone(place / "step-2")
    shutil.rmtree(place)


def _gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def resumed(config: RunConfig, model: Path, kept: Path) -> str:
    """What is wrong with how the stage itself goes on from a damaged checkpoint."""
    flipped(checkpoint.TENSORS, -1)(kept / "step-2")
    events = run(config, parts(kept.parent, model, records_of(config), resume=True))
    said = [event.text for event in of(events, Warned) if event.code == "checkpoint_damaged"]
    if len(said) != 1 or "step-2" not in said[0] or "Going on from step 1" not in said[0]:
        return f"a person was told {said}"
    if [event.step for event in of(events, Resumed)] != [1]:
        return "it did not go on from step 1"
    end = events[-1]
    return "" if isinstance(end, Finished) and (end.outcome, end.step) == ("done", 2) else f"it ended so: {end}"


def _places(folder: Path) -> dict[str, dict[str, list[int]]]:
    """Of each file, positions by what they mean."""
    content = (folder / checkpoint.TENSORS).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    spans = [entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"]
    data = [(8 + length + begin, 8 + length + end - 1) for begin, end in spans]
    return {
        checkpoint.TENSORS: {
            "length of the header": list(range(8)),
            "header": list(range(8, 8 + length, 29)),
            "first byte of each tensor": [first for first, _ in data],
            "middle byte of each tensor": [(first + last) // 2 for first, last in data],
            "last byte of each tensor": [last for _, last in data],
            "last byte": [len(content) - 1],
        },
        checkpoint.STATE: {"every byte": list(range((folder / checkpoint.STATE).stat().st_size))},
        checkpoint.MANIFEST: {"every byte": list(range((folder / checkpoint.MANIFEST).stat().st_size))},
    }


def _cut(name: str, length: int) -> Damage:
    return lambda folder: os.truncate(folder / name, length)


def _instead(name: str, make: Damage) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return damage


def _linked(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).rename(folder / "elsewhere")
        (folder / name).symlink_to("elsewhere")

    return damage


def _whole(make: Damage) -> Damage:
    def damage(folder: Path) -> None:
        shutil.rmtree(folder)
        make(folder)

    return damage


def main() -> None:
    wrong, rows, total = [], {}, 0
    with tempfile.TemporaryDirectory() as name:
        tokenizer = make_tokenizer()
        model = save_model(Path(name) / "model", tiny_llama(len(tokenizer)), tokenizer)
        for config in CONFIGS:
            folder = Path(name) / config.stage
            folder.mkdir()
            kept = trained(config, model, folder)
            found = list(try_all(kept))
            found.append(("the run", "resumed with a damaged checkpoint", resumed(config, model, kept)))
            for file, kind, problem in found:
                counts = rows.setdefault((file, kind), {})
                tries, detected = counts.get(config.stage, (0, 0))
                counts[config.stage] = (tries + 1, detected + (not problem))
                wrong += [f"{config.stage}, {file}, {kind}: {problem}"] if problem else []
            total += len(found)
    stages = [config.stage for config in CONFIGS]
    lines = [["file", "damage", *(f"{stage}: found of tried" for stage in stages)], ["---"] * (2 + len(stages))]
    for (file, kind), counts in rows.items():
        lines.append([file, kind, *("{1} of {0}".format(*counts[stage]) for stage in stages)])
    sys.stdout.write("".join("| " + " | ".join(line) + " |\n" for line in lines))
    sys.stdout.write("".join(f"NOT FOUND {words}\n" for words in wrong[:50]))
    sys.stdout.write(f"{total - len(wrong)} of {total} damages were found, said, and met with the save before.\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
