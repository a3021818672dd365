"""The README: its commands, its table of settings, and what it points at."""

import re
import subprocess
from pathlib import Path

import pytest

from rlhf_lab.core.reference import config_reference

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
START = "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e . && .venv/bin/rlhf-lab demo"
TEST = (
    "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]' "
    "&& .venv/bin/rlhf-lab doctor --fix && .venv/bin/pytest"
)
STARTED_BY_OTHERS = {
    "kills_careless.py",
    "memory_case.py",
    "equal_trl.py",
    "speed_lab.py",
    "speed_stages_lab.py",
    "speed_stages_trl.py",
    "speed_trl.py",
    "trl_peer.py",
}


@pytest.mark.parametrize("command", [START, TEST])
def test_each_command_is_one_line_with_a_spelling_for_windows(command: str) -> None:
    assert f"\n{command}\n" in README
    windows = command.replace("python3", "py -3").replace(".venv/bin/", ".venv\\Scripts\\")
    assert f"\n{windows}\n" in README


def test_ci_finds_the_test_command_in_the_readme() -> None:
    script = (CHECKOUT / ".ci" / "run").read_text()
    [pattern] = re.findall(r"grep -m 1 '(.+)' README\.md", script)
    found = subprocess.run(
        ["grep", "-m", "1", pattern, str(CHECKOUT / "README.md")], capture_output=True, text=True, check=True
    )
    assert found.stdout == TEST + "\n"


def test_the_table_of_settings_is_the_generated_one() -> None:
    _, found, _ = re.split("<!-- settings: (?:begin|end) -->\n", README)
    assert found.strip() == config_reference().strip(), "write it anew with: rlhf-lab config --reference"


def test_what_it_points_at_is_there() -> None:
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", README) if not t.startswith("http")]
    assert len(targets) >= 3
    assert not [t for t in targets if not (CHECKOUT / t).is_file()]


def test_the_tested_set_pins_every_dependency_and_names_no_build() -> None:
    lines = [line for line in (CHECKOUT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert pins["torch"] == "2.13.0"
    assert not [pin for pin in pins.values() if not re.fullmatch(r"[0-9.]+", pin)]
    project = (CHECKOUT / "pyproject.toml").read_text()
    wanted = {name.lower() for name in re.findall(r'^    "([A-Za-z][A-Za-z0-9-]+)>=', project, re.MULTILINE)}
    assert wanted <= {name.lower().replace("_", "-") for name in pins}


def test_every_benchmark_is_listed_and_every_listed_one_is_there() -> None:
    text = (CHECKOUT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([a-z_]+\.py)\b", text))
    listed |= {f"{name}.py" for name in re.findall(r"-m tests\.benchmarks\.(\w+)", text)}
    folder = CHECKOUT / "tests" / "benchmarks"
    commands = {file.name for file in folder.glob("*.py") if '__name__ == "__main__"' in file.read_text("utf-8")}
    assert listed == commands - STARTED_BY_OTHERS
