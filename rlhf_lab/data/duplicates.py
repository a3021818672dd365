"""Judgements that a file holds twice."""

from rlhf_lab.core.records import Demonstration, Pair, Several, Unpaired
from rlhf_lab.data.build import Unreadable
from rlhf_lab.data.families.family import AnyKind


class Duplicates:
    """Remembers 64 bits of each judgement (about 100 bytes of memory), so that a million fit."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self.repeated = 0
        """Demonstrations and prompts that occurred before; repeating them is odd, but no mistake."""

    def check(self, record: AnyKind) -> None:
        """Raise `Unreadable` for a judgement of the same answers by the same annotator."""
        # Two annotators may judge the same answers, and differ: that is agreement data, not a duplicate.
        who, asked = record.tags.get("annotator"), record.prompt.text
        if isinstance(record, Pair):
            self._pair(record, who, asked)
        elif isinstance(record, Unpaired):
            self._either(
                hash((asked, record.completion.text, who)) & ~1 | record.label,
                "the same answer again",
                "the same answer again, with the other label",
            )
        elif isinstance(record, Several):
            key = hash((asked, frozenset(answer.text for answer in record.completions), who))
            if key in self._seen:
                raise Unreadable("the same answers to the same prompt again, expected each once")
            self._seen.add(key)
        else:
            key = hash((asked, record.completion.text if isinstance(record, Demonstration) else None))
            self.repeated += key in self._seen
            self._seen.add(key)

    def _pair(self, record: Pair, who: object, asked: str) -> None:
        chosen, rejected = record.chosen.text, record.rejected.text
        first, second = sorted((chosen, rejected))
        key = hash((asked, first, second, who)) & ~1 | (chosen == first)
        again = "the same pair again"
        self._either(key, again, again if record.tie else "the same pair again, the other way round")

    def _either(self, key: int, again: str, opposite: str) -> None:
        """The lowest bit of a key is the verdict, the rest is what was judged."""
        if key in self._seen:
            raise Unreadable(f"{again}, expected each once")
        if key ^ 1 in self._seen:
            raise Unreadable(f"{opposite}, expected each once")
        self._seen.add(key)
