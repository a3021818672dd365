"""Every hostile file, model, adapter, config and text, tried under watch: what was run, opened, and what it cost.

    PYTHONPATH=. python -m tests.hostile [--markdown] [--cases]

The exit status is 1 where anything was not as it should be.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.hostile import try_checkpoints, try_files, try_lab, try_models, try_window
from tests.hostile.case import Tried

_CODE = (
    "exec",
    "compile",
    "import",
    "pickle",
    "os.system",
    "os.exec",
    "os.spawn",
    "os.posix_spawn",
    "os.fork",
    "subprocess",
    "ctypes",
    "code",
)
_HEADER = ["", "tried", "code run", "sockets", "files outside", "as it should be", "most time", "most memory"]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--cases", action="store_true", help="every case, with what the lab said")
    wanted = parser.parse_args()
    tried: list[Tried] = []
    with tempfile.TemporaryDirectory() as folder:
        for what in (try_files, try_models, try_lab, try_checkpoints, try_window):
            sys.stderr.write(f"{what.__name__}\n")
            tried += what.run(Path(folder) / what.__name__)
    families = list(dict.fromkeys(one.family for one in tried))
    rows = [_row(family, [one for one in tried if one.family == family]) for family in families]
    rows.append(_row("all", tried))
    sys.stdout.write(_table([_HEADER, *rows], markdown=wanted.markdown))
    for one in tried:
        if wanted.cases:
            sys.stdout.write(f"{one.seconds:6.2f} s {one.megabytes:5.0f} MB  {one.case}: {one.said[:200]!r}\n")
        if one.problem:
            sys.stdout.write(f"{one.family}, {one.case}: {one.problem}\n")
    sys.exit(any(one.problem for one in tried))


def _row(family: str, tried: list[Tried]) -> list[str]:
    noted = [note for one in tried for note in one.noted]
    code = sum(note.startswith(_CODE) for note in noted)
    sockets = sum(note.startswith("socket") for note in noted)
    slowest, largest = max(tried, key=lambda one: one.seconds), max(tried, key=lambda one: one.megabytes)
    return [
        family,
        str(len(tried)),
        str(code),
        str(sockets),
        str(len(noted) - code - sockets),
        str(sum(not one.problem for one in tried)),
        f"{slowest.seconds:.2f} s ({slowest.case})",
        f"{largest.megabytes:.0f} MB ({largest.case})",
    ]


def _table(rows: list[list[str]], *, markdown: bool) -> str:
    if markdown:
        lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)


if __name__ == "__main__":
    main()
