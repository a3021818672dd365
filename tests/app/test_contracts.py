"""What holds for the code as a whole: style, types, and which room may import which."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "peft", "pandas", "pyarrow")


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy", "lint-imports"])
def test_checker_finds_nothing(command: str) -> None:
    name, *arguments = command.split()
    program = shutil.which(name, path=str(Path(sys.executable).parent))
    assert program is not None, f"{name} is not installed beside {sys.executable}"
    ended = subprocess.run([program, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "module", ["rlhf_lab.gui.app", "rlhf_lab.gui.main_window", "rlhf_lab.cli", "rlhf_lab.runs.project"]
)
def test_no_process_of_the_window_loads_torch(module: str) -> None:
    asked = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", asked], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == "[]", ended.stdout + ended.stderr


def test_the_help_loads_nothing_heavy() -> None:
    asked = (
        "import sys\nfrom rlhf_lab.cli import app\ntry:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('PySide6', 'sqlite_utils', 'psutil', 'pydantic', 'torch') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", asked], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines()[-1] == "[]", ended.stdout + ended.stderr
