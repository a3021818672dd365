"""What pairs and their scores say of a reward model: accuracy by group, calibration, length, worst pairs.

Intervals are 95% percentile bootstraps over prompts, not pairs: several pairs of one prompt are not independent.
Everything here is a pure function of the scores and a seed; `rlhf_lab.engine.reward_verdict` puts it into words.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlhf_lab.core.diagnosis import Accuracy, CalibrationBin, RewardDiagnosis, Scored, WorstPair
from rlhf_lab.core.records import Pair
from rlhf_lab.engine.maths import in_double
from rlhf_lab.engine.pairs import right_by
from rlhf_lab.engine.reward_verdict import verdict
from rlhf_lab.engine.seeds import generator_for

RESAMPLES = 1000
FEWEST_PAIRS = 20
"""Of an annotator or a range of lengths: with fewer, the interval spans nearly everything."""
MOST_ANNOTATORS = 12
MOST_POINTS = 400
MOST_WORST = 20
BINS = 10
_DRAWN_AT_ONCE = 2**22
RECORD_TAG = "record"
"""The tag of a pair that says which record of the data set it is from; the run's snapshot sets it."""


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs with the raw scores of both answers."""

    records: Sequence[Pair]
    chosen: Tensor
    """[n]"""
    rejected: Tensor
    """[n]"""
    chosen_tokens: Tensor
    """[n]"""
    rejected_tokens: Tensor
    """[n]"""

    @property
    def margin(self) -> Tensor:
        """[n], by how much chosen scores higher."""
        return self.chosen - self.rejected

    @property
    def longer(self) -> Tensor:
        """[n], by how many tokens chosen is longer."""
        return (self.chosen_tokens - self.rejected_tokens).float()

    @property
    def tie(self) -> Tensor:
        """[n], bool: the label says that neither is better."""
        return torch.tensor([pair.tie for pair in self.records])


def diagnose(heldout: ScoredPairs, train: ScoredPairs, seed: int) -> RewardDiagnosis:
    """Everything that the Reward pane shows of one look."""
    right = right_by(heldout.margin, heldout.tie)
    interval = Intervals(heldout, seed)
    whole = interval.of("heldout", right, heldout.margin)
    trained = Intervals(train, seed).of("train", right_by(train.margin, train.tie), train.margin)
    bins = calibration(heldout, seed)
    found = RewardDiagnosis(
        accuracy=(trained, whole, *_by_annotator(heldout, right, interval)),
        by_length=tuple(_by_length(heldout, right, interval)),
        calibration=bins,
        ece=expected_error(bins),
        points=_points(heldout),
        length_correlation=correlation(
            torch.cat([heldout.chosen_tokens, heldout.rejected_tokens]).float(),
            torch.cat([heldout.chosen, heldout.rejected]),
        ),
        longer_wins=interval.of("longer wins", right_by(heldout.longer, heldout.tie), heldout.longer),
        worst=_worst(heldout),
    )
    level, sentences = verdict(found)
    return found.model_copy(update={"level": level, "verdict": sentences})


class Intervals:
    """Accuracies of groups of the same pairs, with bootstrap intervals over their prompts."""

    def __init__(self, pairs: ScoredPairs, seed: int) -> None:
        texts = [pair.prompt.text for pair in pairs.records]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        self._prompt = torch.tensor([numbers[text] for text in texts])
        self._seed = seed

    def of(self, name: str, right: Tensor, margin: Tensor, member: Tensor | None = None) -> Accuracy:
        """Share of ``right`` [n] and mean ``margin`` [n] among the pairs of ``member`` [n], bool; all without."""
        prompt = self._prompt
        if member is not None:
            prompt, right, margin = prompt[member], right[member], margin[member]
        low, high = bootstrap(right, prompt, self._seed)
        return Accuracy(
            name=name, pairs=len(right), accuracy=right.mean().item(), low=low, high=high, margin=margin.mean().item()
        )


def bootstrap(right: Tensor, prompt: Tensor, seed: int) -> tuple[float, float]:
    """95% interval of the mean of ``right`` [n], whole prompts ([n], numbers) drawn with replacement."""
    _, place = prompt.unique(return_inverse=True)
    count = int(place.max()) + 1
    sums = torch.zeros(count).index_add(0, place, right.float())
    sizes = torch.zeros(count).index_add(0, place, torch.ones(len(right)))
    generator, means = generator_for(seed, "bootstrap of pairs"), []
    for part in torch.arange(RESAMPLES).split(max(1, _DRAWN_AT_ONCE // count)):
        drawn = torch.randint(count, (len(part), count), generator=generator)
        means.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    low, high = torch.cat(means).quantile(torch.tensor([0.025, 0.975])).tolist()
    return low, high


def calibration(pairs: ScoredPairs, seed: int) -> tuple[CalibrationBin, ...]:
    """Predicted and observed share of first answers that win; which answer is first is drawn for each pair.

    With chosen always first, a model that is never sure of the wrong answer could not be told from a good one.
    """
    turned = torch.rand(len(pairs.records), generator=generator_for(seed, "sides of pairs")) < 0.5
    predicted = torch.where(turned, -pairs.margin, pairs.margin).sigmoid()
    observed = torch.where(pairs.tie, 0.5, (~turned).float())
    place = (predicted * BINS).long().clamp(max=BINS - 1)
    return tuple(
        CalibrationBin(
            low=index / BINS,
            high=(index + 1) / BINS,
            pairs=int(member.sum()),
            predicted=predicted[member].mean().item(),
            observed=observed[member].mean().item(),
        )
        for index in range(BINS)
        if (member := place == index).any()
    )


def expected_error(bins: Sequence[CalibrationBin]) -> float:
    """Mean |predicted − observed| over the bins, weighted by their pairs (Guo et al. 2017)."""
    return sum(b.pairs * abs(b.predicted - b.observed) for b in bins) / sum(b.pairs for b in bins)


def correlation(one: Tensor, other: Tensor) -> float | None:
    """Pearson's; None where one of them does not vary."""
    one, other = (x - x.mean() for x in map(in_double, (one, other)))
    norm = (one.square().sum() * other.square().sum()).sqrt().item()
    return (one * other).sum().item() / norm if norm > 1e-12 else None


