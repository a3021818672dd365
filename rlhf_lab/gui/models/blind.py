"""A blind comparison without a window: which two models answer next, what a vote becomes, and all votes so far. No Qt."""

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Candidates, Completion, PromptOnly
from rlhf_lab.gui.models.contenders import Contender

if TYPE_CHECKING:
    from rlhf_lab.data.standings import Standings
    from rlhf_lab.store import Store

VOTES = "blind votes"
"""The data set in which voted answers are kept, as records that can be browsed, ranked again and trained on."""

QUEUE = "compare"
"""What a blind vote says of where it was asked."""

Vote = Literal["first", "second", "tie", "both_bad"]
_RANKS: dict[Vote, tuple[int, ...]] = {"first": (1, 2), "second": (2, 1), "tie": (1, 1), "both_bad": ()}
_VERDICTS: dict[Vote, Literal["ranked", "tie", "both_bad"]] = {
    "first": "ranked",
    "second": "ranked",
    "tie": "tie",
    "both_bad": "both_bad",
}


@dataclass(frozen=True)
class Ballot:
    """Two answers as they are shown, left to right, and who wrote them."""

    question: PromptOnly
    models: tuple[Contender, Contender]
    texts: tuple[str, str]

    @property
    def record(self) -> Candidates:
        """The answers, the model's name as the source of each."""
        return Candidates(
            prompt=self.question.prompt,
            split=self.question.split,
            completions=tuple(
                Completion(text=text, source=model.title) for text, model in zip(self.texts, self.models, strict=True)
            ),
        )


def draw(
    models: Sequence[Contender], votes: Mapping[frozenset[str], int], chance: random.Random
) -> tuple[Contender, Contender]:
    """Two of the models with the fewest votes on them so far, sides by lot."""
    twos = list(combinations(models, 2))
    fewest = min(votes.get(frozenset((one.title, other.title)), 0) for one, other in twos)
    left, right = chance.choice(
        [two for two in twos if votes.get(frozenset((two[0].title, two[1].title)), 0) == fewest]
    )
    return (left, right) if chance.random() < 0.5 else (right, left)


def cast(store: "Store", ballot: Ballot, who: str, vote: Vote, *, seconds: float) -> None:
    """Keep a vote for good; raises `LabError` where it cannot be written."""
    if VOTES not in {row.name for row in store.datasets()}:
        with store.new_dataset(VOTES, "blind votes", "candidates"):
            pass
    (record,) = store.append(VOTES, [ballot.record])
    judgement = Judgement(
        who=who,
        when=time.time(),
        seconds=seconds,
        shown_order=(0, 1),
        verdict=_VERDICTS[vote],
        ranks=_RANKS[vote],
        queue=QUEUE,
    )
    store.judge(VOTES, record, judgement)


def standings_of(store: "Store") -> "Standings":
    """All votes on models in the project: blind ones, and verdicts of the Rank pane on answers that models wrote."""
    from rlhf_lab.data.standings import Vote, standings, votes_of

    votes: list[Vote] = []
    for row in store.datasets():
        if row.kind != "candidates" or not store.verdict_count(row.name):
            continue
        judged = [(record, said) for record, said in store.verdicts(row.name) if not said.repeat]
        records = ((found.id, found.record) for found in store.rows(row.name, sorted({record for record, _ in judged})))
        votes += votes_of(judged, records)
    return standings(votes)


def votes_between(found: "Standings") -> Counter[frozenset[str]]:
    """How many votes there are on each two models, by their names."""
    return Counter({frozenset((duel.one, duel.other)): duel.votes for duel in found.duels})
