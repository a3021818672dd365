"""The wheel, installed elsewhere: it starts there and brings its resources."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(CHECKOUT), cwd=place)
    [built] = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; what the wheel depends on is borrowed from this one."""
    place = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(place, with_pip=False)
    _run(
        sys.executable,
        "-m",
        "pip",
        f"--python={_python(place)}",
        "install",
        "--no-deps",
        "--quiet",
        str(wheel),
        cwd=place,
    )
    [site] = {Path(p) for p in place.rglob("site-packages")}
    # A path line adds the folder alone: an editable install of this checkout in it has no effect there.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place


def test_the_wheel_holds_code_resources_and_licence_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    resources = {f"rlhf_lab/{p.relative_to(CHECKOUT).as_posix()}" for p in _files(CHECKOUT / "resources")}
    assert resources <= names
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"rlhf_lab"}


def test_the_installed_program_starts_and_finds_its_resources(elsewhere: Path) -> None:
    program = _python(elsewhere).with_name("rlhf-lab")
    assert _run(str(program), "--version", cwd=elsewhere).startswith("rlhf-lab ")
    assert 'stage = "ppo"' in _run(str(program), "config", "ppo", cwd=elsewhere)
    asked = "from rlhf_lab.core.resources import resource; print(resource('model/config.json'), resource('datasets'))"
    found = _run(str(_python(elsewhere)), "-c", asked, cwd=elsewhere).split()
    assert all(Path(path).is_relative_to(elsewhere) for path in found), found
    listed = _run(str(program), "runs", "--json", "--project", str(elsewhere / "project"), cwd=elsewhere)
    assert listed == '{"runs": []}\n'


def _run(*command: str, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _python(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
