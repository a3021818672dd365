"""Import, judge, undo, redo, edit, remove, reopen and export in any order, against plain lists and dicts."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Judgement, answers_of
from rlhf_lab.core.records import (
    AnyRecord,
    Candidates,
    Completion,
    Message,
    Pair,
    Prompt,
    Ranking,
    competition_ranks,
    dump_record,
    load_record,
)
from rlhf_lab.data.export import export
from rlhf_lab.data.importer import import_files
from rlhf_lab.store import Filters, Store
from tests.store.ranking_oracle import Oracle

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=5)
PEOPLE = st.sampled_from(["Ada", "Ben"])
Steps = list[dict[int, tuple[AnyRecord | None, AnyRecord | None]]]


class RankingMachine(RuleBasedStateMachine):
    """``records`` is what each data set holds now, by id; ``done`` and ``undone`` are the steps of its edits."""

    names: Bundle[str] = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.store = Store.open(self.path / "lab.sqlite")
        self.oracle = Oracle()
        self.records: dict[str, dict[int, AnyRecord]] = {}
        self.done: dict[str, Steps] = {}
        self.undone: dict[str, Steps] = {}
        self.files = 0

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(target=names, sizes=st.lists(st.integers(2, 4), min_size=1, max_size=5), text=TEXT)
    def import_a_file(self, sizes: list[int], text: str) -> str:
        self.files += 1
        records = [self._record(number, size, text) for number, size in enumerate(sizes)]
        path = self.path / f"file {self.files}.jsonl"
        path.write_bytes(b"".join(dump_record(record) + b"\n" for record in records))
        (result,) = import_files([path], self.store)
        assert (result.records, list(result.problems)) == (len(records), [])
        keys = [row.id for row in self.store.page(result.name)]
        self.records[result.name] = dict(zip(keys, records, strict=True))
        self.done[result.name], self.undone[result.name] = [], []
        return result.name

    @rule(name=names, who=PEOPLE, data=st.data())
    def judge(self, name: str, who: str, data: st.DataObject) -> None:
        if not self.records[name]:
            return
        key = data.draw(st.sampled_from(sorted(self.records[name])), label="record")
        size = len(answers_of(self.records[name][key]))
        order = st.lists(st.integers(1, size), min_size=size, max_size=size).map(competition_ranks)
        ranks = data.draw(st.just(()) | order, label="ranks")
        verdict = (
            ("tie" if len(set(ranks)) == 1 else "ranked") if ranks else data.draw(st.sampled_from(["both_bad", "skip"]))
        )
        said = Judgement(
            who=who,
            when=float(self.oracle.number),
            shown_order=tuple(data.draw(st.permutations(range(size)))),
            verdict=verdict,
            ranks=ranks,
            strength=data.draw(st.sampled_from([1, 2])),
            note=data.draw(st.text(max_size=3)),
            repeat=data.draw(st.booleans()),
        )
        self.store.judge(name, key, said)
        self.oracle.judge(name, key, said)

    @rule(who=PEOPLE)
    def undo(self, who: str) -> None:
        assert self.store.undo(who) == self.oracle.undo(who)

    @rule(who=PEOPLE)
    def redo(self, who: str) -> None:
        assert self.store.redo(who) == self.oracle.redo(who)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.path / "lab.sqlite")

    @rule(name=names, data=st.data())
    def remove(self, name: str, data: st.DataObject) -> None:
        held = self.records[name]
        if keys := data.draw(st.sets(st.sampled_from(sorted(held))) if held else st.just(set[int]())):
            self.store.remove(name, keys)
            self._new_step(name, {key: (held[key], None) for key in sorted(keys)})

    @rule(name=names, text=TEXT, data=st.data())
    def edit(self, name: str, text: str, data: st.DataObject) -> None:
        if not self.records[name]:
            return
        key = data.draw(st.sampled_from(sorted(self.records[name])))
        old = self.records[name][key]
        new = old.model_copy(update={"prompt": Prompt(messages=(Message(role="user", content=text),))})
        self.store.edit(name, key, new)
        if new != old:
            self._new_step(name, {key: (old, new)})

    @rule(name=names, back=st.booleans())
    def undo_or_redo_an_edit(self, name: str, back: bool) -> None:
        change = self.store.undo_edit(name) if back else self.store.redo_edit(name)
        source, target = (self.done, self.undone) if back else (self.undone, self.done)
        if not source[name]:
            assert change is None
            return
        step = source[name].pop()
        target[name].append(step)
        assert change is not None
        assert list(change.ids) == list(step)
        self._apply(name, {key: (new, old) if back else (old, new) for key, (old, new) in step.items()})

    @rule(name=names)
    def export_the_records(self, name: str) -> None:
        if not self.records[name]:
            with pytest.raises(LabError, match="No record"):
                export(self.store, name, self.path / "out.jsonl")
            return
        assert self._exported(name) == [record for _, record in sorted(self.records[name].items())]

    @rule(name=names)
    def export_what_was_said(self, name: str) -> None:
        expected = [
            _ranked(self.records[name][key], said)
            for key, said in sorted(self._live(name), key=lambda judged: judged[0])
            if said.ranks and not said.repeat
        ]
        try:
            made = self.store.ranked_dataset(name, "ranked", how_many="each")
        except LabError:
            assert expected == []
            return
        assert self._exported(made.name) == expected
        self.store.delete_dataset(made.name)

    @rule(name=consumes(names))
    def delete(self, name: str) -> None:
        self.store.delete_dataset(name)
        self.oracle.delete(name)
        del self.records[name]

    @rule(target=names, name=consumes(names), number=st.integers(0, 3))
    def rename(self, name: str, number: int) -> str:
        new = f"renamed {number}"
        if new in self.records:
            return name
        self.store.rename_dataset(name, new)
        for table in (self.records, self.done, self.undone):
            table[new] = table.pop(name)  # type: ignore[attr-defined]
        for pile in (*self.oracle.said.values(), *self.oracle.undone.values()):
            pile[:] = [(number, (new if judged[0] == name else judged[0], *judged[1:])) for number, judged in pile]
        return new

    @rule(name=names)
    def index(self, name: str) -> None:
        assert self.store.build_search(name)

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        assert {row.name: row.records for row in self.store.datasets()} == {
            name: len(held) for name, held in self.records.items()
        }
        for name, held in self.records.items():
            assert [(row.id, row.record) for row in self.store.page(name)] == sorted(held.items())
            live = self._live(name)
            assert list(self.store.verdicts(name)) == live
            assert self.store.verdict_count(name) == len(live)
            judged = {key for key, _ in live}
            assert [row.id for row in self.store.page(name, filters=Filters(judged=True))] == sorted(judged)
            for position, key in enumerate(sorted(held)):
                assert self.store.page_at(name, position, 1)[0].id == key

    def _live(self, name: str) -> list[tuple[int, Judgement]]:
        return [(key, said) for key, said in self.oracle.live(name) if key in self.records[name]]

    def _exported(self, name: str) -> list[AnyRecord]:
        target = self.path / "out.jsonl"
        result = export(self.store, name, target)
        records = [load_record(line) for line in target.read_bytes().splitlines()]
        assert (result.records, result.left_out) == (len(records), {})
        target.unlink()
        return records

    def _record(self, number: int, size: int, text: str) -> AnyRecord:
        prompt = Prompt(messages=(Message(role="user", content=f"{self.files} {number} {text}"),))
        answers = tuple(Completion(text=f"answer {n} {text}") for n in range(size))
        if size == 2:
            return Pair(prompt=prompt, chosen=answers[0], rejected=answers[1])
        return Candidates(prompt=prompt, completions=answers, split="heldout")

    def _new_step(self, name: str, step: dict[int, tuple[AnyRecord | None, AnyRecord | None]]) -> None:
        self.undone[name] = []
        self.done[name].append(step)
        self._apply(name, step)

    def _apply(self, name: str, step: dict[int, tuple[AnyRecord | None, AnyRecord | None]]) -> None:
        for key, (_, new) in step.items():
            if new is None:
                del self.records[name][key]
            else:
                self.records[name][key] = new


def _ranked(record: AnyRecord, said: Judgement) -> AnyRecord:
    answers, tags = answers_of(record), {"annotator": said.who, "strength": said.strength}
    if len(answers) > 2:
        return Ranking(prompt=record.prompt, completions=answers, ranks=said.ranks, tags=tags, split=record.split)
    first, second = answers if said.ranks[0] <= said.ranks[1] else answers[::-1]
    return Pair(
        prompt=record.prompt, chosen=first, rejected=second, tie=said.verdict == "tie", tags=tags, split=record.split
    )


TestRanking = RankingMachine.TestCase
TestRanking.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
