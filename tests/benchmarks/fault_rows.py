"""Faults of a window at work, each put for real: what ``fault_table.py`` plays on one project."""

import os
import resource
import signal
import subprocess
import sys

import psutil
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rlhf_lab.core.errors import LabError
from tests.benchmarks.fault_bench import PAIRS, Bench, Steps, ended, kill, python, release, said

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""
FILL = """
import os, sys
try:
    with open(sys.argv[1], "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
except OSError:
    pass
print("full", flush=True)
sys.stdin.readline()
os.unlink(sys.argv[1])
"""


def trainer_killed(bench: Bench) -> Steps:
    run = bench.train()
    yield bench.reached(run, 3)
    bench.inject("trainer killed (dead child)", "SIGKILL to the trainer")
    kill(bench.trainer(run))
    yield bench.says("failed", "signal 9", "micro_batch_size")
    bench.seen()
    bench.then("failed; buttons Show, Resume, Resume with micro_batch_size = 2")


def out_of_memory(bench: Bench) -> Steps:
    run = bench.train(batch_size=512, micro_batch_size=512)
    yield lambda: bench.lab.state(run).live and bench.lab.state(run).phase == "loading the model"
    bench.inject("out of memory", "RLIMIT_AS of the trainer put to what it has + 64 MB")
    trainer = bench.trainer(run)
    trainer.rlimit(psutil.RLIMIT_AS, (trainer.memory_info().vms + (64 << 20), resource.RLIM_INFINITY))
    yield bench.says("failed", "micro_batch_size")
    bench.seen()
    bench.then("failed; the window offers Resume with micro_batch_size = 256")


def hung(bench: Bench) -> Steps:
    run = bench.train()
    yield bench.reached(run, 3)
    bench.inject("hung step", "SIGSTOP to the trainer; default limits")
    os.kill(bench.trainer(run).pid, signal.SIGSTOP)
    yield bench.says("o sign of life for")
    bench.seen()
    first = bench.rows[-1].saw
    yield bench.says("failed", "Hung while")
    at, last = bench.rows[-1].seconds, None
    bench.seen()
    last = bench.rows[-1]
    last.then = f"first said after {at} s: “{first}”"
    bench.then(last.then)


def not_a_number(bench: Bench) -> Steps:
    run = bench.train()
    yield bench.reached(run, 3)
    bench.inject("NaN or infinite loss", "a learning rate of 100 set while it trains, until numbers overflow")
    bench.lab.set(run, "learning_rate", 100.0)
    yield bench.says("failed", "last good one")
    bench.seen()
    bench.then(f"the last good step is kept as its result: {bench.folder(run).has_result()}")


