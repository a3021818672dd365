"""``rlhf-lab selfcheck``: the engine held against known answers on this machine, as a table for people.

The checks run in a process of their own, started by module name: they need torch, and this side does not.
"""

import json
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rlhf_lab.core.errors import LabError

ENTRY = (sys.executable, "-P", "-m", "rlhf_lab.engine.oracles")
Say = Callable[[str], None]
_WIDTH = 64


@dataclass
class Outcome:
    """Everything that was checked."""

    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The rows that do not hold."""
        return [row for row in self.rows if not row["ok"]]

    def as_json(self) -> dict[str, Any]:
        """The object of ``selfcheck --json``."""
        return {
            "ok": not self.failed,
            "device": self.device,
            "versions": self.versions,
            "checked": len(self.rows),
            "failed": len(self.failed),
            "oracles": self.rows,
        }


def check(*, device: str, every: bool, say: Say) -> Outcome:
    """Run the checks and say each row as soon as it is known."""
    command = [*ENTRY, "--device", device, *(["--all"] if every else [])]
    found = Outcome()
    # A file, not a second pipe: whatever a library says there cannot hold the child up.
    with tempfile.TemporaryFile() as noise:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=noise, text=True, encoding="utf-8"
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                _take(json.loads(line), found, say)
        noise.seek(0)
        said = noise.read().decode(errors="replace").strip().splitlines()
    if child.returncode not in (0, 1) or not found.rows:
        last = said[-1] if said else f"they ended with status {child.returncode}"
        raise LabError(f"The checks broke off: {last}. `rlhf-lab doctor` says what this machine lacks.")
    _close(found, say)
    return found


def _take(line: dict[str, Any], found: Outcome, say: Say) -> None:
    if "error" in line:
        raise LabError(line["error"])
    if "device" in line:
        found.device, found.versions = line["device"], line["versions"]
        say(f"The engine against known answers, on {found.device}.")
        say(f"{_fitted('', _WIDTH)} {'expected':>12} {'obtained':>12} {'tolerance':>10}")
        return
    found.rows.append(line)
    relation = "" if line["relation"] == "=" else f"{line['relation']} "
    expected, obtained = relation + _number(line["expected"]), _number(line["obtained"])
    verdict = "ok" if line["ok"] else "WRONG"
    say(f"{_fitted(line['name'], _WIDTH)} {expected:>12} {obtained:>12} {_number(line['tolerance']):>10}  {verdict}")


def _close(found: Outcome, say: Say) -> None:
    say("")
    for row in found.failed:
        say(f"WRONG: {row['name']}. {row['words']}")
    if found.failed:
        say(
            f"{len(found.failed)} of {len(found.rows)} do not hold: do not trust a curve of this machine. "
            "Try --device cpu, and another release of torch; if it stays, it is a fault of the lab: please report it."
        )
    else:
        say(f"All {len(found.rows)} hold: the engine computes on this machine what it should.")


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.1e}"


def _fitted(text: str, width: int) -> str:
    """Padded by what a terminal shows: combining marks such as the dot of ȧ take no room."""
    shown = sum(not unicodedata.combining(sign) for sign in text)
    return text + " " * (width - shown)
