"""Hostile adapters: what a run's folder may hold after somebody else had it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.hostile.case import Case, Place
from tests.hostile.files import PICKLE

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none"}
Change = Callable[[Path, Place], object]
DAMAGED = "damaged|cannot be used|does not fit|not a plain LoRA"


def _adapter(change: Change) -> Callable[[Place], Path]:
    def make(place: Place) -> Path:
        folder = place.folder / "adapter"
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps(CONFIG))
        (folder / "lab.json").write_text(json.dumps({"score_mean": 0.0, "score_std": 1.0}))
        _weights()(folder, place)
        save_file(
            {"weight": np.zeros((1, 32), np.float32), "bias": np.zeros(1, np.float32)}, folder / "head.safetensors"
        )
        change(folder, place)
        return folder

    return make


def _weights(**more: Any) -> Change:
    tensors = {
        f"{LAYER}.lora_A.weight": np.ones((2, 32), np.float32),
        f"{LAYER}.lora_B.weight": np.ones((32, 2), np.float32),
    }

    def change(folder: Path, place: Place) -> None:
        kept = {name: value for name, value in {**tensors, **more}.items() if value is not None}
        save_file(kept, folder / "adapter_model.safetensors")

    return change


def _config(**changes: Any) -> Change:
    return lambda folder, place: (folder / "adapter_config.json").write_text(json.dumps(CONFIG | changes))


def _raw(name: str, content: bytes) -> Change:
    return lambda folder, place: (folder / name).write_bytes(content)


def _instead(name: str, how: Callable[[Path, Place], object]) -> Change:
    def change(folder: Path, place: Place) -> None:
        (folder / name).unlink()
        how(folder / name, place)

    return change


def _pickled(folder: Path, place: Place) -> None:
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(PICKLE)


def _head(**tensors: Any) -> Change:
    return lambda folder, place: save_file(tensors, folder / "head.safetensors")


FINE = r"^scored"
ADAPTERS: dict[str, tuple[str, Change]] = {
    "a pickle": ("pickled|no adapter in", _pickled),
    "a pickle called safetensors": (DAMAGED, _raw("adapter_model.safetensors", PICKLE)),
    "a pickle beside it": (FINE, _raw("adapter_model.bin", PICKLE)),
    "code beside it": (FINE, lambda folder, place: (folder / "modeling.py").write_text(place.code)),
    "a config that is a pickle": (DAMAGED, _raw("adapter_config.json", PICKLE)),
    "a config 100,000 deep": (DAMAGED, _raw("adapter_config.json", b"[" * 100_000)),
    "a config that is a list": (DAMAGED, _raw("adapter_config.json", b"[]")),
    "another kind of adapter": ("type 'EVIL'", _config(peft_type="EVIL", auto_mapping={"parent_library": "os"})),
    "a kind that is a megabyte": ("only LORA", _config(peft_type="x" * 2**20)),
    "a rank of a billion": ("rank r", _config(r=10**9)),
    "a rank of 5,000 digits": (DAMAGED, _raw("adapter_config.json", json.dumps(CONFIG).replace('"r": 2', '"r": ' + "9" * 5000).encode())),
    "a rank below 0": ("rank r", _config(r=-1)),
    "a rank that is a list": ("rank r", _config(r=[2])),
    "an alpha of 10^400": ("lora_alpha|damaged", _raw("adapter_config.json", json.dumps(CONFIG | {"lora_alpha": 10**400}).encode())),
    "an alpha that is not a number": ("lora_alpha", _config(lora_alpha=float("nan"))),
    "an infinite alpha": ("lora_alpha", _config(lora_alpha=float("inf"))),
    "an alpha that is a text": ("lora_alpha", _config(lora_alpha="os.system")),
    "modules that it saves": ("does not read", _config(modules_to_save=["lm_head"])),
    "patterns of a stranger": ("does not read", _config(rank_pattern={"(x+x+)+y": 1})),
    "a base elsewhere": (FINE, _config(base_model_name_or_path="/etc", auto_mapping={"base_model_class": "os"})),
    "no layers": ("holds no layer|damaged", _weights(**{f"{LAYER}.lora_A.weight": None, f"{LAYER}.lora_B.weight": None})),
    "half a layer": (DAMAGED, _weights(**{f"{LAYER}.lora_B.weight": None})),
    "a layer of another shape": (DAMAGED, _weights(**{f"{LAYER}.lora_A.weight": np.ones((2, 64), np.float32)})),
    "a layer that is nowhere": (
        DAMAGED,
        _weights(**{"base_model.model.evil.lora_A.weight": np.ones((2, 2), np.float32),
                    "base_model.model.evil.lora_B.weight": np.ones((2, 2), np.float32)}),
    ),
    "a layer whose name is a path": (
        DAMAGED,
        _weights(**{"base_model.model.../../outside.lora_A.weight": np.ones((2, 2), np.float32),
                    "base_model.model.../../outside.lora_B.weight": np.ones((2, 2), np.float32)}),
    ),
    "more than a LoRA": (DAMAGED, _weights(**{"__class__": np.ones(1, np.float32)})),
    "texts for numbers": (DAMAGED + "|" + FINE, _weights(**{f"{LAYER}.lora_A.weight": np.ones((2, 32), np.uint8)})),
    "a header of 2^63 bytes": (DAMAGED, _raw("adapter_model.safetensors", b"\xff" * 7 + b"\x7f" + bytes(100))),
    "weights that are a pipe": ("no file|no adapter in", _instead("adapter_model.safetensors", lambda path, place: os.mkfifo(path))),
    "weights that are a folder": ("no file|no adapter in", _instead("adapter_model.safetensors", lambda path, place: path.mkdir())),
    "weights that are a link outside": (
        "link to a place outside",
        _instead("adapter_model.safetensors", lambda path, place: path.symlink_to(place.secret)),
    ),
    "a config that is a link outside": (
        "link to a place outside",
        _instead("adapter_config.json", lambda path, place: path.symlink_to(place.secret)),
    ),
    "a config that is a pipe": ("no file", _instead("adapter_config.json", lambda path, place: os.mkfifo(path))),
    "no head": ("no scalar head", lambda folder, place: (folder / "head.safetensors").unlink()),
    "a head without weights": ("holds no head", _head(evil=np.zeros(1, np.float32))),
    "a head of another width": (DAMAGED + "|RuntimeError|fit", _head(weight=np.zeros((1, 7), np.float32), bias=np.zeros(1, np.float32))),
    "a head that is a pickle": (DAMAGED, _raw("head.safetensors", PICKLE)),
    "notes that are a list": (DAMAGED, _raw("lab.json", b"[]")),
    "notes that are a pickle": (DAMAGED, _raw("lab.json", PICKLE)),
    "notes with a spread of 0": (".*", _raw("lab.json", b'{"score_mean": 0, "score_std": 0}')),
    "notes with a spread that is a text": (".+", _raw("lab.json", b'{"score_mean": "x", "score_std": []}')),
    "notes with another base": ("other weights", _raw("lab.json", b'{"base_hash": "0"}')),
    "notes with a base that is a list": ("other weights", _raw("lab.json", b'{"base_hash": [1]}')),
}  # fmt: skip


def cases() -> list[Case]:
    """All of them."""
    return [Case(f"adapter: {name}", words, _adapter(change)) for name, (words, change) in ADAPTERS.items()]