def checkpoint_damaged(bench: Bench) -> Steps:
    for how in ("a byte flipped", "cut short"):
        run = bench.train(checkpoint_every=2)
        yield bench.reached(run, 7)
        kill(bench.trainer(run))
        yield bench.ended(run)
        steps = sorted(int(path.name[5:]) for path in bench.folder(run).checkpoints.glob("step-*"))
        file = bench.folder(run).checkpoints / f"step-{steps[-1]}" / "tensors.safetensors"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content if "flipped" in how else content[: len(content) // 2])
        bench.clear()
        bench.inject(f"checkpoint: {how}", f"step-{steps[-1]} of steps {steps}; then Resume")
        bench.lab.resume(run)
        yield bench.says("A checkpoint is damaged", f"step {steps[-2]}")
        bench.seen()
        yield bench.reached(run, steps[-2] + 2)
        bench.then(f"goes on from step {steps[-2]}")
        bench.lab.stop(run)
        yield bench.ended(run)


def disk_full_in_training(bench: Bench) -> Steps:
    run = bench.train(checkpoint_every=1, lora_r=64)
    yield bench.reached(run, 2)
    bench.inject("disk full: a run saves", "the project's disk (tmpfs) filled to the last byte")
    filler = bench.lab.project.folder.parent / "filler"
    full = python(FILL, filler)
    yield said(full)
    bench.restart()
    yield bench.says(f"{bench.lab.state(run).title} waits", "needed", "free")
    bench.seen()
    step = bench.lab.state(run).step
    yield release(full)
    yield bench.reached(run, step + 3)
    yield bench.silent(" waits. ")
    bench.then(f"room made: goes on from step {step}, message gone")
    bench.lab.stop(run)
    yield bench.ended(run)


def disk_full_beside(bench: Bench) -> Steps:
    """A verdict, an import, a backup and a new run on a full disk."""
    yield from ranking(bench)
    filler = bench.lab.project.folder.parent / "filler"
    full = python(FILL, filler)
    yield said(full)
    bench.inject("disk full: a verdict", "as above, then verdicts until one finds no room")
    pane = bench.window.pane("rank")

    while not bench.says("Not stored")():
        bench.restart()
        press("1")
        yield lambda: True
    bench.seen()
    record = pane.desk.current.id
    yield release(full)
    press("1")
    yield lambda: pane.desk.current.id != record
    bench.then("the pair stays; with room made, the same key stores it")
    full = python(FILL, filler)
    yield said(full)
    bench.inject("disk full: a new run", "Start on the full disk")
    try:
        bench.train()
    except LabError as error:
        bench.window.show_problem(str(error))
    yield bench.says("free", "Delete something", "run needs")
    bench.seen()
    bench.then("no half-made run is left")
    bench.inject("disk full: a backup", "Back up now on the full disk")
    bench.session.keeper._begin(back_up)
    yield bench.says("cannot be copied", "needed", "free")
    bench.seen()
    bench.then("no part of a copy is left")
    bench.inject("disk full: an import", "a file of 20,000 pairs dropped on the full disk")
    yield from importing(bench)
    bench.seen()
    yield release(full)
    bench.then("no part of the data set is left")


def back_up(store: object, task: object) -> object:
    """The keeper's work for a copy that a person asks for."""
    from rlhf_lab.gui.keeper import _back_up

    return _back_up(store, task)  # type: ignore[arg-type]


def importing(bench: Bench) -> Steps:
    """A file comes in through the Data pane."""
    import json

    file = bench.place / "many.jsonl"
    row = {"chosen": "Yes, please. " * 20, "rejected": "Go away. " * 20}
    file.write_text("\n".join(json.dumps({"prompt": f"Tea number {n}?", **row}) for n in range(20_000)))
    bench.window.show_pane("data")
    pane = bench.window.pane("data")
    before = pane.list.count()
    pane.look_at([file])
    yield pane.panel.go.isVisible
    bench.restart()
    pane.panel.go.click()
    yield lambda: bench.says("No space")() or bench.says("full")() or pane.list.count() > before


def read_only(bench: Bench) -> Steps:
    run = bench.train(checkpoint_every=3)
    yield bench.reached(run, 2)
    place = bench.folder(run).path
    (place / "checkpoints").mkdir(exist_ok=True)
    bench.inject("read-only folder: a run saves", "a read-only disk mounted over its checkpoints/")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place / "checkpoints")], check=True)
    yield bench.says(f"{bench.lab.state(run).title} waits", "cannot be written", "needed")
    bench.seen()
    step = bench.lab.state(run).step
    subprocess.run(["umount", "-l", str(place / "checkpoints")], check=True)
    yield bench.reached(run, step + 2)
    bench.then(f"made writable: goes on from step {step}")
    bench.lab.stop(run)
    yield bench.ended(run)


