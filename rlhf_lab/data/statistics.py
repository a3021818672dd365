"""What can be counted of a data set in one pass: lengths, duplicates, sources, and whether length alone predicts the label."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from rlhf_lab.core.events import Histogram
from rlhf_lab.core.judgement import answers_of
from rlhf_lab.core.records import AnyRecord, Completion, Demonstration, Pair, Ranking, Rated, Unpaired
from rlhf_lab.data.share import Share

BINS = 40
_MOST_NAMES = 1000
_PREDICTS = 0.6
_LOOK_EVERY = 512


@dataclass(frozen=True)
class DatasetStatistics:
    """Lengths are characters. Everything that compares answers leaves out ties.

    ``lengths``: histograms of "prompt", and of "chosen" and "rejected" (the best and the worst of several), or
    of "answer"; the last bin holds all that is longer. ``medians`` has the same names. ``longer_wins``: of
    records whose best and worst answer differ in length, how often the longer is the best. ``best_places``:
    in records of several answers, how often the best stands first, second, … ``repeated_answers``: records
    that have the prompt and the answers of an earlier one, ``repeated_prompts``: at least the prompt.
    """

    records: int
    kinds: dict[str, int]
    splits: dict[str, int]
    ties: int
    lengths: dict[str, Histogram]
    medians: dict[str, int]
    longer_wins: Share
    best_places: tuple[int, ...]
    repeated_prompts: int
    repeated_answers: int
    sources: list[tuple[str, int]]
    languages: list[tuple[str, int]]
    annotators: list[tuple[str, int]]
    warnings: list[str] = field(default_factory=list)


def statistics_of(records: Iterable[AnyRecord], *, cancelled: Callable[[], bool] = lambda: False) -> DatasetStatistics:
    """Read all records once; memory is 16 bytes a record. Cancelled, it tells of those seen so far."""
    seen = _Seen()
    for number, record in enumerate(records):
        if number % _LOOK_EVERY == 0 and cancelled():
            break
        seen.add(record)
    return seen.told()


class _Seen:
    """Counts while records come by."""

    def __init__(self) -> None:
        self.records = self.ties = 0
        self.kinds: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.lengths: dict[str, Counter[int]] = {}
        self.longer = self.unequal = 0
        self.places: Counter[int] = Counter()
        self.prompts = array("q")
        self.judged = array("q")
        self.sources: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.annotators: Counter[str] = Counter()

    def add(self, record: AnyRecord) -> None:
        self.records += 1
        self.kinds[record.kind] += 1
        self.splits[record.split] += 1
        answers = answers_of(record)
        if isinstance(record, Demonstration | Unpaired):
            answers = (record.completion,)
        prompt = hash(record.prompt.text)
        self.prompts.append(prompt)
        self.judged.append(hash((prompt, frozenset(answer.text for answer in answers))))
        self._length("prompt", len(record.prompt.text))
        self._compare(record, answers)
        for answer in answers:
            self.sources[answer.source] += 1
        for counter, tag in ((self.languages, "language"), (self.annotators, "annotator")):
            if (name := record.tags.get(tag)) is not None and (name in counter or len(counter) < _MOST_NAMES):
                counter[str(name)] += 1

    def _compare(self, record: AnyRecord, answers: tuple[Completion, ...]) -> None:
        ends = _best_and_worst(record)
        if ends is None:
            self.ties += isinstance(record, Pair | Ranking | Rated)
            for answer in answers:
                self._length("answer", len(answer.text))
            return
        best, worst = (len(answers[n].text) for n in ends)
        self._length("chosen", best)
        self._length("rejected", worst)
        self.unequal += best != worst
        self.longer += best > worst
        if not isinstance(record, Pair):
            self.places[ends[0]] += 1

    def _length(self, name: str, length: int) -> None:
        self.lengths.setdefault(name, Counter())[length] += 1

    def told(self) -> DatasetStatistics:
        longer_wins = Share(self.longer, self.unequal)
        answered = [self.lengths[name] for name in ("chosen", "rejected", "answer") if name in self.lengths]
        top = max((_quantile(lengths, 0.99) for lengths in answered), default=0)
        tops = {name: _quantile(lengths, 0.99) if name == "prompt" else top for name, lengths in self.lengths.items()}
        found = DatasetStatistics(
            records=self.records,
            kinds=dict(self.kinds),
            splits=dict(self.splits),
            ties=self.ties,
            lengths={name: _histogram(name, lengths, tops[name]) for name, lengths in self.lengths.items()},
            medians={name: _quantile(lengths, 0.5) for name, lengths in self.lengths.items()},
            longer_wins=longer_wins,
            best_places=tuple(self.places[n] for n in range(max(self.places, default=-1) + 1)),
            repeated_prompts=_repeated(self.prompts),
            repeated_answers=_repeated(self.judged),
            sources=self.sources.most_common(),
            languages=self.languages.most_common(),
            annotators=self.annotators.most_common(),
        )
        found.warnings.extend(_warnings(found))
        return found


def _best_and_worst(record: AnyRecord) -> tuple[int, int] | None:
    """The places of one best and one worst answer; None where nothing says which is better."""
    match record:
        case Pair():
            return None if record.tie else (0, 1)
        case Ranking():
            goodness: list[float] = [-rank for rank in record.ranks]
        case Rated():
            goodness = list(record.ratings)
        case _:
            return None
    best, worst = max(goodness), min(goodness)
    return None if best == worst else (goodness.index(best), goodness.index(worst))


def _quantile(lengths: Mapping[int, int], share: float) -> int:
    wanted, seen = share * sum(lengths.values()), 0
    for length in sorted(lengths):
        seen += lengths[length]
        if seen >= wanted:
            return length
    return 0


def _histogram(name: str, lengths: Mapping[int, int], top: int) -> Histogram:
    width = max(1.0, (top + 1) / BINS)
    counts = [0] * BINS
    for length, count in lengths.items():
        counts[min(BINS - 1, int(length / width))] += count
    return Histogram(name=name, edges=tuple(n * width for n in range(BINS + 1)), counts=tuple(counts))


def _repeated(keys: "array[int]") -> int:
    import numpy as np  # here: nothing that a window shows first needs it

    return len(keys) - len(np.unique(np.frombuffer(keys, dtype=np.int64))) if keys else 0


def _warnings(found: DatasetStatistics) -> list[str]:
    said = []
    wins = found.longer_wins
    shorter = Share(wins.of - wins.hits, wins.of)
    for word, share in (("longer", wins), ("shorter", shorter)):
        if share.of and share.low > _PREDICTS:
            said.append(
                f"Length alone predicts the label: taking the {word} answer is right for {share.text} of "
                f"{share.of:,} records. A reward model can learn that instead of what people meant: compare its "
                f"accuracy with this number, and look at its reward against length."
            )
    if found.repeated_answers > found.records / 20 and not found.annotators:
        said.append(
            f"{found.repeated_answers:,} of {found.records:,} records repeat the prompt and the answers of an earlier "
            "one: they count more than once in training."
        )
    if found.records and not found.splits.get("heldout"):
        said.append("Nothing is held out: how good a model is can only be told on data that it has not seen.")
    return said
