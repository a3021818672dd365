"""The words of the Rank pane: queues, verdicts, and what an empty queue means. No Qt."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlhf_lab.gui.models.ranking import Said

LETTERS = "ABCDEFGHI"
"""What the places are called, whatever stands there."""

RANKABLE = frozenset({"pair", "candidates", "ranking", "rated", "mixed"})
"""Kinds of data sets that hold answers to compare."""


@dataclass(frozen=True)
class Queue:
    """An order in which records are shown. ``scored``: it needs the scores of a reward model."""

    name: str
    title: str
    tip: str
    scored: bool = False


QUEUES = (
    Queue("unranked", "Not ranked yet", "Records that you have not judged, in the order of the data set"),
    Queue(
        "least_sure",
        "Reward model least sure",
        "Where the reward model's scores are closest together: a verdict there teaches it most",
        scored=True,
    ),
    Queue(
        "disagrees",
        "Reward model disagrees",
        "Where the reward model prefers another answer than people did: a wrong label, or something it has not learned",
        scored=True,
    ),
    Queue("annotators", "People disagree", "Records that other people judged differently from one another"),
    Queue("repeats", "Repeats", "Records that you judged before, to see how often you agree with yourself"),
)
FRESH = Queue("fresh", "Fresh answers", "Answers that chosen models have just written")
PICKED = Queue("picked", "Picked pairs", "Records that were sent here from another pane, in their order")


@dataclass(frozen=True)
class Picked:
    """Records that another pane sent to be judged, in this order; ``title`` says which they are."""

    dataset: str = ""
    records: tuple[int, ...] = ()
    title: str = PICKED.title


def queue_named(name: str) -> Queue:
    """By its name."""
    return next(queue for queue in (*QUEUES, FRESH, PICKED) if queue.name == name)


@dataclass(frozen=True)
class Empty:
    """What stands where the answers would be: what is so, what to do, and the buttons for it (name, words)."""

    title: str
    advice: str
    actions: tuple[tuple[str, str], ...] = ()


NO_DATA = Empty(
    "Nothing to rank yet",
    "Ranking needs two or more answers to the same prompt. Import preference pairs, rankings or answers on the Data "
    "pane, or let models of this project write answers now.",
    (("data", "Go to Data"), ("fresh", "Write fresh answers…")),
)
LOADING = Empty("Looking for the next records…", "")


def empty_queue(queue: str, done: int, left_out: int, model: str) -> Empty:
    """Why the queue shows nothing, and what to do instead."""
    aside = (
        f" {left_out:,} records are left out here: they have fewer than two or more than nine answers."
        if left_out
        else ""
    )
    match queue:
        case "unranked" if done:
            return Empty(
                "All done",
                f"You have judged every record of this data set: {done:,} verdicts. See on the Agreement page whether "
                f"they are good enough to train on, or judge some again to see how steady you are.{aside}",
                (("agreement", "See the agreement"), ("repeats", "Repeat some"), ("fresh", "Write fresh answers…")),
            )
        case "unranked":
            return Empty(
                "Nothing here to compare",
                f"No record of this data set has two to nine answers. Choose another data set, or let models write "
                f"answers.{aside}",
                (("fresh", "Write fresh answers…"), ("data", "Go to Data")),
            )
        case "least_sure":
            return Empty(
                "The reward model has no doubts left here",
                f"You have judged everything that {model} scored.{aside}",
                (("unranked", "Rank new records"), ("fresh", "Write fresh answers…")),
            )
        case "disagrees":
            return Empty(
                "No disagreement",
                f"{model} prefers what people preferred, wherever both have spoken and you have not looked yet.{aside}",
                (("unranked", "Rank new records"), ("least_sure", "Rank where it is least sure")),
            )
        case "annotators":
            return Empty(
                "Nobody disagrees",
                "There is no record that two other people judged differently and that you have not settled. Ask a second "
                "person to rank the same data set under their own name.",
                (("unranked", "Rank new records"), ("agreement", "See the agreement")),
            )
        case "repeats":
            return Empty(
                "Nothing to repeat",
                "Judge some records first; after a while they come back here, and the Agreement page shows how often "
                "you agree with yourself.",
                (("unranked", "Rank new records"),),
            )
        case "picked":
            return Empty(
                "All of these are judged",
                f"Your verdicts are stored. As a data set of their own (on the Agreement page) they can be trained on or "
                f"exported.{aside}",
                (("agreement", "Make a data set of verdicts"), ("unranked", "Rank new records")),
            )
        case _:
            return Empty(
                "That was the last fresh answer",
                "Let the models write more, or see what your verdicts say.",
                (("fresh", "Write more…"), ("agreement", "See the agreement")),
            )


NO_REWARD_RUN = Empty(
    "This queue needs a reward model",
    "It orders the records by what a reward model thinks of their answers, and this project has none yet. Train one on "
    "the pairs you have; a small one already helps to choose what to rank next.",
    (("reward", "Go to Reward"), ("unranked", "Rank new records")),
)


WRITING = Empty("The models are writing", "The first answers come in a moment. Loading a model takes some seconds.")


def not_scored(model: str, records: int) -> Empty:
    """The queue needs scores that are not there yet."""
    return Empty(
        f"{model} has not read this data set yet",
        f"Its scores of the {records:,} records order this queue. They are kept, so that this is done once for each data "
        "set and reward model; you can rank in another queue meanwhile.",
        (("score", "Score this data set"), ("unranked", "Rank new records")),
    )


def scoring(model: str) -> Empty:
    """The scores are on their way."""
    return Empty(
        f"{model} is reading",
        "The queue opens when it is done.",
        (("stop_scoring", "Stop"), ("unranked", "Rank new records")),
    )


def outcome_words(said: Said) -> str:
    """What was said, and who wrote what: "You preferred A · A: PPO 3, B: SFT 1"."""
    sources = [answer.source for answer in said.item.answers]
    named = zip(LETTERS, sources, strict=False)
    who = " · ".join(f"{letter}: {source or 'unknown'}" for letter, source in named) if any(sources) else ""
    return " – ".join(part for part in (verdict_words(said), who) if part)


def verdict_words(said: Said) -> str:
    """What was said, by the letters that the person saw."""
    judgement = said.judgement
    if judgement.verdict == "skip":
        return "Skipped"
    if judgement.verdict == "both_bad":
        return "Both bad" if len(said.item.shown) == 2 else "All bad"
    if judgement.verdict == "tie":
        return "A tie"
    ranks = said.item.by_place(judgement.ranks)
    if len(ranks) == 2:
        better = LETTERS[ranks.index(1)]
        return f"{better} much better" if judgement.strength == 2 else f"{better} better"
    return order_words(ranks)


def order_words(ranks: Sequence[int]) -> str:
    """Ranks by place in letters: "B > A = D > C"."""
    levels = [[LETTERS[place] for place, rank in enumerate(ranks) if rank == level] for level in sorted(set(ranks))]
    return " > ".join(" = ".join(level) for level in levels)
