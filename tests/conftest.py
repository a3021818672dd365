"""For every test: no display, no network, a home of its own, and nothing left running behind."""

import contextlib
import gc
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

import rlhf_lab.gui  # noqa: F401 - PySide, which pytest-qt imports, would read the source of all that tests import
from tests.warm_children import NURSERIES, Nursery, popen

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Some hundred processes of ours import the same modules: these are compiled once, not in each of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A shared machine may stop for longer than any deadline of one example.
hypothesis.settings.register_profile("lab", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("lab")

SAMPLES = Path(__file__).parents[2] / "shared" / "data"
"""Real sample files (Apache-2.0) that lie beside the project and are never committed."""


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("RLHF_LAB_HOME", str(home))
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))  # what this machine has downloaded is no part of a test


@pytest.fixture(scope="session")
def _nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def warm_children(_nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that train, answer or export begin with their libraries imported: a tenth of a second for four.

    For tests of what becomes of their work. How they start is tested where they are started as ever: by
    `test_engine_child.py`, `test_inference.py`, `test_exporting.py`, `test_model_work.py`, `test_window.py`,
    `test_cli.py`, `test_cli_training.py`, `test_doctor.py` and `test_wheel.py`.
    """
    if sys.platform == "linux":
        _nursery.begin()  # now, and not while the first test that starts one waits for what it does
        monkeypatch.setattr(subprocess, "Popen", popen(_nursery))


@pytest.fixture(scope="session")
def _database_with_what_is_bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from rlhf_lab.runs.project import Project

    with Project.open(tmp_path_factory.mktemp("bundled")) as made:
        made.ensure_bundled()
    return made.folder / "lab.sqlite"


@pytest.fixture
def bundled_data(_database_with_what_is_bundled: Path, tmp_path: Path) -> Path:
    """The folder of a project into which the bundled data have been put, half a second's work, before the test."""
    folder = tmp_path / "project"
    folder.mkdir(mode=0o700)
    return Path(shutil.copy2(_database_with_what_is_bundled, folder)).parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """The widgets of a test go at its end, in Qt's order; pytest-qt has closed them by now."""
    if "PySide6.QtWidgets" in sys.modules:
        from PySide6.QtCore import QCoreApplication, QEvent

        if QCoreApplication.instance() is not None:
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    return (yield)


@pytest.fixture(autouse=True, scope="module")
def _cycles_end_in_their_own_thread() -> Iterator[None]:
    """What a module's tests leave to the collector is collected here, not in a thread of a later test."""
    yield
    gc.collect()
    gc.freeze()  # what is left was imported or is kept for all: later collections need not walk through it


FIRST = (
    *("app/test_cli_training", "app/test_contracts", "app/test_demo", "app/test_round_trip", "app/test_selfcheck"),
    *("app/test_window", "engine/test_export", "hostile/test_checkpoints", "hostile/test_files"),
    *("hostile/test_models", "runs/test_model_work", "store/test_ranking_machine"),
)
"""Modules with a test of five to fifteen seconds: begun last, one of them would be waited for alone."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of what was shuffled, the long ones come first."""
    items.sort(key=lambda item: not item.nodeid.removeprefix("tests/").startswith(FIRST))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported is looked through by the collector once, at the end: a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What all tests have imported stays: the collector would walk through its half million objects again and again."""
    gc.collect()
    gc.freeze()


SERVES_THE_PROCESS = "rlhf_lab.engine.template_child"
"""Renders chat templates from the first one on, and ends with the process that started it (tested on its own)."""


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """A test that leaves a thread or a child process running fails, and says which."""
    threads = set(threading.enumerate())
    children = _descendants()
    yield
    left = [t for t in threading.enumerate() if t not in threads and not t.daemon]
    for thread in left:
        thread.join(5)
    assert not [t for t in left if t.is_alive()], f"threads left running: {left}"
    born = [child for child in map(_process, _descendants() - children) if child is not None and not _serves(child)]
    _, alive = psutil.wait_procs(born, timeout=5)
    lines = [" ".join(child.cmdline()) for child in alive]
    for child in alive:
        child.kill()
    assert not lines, f"child processes left running: {lines}"


def _descendants() -> set[int]:
    """Of this process. psutil looks at every process of the machine for them, so Linux is asked first."""
    found: set[int] = set()
    new = {os.getpid()}
    while new:
        by_thread = [_read(children) for pid in new for children in _by_thread(pid)]
        if not by_thread and not found:
            return {child.pid for child in psutil.Process().children(recursive=True)}
        new = {int(pid) for pids in by_thread for pid in pids.split()} - found
        found |= new
    return found


def _by_thread(pid: int) -> list[Path]:
    with contextlib.suppress(OSError):  # of a process that has just ended
        return list(Path(f"/proc/{pid}/task").glob("*/children"))
    return []


def _read(file: Path) -> bytes:
    with contextlib.suppress(OSError):  # of a thread that has just ended
        return file.read_bytes()
    return b""


def _process(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid)
    return None


def _serves(process: psutil.Process) -> bool:
    if process.pid in NURSERIES:
        return True
    with contextlib.suppress(psutil.NoSuchProcess):
        return SERVES_THE_PROCESS in process.cmdline()
    return False
