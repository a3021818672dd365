"""Scores of a data set: each answer once, in order, kept even when it was cancelled half-way."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Candidates, Completion, Message, Pair, Prompt, PromptOnly
from rlhf_lab.runs.ask import Answer, Failed, ModelSpec
from rlhf_lab.runs.scoring import AT_ONCE, score_dataset
from rlhf_lab.store import Store

REWARD = ModelSpec()


class Judge:
    """Scores an answer by its length; ``fail_at`` is the request that fails."""

    def __init__(self, fail_at: int = 0) -> None:
        self.asked: list[Sequence[str]] = []
        self._fail_at = fail_at

    def score(self, reward: ModelSpec, prompts: Sequence[Prompt], texts: Sequence[str]) -> int:
        assert len(prompts) == len(texts)
        self.asked.append(texts)
        return len(self.asked)

    def wait_for(self, request: int, *, cancelled: Callable[[], bool]) -> list[Answer]:
        if request == self._fail_at:
            raise LabError(Failed(id=request, message="no memory").message)
        found = []
        for index, text in enumerate(self.asked[request - 1]):
            if cancelled():
                return found
            found.append(Answer(id=request, index=index, text=text, values={"score": float(len(text))}))
        return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as opened:
        with opened.new_dataset("mixed", "lab", "pair") as writer:
            writer.add(
                [
                    *(pair(n) for n in range(40)),
                    PromptOnly(prompt=asked(40)),
                    Candidates(prompt=asked(41), completions=tuple(Completion(text="x" * n) for n in (3, 1, 2))),
                ]
            )
        yield opened


def asked(n: int) -> Prompt:
    return Prompt(messages=(Message(role="user", content=f"Question {n}?"),))


def pair(n: int) -> Pair:
    return Pair(prompt=asked(n), chosen=Completion(text="y" * (n + 1)), rejected=Completion(text="z"))


def test_every_answer_is_scored_once_and_in_its_place(store: Store) -> None:
    judge, heard = Judge(), []

    ended = score_dataset(store, judge, "mixed", "reward-1", REWARD, progress=lambda *at: heard.append(at))  # type: ignore[arg-type]

    scores = [values for _, values in store.scores("mixed", "reward-1")]
    assert (ended.records, ended.complete) == (41, True)
    assert scores == [*((n + 1.0, 1.0) for n in range(40)), (3.0, 1.0, 2.0)]
    assert sum(map(len, judge.asked)) == 83
    assert all(len(texts) <= AT_ONCE for texts in judge.asked)
    assert heard[0] == (0, 42)
    assert heard[-1] == (41, 42)


def test_a_cancelled_one_keeps_whole_records_and_goes_on_later(store: Store) -> None:
    judge = Judge()

    def cancelled() -> bool:
        return len(judge.asked) > 1

    first = score_dataset(store, judge, "mixed", "reward-1", REWARD, cancelled=cancelled)  # type: ignore[arg-type]
    assert (first.records, first.complete) == (7, False)

    again = Judge()
    rest = score_dataset(store, again, "mixed", "reward-1", REWARD)  # type: ignore[arg-type]
    assert (rest.records, rest.complete) == (34, True)
    assert sum(map(len, again.asked)) == 68


def test_what_was_scored_before_a_failure_is_kept(store: Store) -> None:
    with pytest.raises(LabError, match="no memory"):
        score_dataset(store, Judge(fail_at=2), "mixed", "reward-1", REWARD)  # type: ignore[arg-type]

    assert store.score_count("mixed", "reward-1") == 7
