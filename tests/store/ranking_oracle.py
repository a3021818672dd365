"""What the store must say of verdicts, kept in plain lists: a person's history, and what of it counts."""

from dataclasses import dataclass, field

from rlhf_lab.core.judgement import Judgement

Judged = tuple[str, int, Judgement]


@dataclass
class Oracle:
    """Every verdict with its number, by person; what was undone waits on a pile until the next verdict."""

    said: dict[str, list[tuple[int, Judged]]] = field(default_factory=dict)
    undone: dict[str, list[tuple[int, Judged]]] = field(default_factory=dict)
    number: int = 0

    def judge(self, dataset: str, record: int, judgement: Judgement) -> None:
        """A new verdict drops what its person could redo."""
        self.number += 1
        self.undone[judgement.who] = []
        self.said.setdefault(judgement.who, []).append((self.number, (dataset, record, judgement)))

    def undo(self, who: str) -> Judged | None:
        """From the history to the pile."""
        return self._move(self.said.get(who, []), self.undone.setdefault(who, []))

    def redo(self, who: str) -> Judged | None:
        """And back."""
        return self._move(self.undone.get(who, []), self.said.setdefault(who, []))

    def live(self, dataset: str) -> list[tuple[int, Judgement]]:
        """All repeats, and of the rest each person's last word on each record, in the order in which they were given."""
        counting: dict[object, tuple[int, Judged]] = {}
        for who, history in self.said.items():
            for number, judged in history:
                counting[number if judged[2].repeat else (who, judged[0], judged[1])] = (number, judged)
        return [(record, said) for _, (name, record, said) in sorted(counting.values(), key=_number) if name == dataset]

    def delete(self, dataset: str) -> None:
        """The verdicts on a data set go with it."""
        for pile in (*self.said.values(), *self.undone.values()):
            pile[:] = [entry for entry in pile if entry[1][0] != dataset]

    @staticmethod
    def _move(source: list[tuple[int, Judged]], target: list[tuple[int, Judged]]) -> Judged | None:
        if not source:
            return None
        target.append(source.pop())
        return target[-1][1]


def _number(entry: tuple[int, Judged]) -> int:
    return entry[0]