def _by_annotator(pairs: ScoredPairs, right: Tensor, interval: Intervals) -> Iterator[Accuracy]:
    names = [str(pair.tags.get("annotator", "")) for pair in pairs.records]
    counts = {name: names.count(name) for name in dict.fromkeys(names) if name}
    enough = sorted((name for name, count in counts.items() if count >= FEWEST_PAIRS), key=lambda name: -counts[name])
    for name in enough[:MOST_ANNOTATORS]:
        yield interval.of(name, right, pairs.margin, torch.tensor([found == name for found in names]))


def _by_length(pairs: ScoredPairs, right: Tensor, interval: Intervals) -> Iterator[Accuracy]:
    """Chosen much shorter to much longer; the middle of the differences that occur parts much from little."""
    differ = pairs.longer[pairs.longer != 0].abs()
    middle = max(1.0, differ.median().item()) if len(differ) else 1.0
    groups: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        (f"shorter by more than {middle:.0f}", lambda d: d < -middle),
        (f"shorter by up to {middle:.0f}", lambda d: (d < 0) & (d >= -middle)),
        ("of the same length", lambda d: d == 0),
        (f"longer by up to {middle:.0f}", lambda d: (d > 0) & (d <= middle)),
        (f"longer by more than {middle:.0f}", lambda d: d > middle),
    ]
    for name, holds in groups:
        member = holds(pairs.longer)
        if member.any():
            yield interval.of(name, right, pairs.margin, member)


def _points(pairs: ScoredPairs) -> tuple[Scored, ...]:
    """Both answers of the first pairs: the held-out pairs of a look are a random choice already."""
    rows = zip(
        pairs.chosen_tokens.tolist(),
        pairs.chosen.tolist(),
        pairs.rejected_tokens.tolist(),
        pairs.rejected.tolist(),
        strict=True,
    )
    points = []
    for chosen_tokens, chosen, rejected_tokens, rejected in list(rows)[: MOST_POINTS // 2]:
        points.append(Scored(tokens=chosen_tokens, score=chosen, chosen=True))
        points.append(Scored(tokens=rejected_tokens, score=rejected, chosen=False))
    return tuple(points)


def _worst(pairs: ScoredPairs) -> tuple[WorstPair, ...]:
    """Pairs whose label is contradicted, most first; a tie contradicts nothing."""
    margin = torch.where(pairs.tie, 0.0, pairs.margin)
    worst = []
    for i in margin.argsort().tolist()[:MOST_WORST]:
        if margin[i] >= 0:
            break
        pair = pairs.records[i]
        record, flipped = pair.tags.get(RECORD_TAG), pair.tags.get("flipped")
        worst.append(
            WorstPair(
                record=record if isinstance(record, int) else None,
                prompt=pair.prompt.text,
                chosen=pair.chosen.text,
                rejected=pair.rejected.text,
                margin=margin[i].item(),
                flipped=None if flipped is None else bool(flipped),
            )
        )
    return tuple(worst)
