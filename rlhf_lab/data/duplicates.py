"""Judgements that a file holds twice."""

from array import array

from rlhf_lab.core.records import Demonstration, Pair, Several, Unpaired
from rlhf_lab.data.build import Unreadable
from rlhf_lab.data.families.family import AnyKind

_ONCE = ": only the row further up counts"


class Duplicate(Unreadable):
    """The same judgement as an earlier row's."""


class Duplicates:
    """Remembers 64 bits of each judgement, so that millions fit."""

    def __init__(self) -> None:
        self._seen = _Keys()
        self.repeated = 0
        """Demonstrations and prompts that occurred before; repeating them is odd, but no mistake."""

    def check(self, record: AnyKind) -> None:
        """Raise `Duplicate` for a judgement of the same answers by the same annotator."""
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
            if not self._seen.add(key):
                raise Duplicate(f"the same answers to the same prompt again{_ONCE}")
        else:
            key = hash((asked, record.completion.text if isinstance(record, Demonstration) else None))
            self.repeated += not self._seen.add(key)

    def _pair(self, record: Pair, who: object, asked: str) -> None:
        chosen, rejected = record.chosen.text, record.rejected.text
        first, second = sorted((chosen, rejected))
        key = hash((asked, first, second, who)) & ~1 | (chosen == first)
        again = "the same pair again"
        self._either(key, again, again if record.tie else "the same pair again, the other way round")

    def _either(self, key: int, again: str, opposite: str) -> None:
        """The lowest bit of a key is the verdict, the rest is what was judged."""
        if key ^ 1 in self._seen:
            raise Duplicate(f"{opposite}{_ONCE}")
        if not self._seen.add(key):
            raise Duplicate(f"{again}{_ONCE}")


class _Keys:
    """A set of 64-bit integers in an eighth of the memory that a `set` takes: one array, open addressing."""

    def __init__(self) -> None:
        self._slots = array("q", bytes(8 * 2**12))
        self._count = 0

    def __contains__(self, key: int) -> bool:
        return self._slots[self._place(key or 1)] != 0

    def add(self, key: int) -> bool:
        """Whether it is new."""
        key = key or 1  # 0 marks an empty slot
        place = self._place(key)
        if self._slots[place]:
            return False
        self._slots[place] = key
        self._count += 1
        if 3 * self._count > 2 * len(self._slots):
            self._grow()
        return True

    def _place(self, key: int) -> int:
        """Where it is, or where it would be."""
        slots, mask = self._slots, len(self._slots) - 1
        # The lowest bit tells opposite verdicts apart; without it, both begin at the same slot.
        place = (key >> 1) & mask
        while (found := slots[place]) and found != key:
            place = (place + 1) & mask
        return place

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("q", bytes(8 * 2 * len(old)))
        for key in old:
            if key:
                self._slots[self._place(key)] = key