def locked(bench: Bench) -> Steps:
    """Another process holds the write lock for long, while a run is recorded and a person works."""
    yield from ranking(bench)
    run = bench.train()
    yield bench.reached(run, 3)
    holder = python(HOLD, bench.lab.project.store.path)
    yield said(holder)
    bench.inject("database locked: a run is recorded", "BEGIN IMMEDIATE held by another process")
    step = bench.lab.state(run).step
    yield bench.reached(run, step + 3)
    live = bench.lab.state(run).step
    yield bench.says("in use by another process", "The run goes on")
    bench.seen()
    bench.then(f"the curves went on (to step {live}) meanwhile")
    pane = bench.window.pane("rank")
    record = pane.desk.current.id
    bench.inject("database locked: a verdict", "the same, key 1 in Rank")
    press("1")
    yield bench.says("Not stored", "in use by another process")
    bench.seen()
    bench.then("the pair stays" if pane.desk.current.id == record else "LOST")
    bench.inject("database locked: a new run", "the same, Start")
    runs = len(list(bench.lab.project.runs_folder.iterdir()))
    try:
        bench.train()
    except LabError as error:
        bench.window.show_problem(str(error))
    yield bench.says("in use by another process. Try again")
    bench.seen()
    left = len(list(bench.lab.project.runs_folder.iterdir())) - runs
    bench.then(f"{left} half-made run folders left")
    bench.inject("database locked: a record is deleted", "the same, through the Data pane's queue of changes")
    view = data_view(bench)
    bench.clear()
    bench.restart()
    store = bench.lab.project.store
    first = store.page(PAIRS, None, 1)[0].id
    view._changes.remove(PAIRS, [(first, first, 1)])
    yield bench.says("in use by another process")
    bench.seen()
    bench.then("the record stays: " + str(store.page(PAIRS, None, 1)[0].id == first))
    yield release(holder)
    yield lambda: len(store.curves(run, ["train/loss"])["train/loss"][0]) >= live
    bench.rows[-4].then += "; afterwards every step is in the database"
    bench.lab.stop(run)
    yield bench.ended(run)


def second_instance(bench: Bench) -> Steps:
    bench.window.showMinimized()
    bench.inject("second instance", "rlhf-lab --project … in another process")
    second = subprocess.Popen(
        [sys.executable, "-m", "rlhf_lab", "--project", str(bench.lab.project.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield lambda: not bench.window.isMinimized()
    bench._found = "the first window comes to the front"
    bench.seen()
    yield ended(second)
    bench.then(f"the second ends with status {second.returncode}")


def folder_gone(bench: Bench) -> Steps:
    run = bench.train()
    yield bench.reached(run, 3)
    folder = bench.lab.project.folder
    bench.inject("project folder renamed under the window", "os.rename while a run trains")
    folder.rename(folder.with_name("elsewhere"))
    yield bench.says("is gone", "Put it back")
    bench.seen()
    yield bench.ended(run)
    yield bench.says("failed", "was moved or deleted")
    folder.with_name("elsewhere").rename(folder)
    yield bench.says("is back")
    bench.lab.resume(run)
    yield lambda: bench.lab.state(run).outcome == "running"
    bench.then("the run ends in words; put back, it resumes")
    bench.lab.stop(run)
    yield bench.ended(run)


def ranking(bench: Bench) -> Steps:
    """Ada ranks pairs."""
    bench.window.show_pane("rank")
    pane = bench.window.pane("rank")
    if pane.start.isVisible():
        pane.start.name.setText("Ada")
        QTest.keyClick(pane.start.name, Qt.Key.Key_Return)
    pane.fill_in({"dataset": PAIRS})
    yield lambda: pane.bench.isVisible() and pane.desk.current is not None
    bench.window.activateWindow()
    yield bench.window.isActiveWindow
    pane.bench.take_focus()


def press(key: str) -> None:
    """Into whatever has the focus."""
    focus = QApplication.focusWidget()
    if focus is not None:
        QTest.keyClick(focus, key)


def data_view(bench: Bench) -> object:
    """The records of the pairs, as the Data pane shows them."""
    bench.window.show_pane("data")
    pane = bench.window.pane("data")
    pane.select(PAIRS)
    return pane.view.records


AT_WORK = (
    trainer_killed,
    out_of_memory,
    not_a_number,
    checkpoint_damaged,
    locked,
    second_instance,
    folder_gone,
)
"""Wherever the project lies."""
ON_A_SMALL_DISK = (disk_full_in_training, disk_full_beside, read_only)
"""On a disk of its own."""
SLOW = (hung,)
