"""Where a run comes from and what came of it: data, the runs that it stands on, and those that stand on it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from rlhf_lab.store import RunRow, Store

Kind = Literal["data", "sft", "reward", "policy"]
KINDS: tuple[Kind, ...] = ("data", "sft", "reward", "policy")
"""In the order of the work."""


@dataclass(frozen=True)
class Node:
    """A data set or a run; ``known`` is False where it is named and not there (any more)."""

    key: str
    kind: Kind
    known: bool = True


@dataclass(frozen=True)
class Lineage:
    """Nodes by kind and then by name; an edge leads from what was used to what used it."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]


def config_parents(config: Mapping[str, object]) -> tuple[str, ...]:
    """The runs that a config names, without the step of a checkpoint."""
    named = (config.get("start_from"), config.get("reward_model"))
    return tuple(dict.fromkeys(name.partition("@")[0] for name in named if isinstance(name, str) and name))


def parents(store: Store, rows: Iterable[RunRow]) -> dict[str, tuple[str, ...]]:
    """For each run those that it stands on."""
    return {row.run: config_parents(json.loads(store.run_config(row.run))) for row in rows}


def dependents(store: Store, run: str) -> list[str]:
    """Runs, outside of the trash, that stand on this one directly."""
    return [other for other, above in parents(store, store.runs()).items() if run in above]


def lineage(store: Store, chosen: Iterable[str]) -> Lineage:
    """All that the chosen runs came from, and all that came of them."""
    rows = {row.run: row for row in (*store.runs(), *store.runs(trashed=True))}
    above = parents(store, rows.values())
    below: dict[str, list[str]] = {}
    for run, named in above.items():
        for parent in named:
            below.setdefault(parent, []).append(run)
    wanted = list(chosen)
    runs = _reach(wanted, above) | _reach(wanted, below)
    nodes = {run: Node(run, _kind(run.rpartition("-")[0]), run in rows) for run in runs}
    edges = [(parent, run) for run in runs for parent in above.get(run, ()) if parent in runs]
    there = {row.name for row in store.datasets()}
    for run in runs:
        if run in rows and rows[run].dataset:
            name = rows[run].dataset
            nodes[f"data:{name}"] = Node(f"data:{name}", "data", name in there)
            edges.append((f"data:{name}", run))
    ordered = sorted(nodes.values(), key=lambda node: (KINDS.index(node.kind), _natural(node.key)))
    return Lineage(tuple(ordered), tuple(sorted(edges)))


def _reach(begin: Iterable[str], steps: Mapping[str, Iterable[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(begin)
    while waiting:
        run = waiting.pop()
        if run not in seen:
            seen.add(run)
            waiting += steps.get(run, ())
    return seen


def _kind(stage: str) -> Kind:
    return "sft" if stage == "sft" else "reward" if stage == "reward" else "policy"


def _natural(key: str) -> tuple[str, int]:
    stage, _, number = key.rpartition("-")
    return (stage, int(number)) if number.isdigit() else (key, 0)
