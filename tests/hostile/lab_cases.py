"""Hostile configs, run folders and logs of runs."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import MARK, Case, Place
from tests.hostile.files import PICKLE

SFT = b'stage = "sft"\ndataset = "no such data"\n'
NONE = "no data set 'no such data'"
NO_TOML = "not valid TOML|cannot be read|nested too deep|longer than any"

TOMLS: dict[str, tuple[str, bytes]] = {
    "nothing": ("stage must be", b""),
    "a pickle": ("cannot be read", PICKLE),
    "bytes that are not UTF-8": ("cannot be read", SFT + b'note = "\xff"\n'),
    "a NUL": (NO_TOML, SFT + b'note = "a\0b"\n'),
    "lists 50,000 deep": (NO_TOML, SFT + b"x = " + b"[" * 50_000 + b"]" * 50_000),
    "tables 20,000 deep": (NO_TOML, SFT + b"x = " + b"{a=" * 20_000 + b"1" + b"}" * 20_000),
    "a key of 30,000 parts": ("too deep", SFT + b".".join([b"a"] * 30_000) + b" = 1\n"),
    "a table of 30,000 parts": ("too deep", SFT + b"[" + b".".join([b"a"] * 30_000) + b"]\n"),
    "a key of 30,000 parts in a table": ("too deep", SFT + b"x = {" + b".".join([b"a"] * 30_000) + b" = 1}\n"),
    "an integer of 5,000 digits": (NO_TOML, SFT + b"seed = " + b"9" * 5000 + b"\n"),
    "an integer of 100 digits": ("seed", SFT + b"seed = " + b"9" * 100 + b"\n"),
    "20 MB": ("cannot be read", b"#" * (20 * 2**20)),
    "a megabyte": ("longer than any", b"#" * 2**20),
    "a stage that is a list": ("stage must be", b"stage = ['sft']\n"),
    "a stage that is a table": ("stage must be", b"[stage]\na = 1\n"),
    "a stage of 100,000 letters": ("stage must be", b'stage = "' + b"x" * 100_000 + b'"\n'),
    "5,000 settings that are none": ("no such setting", SFT + b"".join(b"x%d = 1\n" % n for n in range(5000))),
    "a setting of Python's own": ("no such setting", SFT + b"__class__ = 1\nmodel_config = 1\n"),
    "an infinite rate": ("learning_rate", SFT + b"learning_rate = inf\n"),
    "a rate that is not a number": ("learning_rate", SFT + b"learning_rate = nan\n"),
    "a rate that is code": ("learning_rate", SFT + b"learning_rate = \"__import__('os').system('lab_canary')\"\n"),
    "a date for a seed": ("seed", SFT + b"seed = 1979-05-27\n"),
    "a model that is a device": ("is not there", SFT + b'model = "/dev/zero"\n'),
    "a model that climbs": ("is not there|no config.json", SFT + b'model = "../../outside"\n'),
    "a model of 10,000 letters": ("is not there", SFT + b'model = "' + b"x" * 10_000 + b'"\n'),
    "a hub id of 10,000 letters": ("neither a folder nor", SFT + b'model = "a/' + b"x" * 10_000 + b'"\n'),
    "a model with a NUL": ("is not there", SFT + b'model = "x\\u0000y"\n'),
    "a model of somebody unknown": ("is not there", SFT + b'model = "~nobody-of-that-name/x"\n'),
    "a model on the network": ("is not there|neither", SFT + b'model = "http://127.0.0.1:9/x"\n'),
    "a start that climbs": ("no run", SFT + b'start_from = "../../outside"\n'),
    "a start of 10,000 letters": ("no run", SFT + b'start_from = "' + b"x" * 10_000 + b'"\n'),
    "a start with a NUL": ("no run", SFT + b'start_from = "x\\u0000y"\n'),
    "a reward function that is a device": ("approved|no data set|reward_function", b'stage = "ppo"\ndataset = "no such data"\nreward_function = "/dev/zero"\n'),
    "a pattern that never ends": (NONE + "|pattern|regex", b'stage = "ppo"\ndataset = "no such data"\nregex = "(x+x+)+y"\n'),
    "a data set of SQL": ("no data set", b'stage = "sft"\ndataset = "\'; DROP TABLE runs; --"\n'),
    "controls for a note": (NONE, SFT + b'note = "\\u001b[2J\\u202e"\n'),
    "a reward that is a million": (".+", b'stage = "ppo"\ndataset = "no such data"\nreward_model = "' + b"r" * 100_000 + b'"\n'),
}  # fmt: skip


def _toml(content: bytes) -> Callable[[Place], Path]:
    def make(place: Place) -> Path:
        (place.folder / "run.toml").write_bytes(content)
        return place.folder / "run.toml"

    return make


def _pipe(place: Place) -> Path:
    os.mkfifo(place.folder / "run.toml")
    return place.folder / "run.toml"


def _function(place: Place) -> Path:
    """A reward function beside the config, which nobody has approved."""
    (place.folder / "reward.py").write_text(place.code)
    named = json.dumps(str(place.folder / "reward.py"))
    return _toml(f'stage = "ppo"\ndataset = "no such data"\nreward_function = {named}\n'.encode())(place)


Change = Callable[[Path, Place], object]
NOT_READ = "0 runs"


def _raw(name: str, content: bytes) -> Change:
    return lambda folder, place: (folder / name).write_bytes(content)


def _instead(name: str, how: Callable[[Path, Place], object]) -> Change:
    def change(folder: Path, place: Place) -> None:
        (folder / name).unlink(missing_ok=True)
        how(folder / name, place)

    return change


def _json(name: str, **changes: Any) -> Change:
    def change(folder: Path, place: Place) -> None:
        found = json.loads((folder / name).read_text()) | changes
        (folder / name).write_text(json.dumps(found))

    return change


def _line(**fields: Any) -> bytes:
    return json.dumps({"attempt": 1, "seq": 2, "step": 1, "time": 1.0, **fields}).encode() + b"\n"


def _log(content: bytes) -> Change:
    """After a first event, and before a last one that says that it was read to the end."""
    first = _line(kind="started", seq=1, step=0, device="cpu")
    last = _line(kind="finished", seq=10**6, step=1, outcome="done", message="read to the end")
    return lambda folder, place: (folder / "events.jsonl").write_bytes(first + content + last)


def _long(folder: Path, place: Place) -> None:
    with (folder / "events.jsonl").open("wb") as file:
        file.write(_line(kind="started", seq=1, step=0, device="cpu"))
        file.truncate(300 * 2**20)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + _line(kind="finished", seq=9, outcome="done", message="read to the end"))


def _elsewhere(folder: Path, place: Place) -> None:
    """The run itself is a link to a folder outside."""
    shutil.rmtree(folder)
    folder.symlink_to(place.outside)


ONE = "^1 runs"
WHOLE = "^1 runs.*read to the end"
RUNS: dict[str, tuple[str, Change]] = {
    "a config that is a pickle": (NOT_READ, _raw("config.json", PICKLE)),
    "a config 100,000 deep": (NOT_READ, _raw("config.json", b"[" * 100_000)),
    "a config of 20 MB": (NOT_READ, _raw("config.json", b'"' + b"x" * (20 * 2**20) + b'"')),
    "a config that is a pipe": (NOT_READ, _instead("config.json", lambda path, place: os.mkfifo(path))),
    "a config that is a folder": (NOT_READ, _instead("config.json", lambda path, place: path.mkdir())),
    "a config that is a link outside": (NOT_READ, _instead("config.json", lambda path, place: path.symlink_to(place.secret))),
    "a config of another stage": (NOT_READ, _json("config.json", stage=["sft"])),
    "a config with code": (NOT_READ, _json("config.json", __reduce__=f"os.system('{MARK}')")),
    "a manifest that is a pickle": (NOT_READ, _raw("manifest.json", PICKLE)),
    "a manifest 100,000 deep": (NOT_READ, _raw("manifest.json", b"[" * 100_000)),
    "a manifest that is a pipe": (NOT_READ, _instead("manifest.json", lambda path, place: os.mkfifo(path))),
    "a manifest that is a link outside": (NOT_READ, _instead("manifest.json", lambda path, place: path.symlink_to(place.secret))),
    "a manifest with a start that climbs": (NOT_READ, _json("manifest.json", start_runs=["../../outside"])),
    "a manifest with a whole path": (NOT_READ, _json("manifest.json", reward_run="/etc")),
    "a manifest with dots": (NOT_READ, _json("manifest.json", reward_start_runs=[".."])),
    "a manifest made in a year that is not": (ONE, _json("manifest.json", created=1e300)),
    "a manifest with numbers too large": (".+", _json("manifest.json", records=10**300, train=-1)),
    "a process that is this one": (ONE, _raw("process.json", json.dumps({"pid": os.getpid(), "create_time": 0, "attempt": 1}).encode())),
    "a process that is everybody's": (ONE, _raw("process.json", b'{"pid": 1, "create_time": NaN, "attempt": 1}')),
    "a process below 0": (ONE, _raw("process.json", b'{"pid": -1, "create_time": 0, "attempt": 1}')),
    "a process of 400 digits": (ONE, _raw("process.json", b'{"pid": ' + b"9" * 400 + b', "create_time": 1e400, "attempt": 1}')),
    "a process that is a text": (ONE, _raw("process.json", b'{"pid": "; rm -rf", "create_time": [], "attempt": {}}')),
    "a process 100,000 deep": (ONE, _raw("process.json", b"[" * 100_000)),
    "a process that is a pipe": (ONE, _instead("process.json", lambda path, place: os.mkfifo(path))),
    "attempts that are no numbers": (ONE, lambda folder, place: [(folder / f"attempt-{n}").touch() for n in ("x", "-1", "9" * 200, "٣")]),
    "a heartbeat that is a pipe": (ONE, _instead("heartbeat", lambda path, place: os.mkfifo(path))),
    "a heartbeat of 100 MB": (ONE, lambda folder, place: os.truncate(_touched(folder / "heartbeat"), 100 * 2**20)),
    "a log that is a pipe": (ONE, _instead("events.jsonl", lambda path, place: os.mkfifo(path))),
    "a log that is a link outside": (ONE, _instead("events.jsonl", lambda path, place: path.symlink_to(place.secret))),
    "a log that is a folder": (ONE, _instead("events.jsonl", lambda path, place: path.mkdir())),
    "a run that is a link outside": (NOT_READ, _elsewhere),
    "a log of zeros": (WHOLE, _log(bytes(1_000_000) + b"\n")),
    "a log with a line of 300 MB": (WHOLE, _long),
    "a log 100,000 deep": (WHOLE, _log(b"[" * 100_000 + b"\n" + b'{"kind":' * 50_000 + b"\n")),
    "a log of a pickle": (WHOLE, _log(PICKLE + b"\n")),
    "a log with bytes that are not UTF-8": (WHOLE, _log(b'{"kind": "phase", "name": "\xff\xfe"}\n')),
    "a log with a lone surrogate": (WHOLE, _log(b'{"kind": "phase", "name": "\\ud800", "attempt": 1, "seq": 2}\n')),
    "a step of 400 digits": (WHOLE, _log(_line(kind="progress", done=10**400, total=1, step=10**400))),
    "a step of 2^64": (WHOLE, _log(_line(kind="progress", done=2**64, total=2**64, step=2**64))),
    "a step below 0": (WHOLE, _log(_line(kind="progress", done=-5, total=-5, step=-5))),
    "numbers of 5,000 digits": (WHOLE, _log(b'{"kind": "metrics", "values": {"x": ' + b"9" * 5000 + b'}, "attempt": 1, "seq": 2}\n')),
    "metrics that are no numbers": (WHOLE, _log(_line(kind="metrics", values={"x": "NaN", "y": "inf", "z": "1e999"}))),
    "metrics with SQL for names": (WHOLE, _log(_line(kind="metrics", values={"'; DROP TABLE metrics; --": 1.0}))),
    "20,000 names of metrics": (WHOLE, _log(_line(kind="metrics", values={f"m{n}": 1.0 for n in range(20_000)}))),
    "a name of a megabyte": (WHOLE, _log(_line(kind="metrics", values={"m" * 2**20: 1.0}))),
    "a checkpoint elsewhere": (WHOLE, _log(_line(kind="checkpointed", path="../../../outside/secret.txt"))),
    "samples of markup": (
        WHOLE,
        _log(_line(kind="samples", name="heldout", rows=[{"prompt": "<img src=file:///etc/passwd>", "completion": "\u202e"}])),
    ),
    "samples that do not fit their numbers": (
        WHOLE,
        _log(_line(kind="samples", name="rollout", rows=[
            {"prompt": "p", "completion": "c", "pieces": ["a"] * 1000, "per_token": {"kl": [1.0], "x" * 10_000: []}}])),
    ),
    "a histogram of nothing": (WHOLE, _log(_line(kind="histogram", name="x", edges=[], counts=[1, 2, 3]))),
    "kinds that nobody knows": (WHOLE, _log(_line(kind="evil", run=f"os.system('{MARK}')") * 1000)),
    "a kind that is a list": (WHOLE, _log(_line(kind=["metrics"]))),
    "200 resumptions": (WHOLE, _log(b"".join(_line(kind="resumed", attempt=n, seq=1, step=0, device="x") for n in range(2, 202)))),
    "time that is infinite": (WHOLE, _log(_line(kind="phase", name="x", time=float("inf")))),
}  # fmt: skip


def _touched(path: Path) -> Path:
    path.touch()
    return path


def _run(change: Change) -> Callable[[Place], Path]:
    """A project with one run, made by hand and changed."""

    def make(place: Place) -> Path:
        folder = place.folder / "project"
        change(project(folder, "sft-1"), place)
        return folder

    return make


def project(folder: Path, name: str) -> Path:
    """A run in a project, made by hand."""
    run = folder / "runs" / name
    run.mkdir(parents=True)
    manifest = {"run": name, "stage": "sft", "created": 1.0, "dataset": "x", "data_sha256": "", "records": 1}
    (run / "manifest.json").write_text(json.dumps(manifest | {"train": 1, "heldout": 0}))
    (run / "config.json").write_text(json.dumps({"stage": "sft", "dataset": "x"}))
    (run / "attempt-1").touch()
    return run


def cases() -> list[Case]:
    """All of them: configs are TOML files, the others are projects."""
    found = [Case(f"config: {name}", words, _toml(content)) for name, (words, content) in TOMLS.items()]
    found.append(Case("config: a reward function beside it", "not approved", _function))
    found.append(Case("config: a pipe", "cannot be read", _pipe))
    found.append(Case("config: a folder", "cannot be read", lambda place: place.folder))
    return found + [Case(f"run: {name}", words, _run(change)) for name, (words, change) in RUNS.items()]
