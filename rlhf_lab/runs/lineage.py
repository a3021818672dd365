"""Where a run comes from and what came of it: data, the runs that it stands on, and those that stand on it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from rlhf_lab.core.naming import run_title
from rlhf_lab.store import DatasetRow, RunRow, Store

Kind = Literal["data", "sft", "reward", "policy", "votes"]
KINDS: tuple[Kind, ...] = ("data", "sft", "reward", "policy", "votes")
"""In the order of the work."""
VOTED = ("blind votes", "fresh answers")
"""Formats of the data sets in which answers of runs are kept, to be judged."""
_DATA = "data:"


@dataclass(frozen=True)
class Node:
    """A data set ("data:" and its name) or a run; ``known`` is False where it is named and not there (any more)."""

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


def dependents(store: Store, runs: Iterable[str]) -> dict[str, list[str]]:
    """For each of these runs those, outside of the trash, that stand on it directly."""
    found = parents(store, store.runs())
    return {run: [other for other, above in found.items() if run in above] for run in runs}


def lineage(store: Store, chosen: Iterable[str]) -> Lineage:
    """All that the chosen runs came from, and all that came of them: also by votes on their answers."""
    rows = {row.run: row for row in (*store.runs(), *store.runs(trashed=True))}
    sets = {row.name: row for row in store.datasets()}
    edges = {(parent, run) for run, named in parents(store, rows.values()).items() for parent in named}
    edges |= {(_data(row.dataset), run) for run, row in rows.items() if row.dataset}
    edges |= set(_of_votes(store, sets.values(), rows))
    above, below = _neighbours((after, before) for before, after in edges), _neighbours(edges)
    wanted = list(chosen)
    found = _reach(wanted, above) | _reach(wanted, below)
    # A run is shown with its data also where only the run came of what was chosen.
    found |= {before for before, after in edges if after in found and before.startswith(_DATA)}
    nodes = [_node(key, rows, sets) for key in found]
    ordered = sorted(nodes, key=lambda node: (KINDS.index(node.kind), _natural(node.key)))
    return Lineage(tuple(ordered), tuple(sorted((a, b) for a, b in edges if a in found and b in found)))


def _of_votes(store: Store, sets: Iterable[DatasetRow], runs: Iterable[str]) -> Iterable[tuple[str, str]]:
    """From runs to the votes on their answers, and from verdicts to the data that was made of them."""
    titles = {run_title(run): run for run in runs}
    for row in sets:
        if row.format == "ranked" and row.source:
            yield _data(row.source), _data(row.name)
        if row.format in VOTED:
            for source, _ in store.sources(row.name):
                # Models that wrote the same share an answer.
                yield from ((titles[one], _data(row.name)) for one in source.split(", ") if one in titles)


def _node(key: str, rows: Mapping[str, RunRow], sets: Mapping[str, DatasetRow]) -> Node:
    if not key.startswith(_DATA):
        return Node(key, _kind(key.rpartition("-")[0]), key in rows)
    name = key.removeprefix(_DATA)
    voted = name in sets and sets[name].format in VOTED
    return Node(key, "votes" if voted else "data", name in sets)


def _data(name: str) -> str:
    return f"{_DATA}{name}"


def _neighbours(edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for begin, end in edges:
        found.setdefault(begin, []).append(end)
    return found


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
