"""One small file of every format in every container: was it detected, were its records and its one problem found?

    PYTHONPATH=. python tests/benchmarks/import_table.py [--markdown]

Also the sample files beside the project, where they are there. The exit status is 1 where anything was wrong.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.importer import ImportResult, import_files
from rlhf_lab.store import Store
from tests.conftest import SAMPLES
from tests.data.containers import CONTAINERS
from tests.data.family_cases import CASES, Case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--markdown", action="store_true")
    wanted = parser.parse_args()
    header = ["format", "kind", "records", "problems", *CONTAINERS]
    rows = []
    with tempfile.TemporaryDirectory() as name, Store.open(Path(name) / "lab.sqlite") as store:
        for number, case in enumerate(CASES):
            cells = [found(case, container, store, Path(name) / f"{number}-{container}") for container in CONTAINERS]
            rows.append([case.format, case.records[0].kind, str(len(case.records)), "1", *cells])
        samples = [imported(path, store) for path in sorted(SAMPLES.glob("*.json"))]
    if wanted.markdown:
        lines = [header, ["---"] * len(header), *rows]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    else:
        widths = [max(len(line[n]) for line in [header, *rows]) for n in range(len(header))]
        text = "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in [header, *rows])
    sys.stdout.write(f"{text}\n\n")
    for sample in samples:
        sys.stdout.write(
            f"{sample.name}: {sample.format}, {sample.kind}, {sample.records} records, {sample.problems_total} problems"
            f" (lines {', '.join(str(problem.line) for problem in sample.problems) or 'none'})\n"
        )
    wrong = sum(cell != "ok" for row in rows for cell in row[4:])
    sys.stdout.write(f"{len(CASES) * len(CONTAINERS)} files, {wrong} of them read otherwise than they should be\n")
    sys.exit(bool(wrong))


def found(case: Case, container: str, store: Store, path: Path) -> str:
    """ "ok", or what is wrong."""
    path.write_bytes(CONTAINERS[container]([*case.rows, case.bad]))
    try:
        result = imported(path, store)
    except LabError:
        return "refused"
    columns = {name for row in case.rows for name in row}
    shown = "CSV" if container == "TSV" and len(columns) == 1 else container
    if result.format != f"{case.format} ({shown})":
        return f"taken for {result.format}"
    if list(store.records(result.name)) != case.records:
        return "records differ"
    reasons = [problem.reason for problem in result.problems]
    return "ok" if len(reasons) == 1 and case.reason in reasons[0] else "problems differ"


def imported(path: Path, store: Store) -> ImportResult:
    """The result of one file."""
    return import_files([path], store, heldout=0)[0]


if __name__ == "__main__":
    main()
