"""The watch itself: what must not happen is seen when it does happen."""

import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_lab.engine import templates
from rlhf_lab.runs import importing, inference, source, warm
from rlhf_lab.runs.importing import Importing
from rlhf_lab.runs.project import Project
from tests.hostile.case import MARK
from tests.hostile.guard import Guard

ACTS = {
    "a file outside is read": ("open(outside + '/secret.txt').read()", "open: read"),
    "a folder outside is listed": ("os.listdir(outside)", "os.listdir: listed"),
    "a folder outside is walked": ("list(os.walk(outside))", "os.scandir: listed"),
    "a file outside is written": ("open(outside + '/new', 'w')", "open: written"),
    "a file outside is deleted": ("os.remove(outside + '/none')", "os.remove"),
    "a command is run": ("os.system('true')", "os.system"),
    "a program is started": ("subprocess.run(['true'])", "subprocess.Popen"),
    "a process is made": ("os.fork() or os._exit(0)", "os.fork"),
    "a socket is made": ("socket.socket()", "socket.__new__"),
    "a name is looked up": ("socket.getaddrinfo('localhost', 1)", "socket.getaddrinfo"),
    "a pickle is loaded": ("pickle.loads(pickle.dumps(os.getcwd))", "pickle.find_class"),
    "code is compiled": (f"compile('{MARK} = 1', '<string>', 'exec')", "compile: compiled: '<string>'"),
    "code is run": (f"exec('{MARK} = 1')", "exec: executed"),
    "a module beside the files is imported": ("sys.path.insert(0, project); import theirs", "exec: executed"),
    "a library beside the files is loaded": ("ctypes.CDLL(project + '/theirs.so')", "ctypes.dlopen"),
    "a database elsewhere is opened": ("sqlite3.connect(outside + '/x.sqlite')", "sqlite3.connect"),
    "a template is rendered elsewhere": (f"jinja2.Template('{MARK}').render()", "compile: compiled: '<template>'"),
}


def test_each_act_is_seen(tmp_path: Path) -> None:
    with Guard(tmp_path) as guard:
        (guard.project / "theirs.py").write_text("x = 1\n")
        code = (
            "import contextlib, ctypes, os, pickle, socket, sqlite3, subprocess, sys, jinja2\n"
            f"outside, project = {str(guard.outside)!r}, {str(guard.project)!r}\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        assert guard.seen() == []
        for act, _ in ACTS.values():
            code += "with contextlib.suppress(Exception):\n    " + act.replace("; ", "\n    ") + "\n"
        subprocess.run([sys.executable, "-c", code], check=True)
        seen = guard.seen()
    assert [what for what, (_, noted) in ACTS.items() if not any(line.startswith(noted) for line in seen)] == []


def test_the_kernel_sees_files_opened_by_any_library(tmp_path: Path) -> None:
    with Guard(tmp_path) as guard:
        subprocess.run([sys.executable, "-c", ""], check=True)
        subprocess.run(["cat", str(guard.outside / "secret.txt")], check=True, stdout=subprocess.DEVNULL)
        assert guard.seen() == ["opened outside the project: secret.txt"]


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for entry in (source.ENTRY, importing.ENTRY, inference.ENTRY, warm._ENTRY, templates.ENTRY):
        assert entry[1:3] == ("-P", "-m")
    with Guard(tmp_path) as guard:
        for name in ("json", "queue", "pydantic", "sqlite3", "pyarrow", "zstandard", "rlhf_lab"):
            (guard.project / f"{name}.py").write_text(f"{MARK} = 1\nraise SystemExit\n")
        (guard.project / "good.jsonl").write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n')
        monkeypatch.chdir(guard.project)
        Project.open(guard.project).close()
        with Importing(guard.project / "lab.sqlite") as data:
            assert data.import_files([guard.project / "good.jsonl"])[0].records == 1
        assert guard.seen() == []
