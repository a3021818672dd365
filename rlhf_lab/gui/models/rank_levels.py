"""Ranking several answers: each stands on a level, 1 is best, and answers on one level are equal. No Qt."""

from rlhf_lab.core.records import competition_ranks


class Levels:
    """As many levels as answers; an answer without one has not been ranked yet."""

    def __init__(self, answers: int):
        self._at: list[int | None] = [None] * answers

    def __len__(self) -> int:
        return len(self._at)

    def of(self, answer: int) -> int | None:
        """The level of an answer."""
        return self._at[answer]

    def on(self, level: int) -> list[int]:
        """The answers on a level."""
        return [answer for answer, at in enumerate(self._at) if at == level]

    def unranked(self) -> list[int]:
        """The answers that have no level."""
        return [answer for answer, at in enumerate(self._at) if at is None]

    def put(self, answer: int, level: int) -> None:
        """Give the answer that level, beside whatever is on it; a level that does not exist changes nothing."""
        if 1 <= level <= len(self._at):
            self._at[answer] = level

    def take_off(self, answer: int) -> None:
        """The answer is unranked again."""
        self._at[answer] = None

    def insert_above(self, answer: int, level: int) -> None:
        """Stand alone between that level and the one before it: those below make room, else those above do."""
        self._at[answer] = None
        taken = {at for at in self._at if at is not None}
        free_below = next((at for at in range(level, len(self._at) + 1) if at not in taken), None)
        if free_below is not None:
            self._at = [at + 1 if at is not None and level <= at < free_below else at for at in self._at]
            self._at[answer] = level
            return
        # There are fewer others than levels, so that one above is free.
        free_above = next(at for at in range(level - 1, 0, -1) if at not in taken)
        self._at = [at - 1 if at is not None and free_above < at < level else at for at in self._at]
        self._at[answer] = level - 1

    def move(self, answer: int, steps: int) -> None:
        """Up (−) or down (+); from nowhere, up comes in at the last level and down at the first."""
        at = self._at[answer]
        last = len(self._at)
        self._at[answer] = (last if steps < 0 else 1) if at is None else min(last, max(1, at + steps))

    def restore(self, levels: tuple[int | None, ...]) -> None:
        """Stand as they did when `snapshot` was taken."""
        self._at = list(levels)

    def snapshot(self) -> tuple[int | None, ...]:
        """How all stand."""
        return tuple(self._at)

    def ranks(self) -> tuple[int, ...] | None:
        """Competition ranks; None while an answer is unranked."""
        known = [at for at in self._at if at is not None]
        return competition_ranks(known) if len(known) == len(self._at) else None
