"""Hostile checkpoints, adapters in the making, data and commands: a run that somebody else has had, to be resumed."""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import Place
from tests.hostile.files import PICKLE

Change = Callable[[Path, Place], object]
"""What is done to the run's folder."""
BEFORE = "resumed at 1.*damaged.*done at 2"
"""The save before is used, it is said, and the run comes to its end."""
ANEW = "damaged.*done at 2"
REFUSED = "of no run with these settings"
CHANGED = "changed since this run began"
FINE = "resumed at 2.*done at 2"
NEWEST = "checkpoints/step-2"


def _raw(name: str, content: bytes) -> Change:
    return lambda folder, place: (folder / NEWEST / name).write_bytes(content)


def _instead(name: str, make: Callable[[Path, Place], object]) -> Change:
    def change(folder: Path, place: Place) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        make(path, place)

    return change


def _signed(change: Change) -> Change:
    """The same, and a manifest that says that all of it is right."""

    def both(folder: Path, place: Place) -> None:
        change(folder, place)
        names = ("state.json", "tensors.safetensors")
        contents = {name: (folder / NEWEST / name).read_bytes() for name in names}
        files = {n: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for n, c in contents.items()}
        (folder / NEWEST / "manifest.json").write_text(json.dumps({"step": 2, "files": files}, indent=1))

    return both


def _manifest(**changes: Any) -> Change:
    def change(folder: Path, place: Place) -> None:
        path = folder / NEWEST / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes, indent=1))

    return change


def _named(name: str) -> Change:
    """A manifest that tells of a file elsewhere, with the right hash."""

    def change(folder: Path, place: Place) -> None:
        found = {"sha256": hashlib.sha256(b"a secret of somebody else\n").hexdigest(), "bytes": 26}
        path = folder / NEWEST / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["files"][name.replace("OUTSIDE", str(place.outside))] = found
        path.write_text(json.dumps(manifest, indent=1))

    return change


def _state(**changes: Any) -> Change:
    def change(folder: Path, place: Place) -> None:
        path = folder / NEWEST / "state.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return _signed(change)


def _header(header: bytes, length: int | None = None, data: bytes = b"") -> Change:
    content = struct.pack("<Q", len(header) if length is None else length) + header + data
    return _signed(_raw("tensors.safetensors", content))


def _sparse(folder: Path, place: Place) -> None:
    os.truncate(folder / NEWEST / "tensors.safetensors", 2**40)


def _commands(*lines: bytes) -> Change:
    return lambda folder, place: (folder / "control.jsonl").write_bytes(b"\n".join(lines) + b"\n")


STOP = b'{"kind": "stop", "attempt": 2}'
RUNS: dict[str, tuple[str, Change]] = {
    "nothing changed": (FINE, lambda folder, place: None),
    "tensors that are a pickle": (BEFORE, _raw("tensors.safetensors", PICKLE)),
    "tensors that are a pickle, signed": (BEFORE, _signed(_raw("tensors.safetensors", PICKLE))),
    "a pickle beside them": (FINE, _raw("optimizer.pt", PICKLE)),
    "a state that is a pickle, signed": (BEFORE, _signed(_raw("state.json", PICKLE))),
    "a manifest that is a pickle": (BEFORE, _raw("manifest.json", PICKLE)),
    "a manifest 100,000 deep": (BEFORE, _raw("manifest.json", b"[" * 100_000)),
    "a manifest of 20 MB": (BEFORE, _raw("manifest.json", b'"' + b"x" * (20 * 2**20) + b'"')),
    "a manifest that is a list": (BEFORE, _raw("manifest.json", b"[]")),
    "a manifest of another step": (BEFORE, _manifest(step=1)),
    "a manifest with a step of 400 digits": (BEFORE, _manifest(step=10**400)),
    "a manifest with sizes of 300 digits": (BEFORE, _manifest(files={"state.json": {"bytes": 10**300}, "tensors.safetensors": {}})),
    "a manifest with files for a text": (BEFORE, _manifest(files="state.json")),
    "a manifest that climbs": (BEFORE, _named("../../../../outside/secret.txt")),
    "a manifest with a whole path": (BEFORE, _named("OUTSIDE/secret.txt")),
    "tensors that are a link outside": (BEFORE, _instead(f"{NEWEST}/tensors.safetensors", lambda path, place: path.symlink_to(place.secret))),
    "a state that is a link outside": (BEFORE, _instead(f"{NEWEST}/state.json", lambda path, place: path.symlink_to(place.secret))),
    "a manifest that is a link outside": (BEFORE, _instead(f"{NEWEST}/manifest.json", lambda path, place: path.symlink_to(place.secret))),
    "tensors that are a pipe": (BEFORE, _instead(f"{NEWEST}/tensors.safetensors", lambda path, place: os.mkfifo(path))),
    "a manifest that is a pipe": (BEFORE, _instead(f"{NEWEST}/manifest.json", lambda path, place: os.mkfifo(path))),
    "a state that is a folder": (BEFORE, _instead(f"{NEWEST}/state.json", lambda path, place: path.mkdir())),
    "a checkpoint that is a link outside": (BEFORE, _instead(NEWEST, lambda path, place: path.symlink_to(place.outside))),
    "checkpoints that are a link outside": ("is a link to another folder", _instead("checkpoints", lambda path, place: path.symlink_to(place.outside))),
    "checkpoints that are a file": ("", _instead("checkpoints", lambda path, place: path.write_bytes(PICKLE))),
    "checkpoints that are a pipe": ("", _instead("checkpoints", lambda path, place: os.mkfifo(path))),
    "a step of 200 digits": (FINE, lambda folder, place: (folder / "checkpoints" / f"step-{'9' * 200}").mkdir()),
    "a step of other digits": (FINE, lambda folder, place: (folder / "checkpoints" / "step-٣").mkdir()),
    "a step far ahead": ("damaged.*step-999999999.*done at 2", lambda folder, place: (folder / "checkpoints" / "step-999999999").mkdir()),
    "leftovers that are links outside": (FINE, lambda folder, place: [(folder / "checkpoints" / f".step-9.{end}").symlink_to(place.outside) for end in ("new", "old")]),
    "leftovers with odd names": (FINE, lambda folder, place: [(folder / "checkpoints" / name).mkdir() for name in ("..old", "...old", "....old", ".old", ". .new")]),
    "a header of 2^63 bytes, signed": (BEFORE, _header(b"{}", 2**63)),
    "a header 100,000 deep, signed": (BEFORE, _header(b'{"a":' * 100_000)),
    "tensors of 2^60 numbers, signed": (BEFORE, _header(b'{"w":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4611686018427387904]}}')),
    "tensors with a name that climbs, signed": (REFUSED, _header(b'{"../../x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', data=bytes(4))),
    "no tensors, signed": (REFUSED, _header(b"{}")),
    "tensors of a terabyte of nothing": (BEFORE, _sparse),
    "a state that is a list, signed": (BEFORE, _signed(_raw("state.json", b"[1]"))),
    "a state of nothing, signed": (CHANGED, _signed(_raw("state.json", b"{}"))),
    "a state 100,000 deep, signed": (BEFORE, _signed(_raw("state.json", b"[" * 100_000))),
    "a state with 5,000 digits, signed": (BEFORE, _signed(_raw("state.json", b'{"learning_rate": ' + b"9" * 5000 + b"}"))),
    "a state with a rate of 400 digits, signed": (REFUSED, _state(learning_rate=10**400)),
    "a state with code for a rate, signed": (REFUSED, _state(learning_rate="__import__('os')")),
    "a state of another base, signed": (CHANGED, _state(base_hash=["x"])),
    "data that is a link outside": ("no regular file", _instead("data.jsonl", lambda path, place: path.symlink_to(place.secret))),
    "data that is a pipe": ("no regular file", _instead("data.jsonl", lambda path, place: os.mkfifo(path))),
    "data that is a pickle": ("was changed after|could not be read|cannot be read", _instead("data.jsonl", lambda path, place: path.write_bytes(PICKLE + b"\n"))),
    "data 100,000 deep": ("was changed after|cannot be read", _instead("data.jsonl", lambda path, place: path.write_bytes(b"[" * 100_000 + b"\n"))),
    "an adapter that is a link outside": (FINE, _instead("adapter", lambda path, place: path.symlink_to(place.outside))),
    "an adapter that is a pipe": (FINE, _instead("adapter", lambda path, place: os.mkfifo(path))),
    "commands of an earlier attempt": (FINE, _commands(b'{"kind": "stop", "attempt": 1}')),
    "commands of nobody": (FINE, _commands(b"\xff\0", PICKLE, b"[" * 100_000, b"{}", b'{"kind": ["stop"], "attempt": 2}', b"9" * 5000)),
    "commands that set what is none": (FINE, _commands(b'{"kind": "set", "attempt": 2, "field": "__class__", "value": 1}', b'{"kind": "set", "attempt": 2, "field": "learning_rate", "value": NaN}')),
    "a command of attempt 400 digits": (FINE, _commands(b'{"kind": "stop", "attempt": ' + b"9" * 400 + b"}")),
    "a command of 50 MB": (FINE, _commands(b'{"kind": "stop", "x": "' + b"x" * (50 * 2**20) + b'"}')),
    "commands that are a link outside": (FINE, _instead("control.jsonl", lambda path, place: path.symlink_to(place.secret))),
    "commands that are a pipe": (FINE, _instead("control.jsonl", lambda path, place: os.mkfifo(path))),
    "a heartbeat that is a link outside": ("failed at 0: .*no heartbeat", _instead("heartbeat", lambda path, place: path.symlink_to(place.outside / "beat"))),
    "a heartbeat that is a pipe": ("failed at 0: .*no heartbeat", _instead("heartbeat", lambda path, place: os.mkfifo(path))),
    "a heartbeat that is a folder": ("failed at 0: .*no heartbeat", _instead("heartbeat", lambda path, place: path.mkdir())),
}  # fmt: skip
