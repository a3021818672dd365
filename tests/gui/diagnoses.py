"""A plausible diagnosis of a reward model, by hand: for tests of the Reward pane and for looking at it."""

import math
import random

from rlhf_lab.core.diagnosis import Accuracy, CalibrationBin, RewardDiagnosis, Scored, WorstPair

WORST = (
    WorstPair(
        record=7,
        prompt="Is 10 a number?",
        chosen="Yes, 10 is one.",
        rejected="No, 10 is none.",
        margin=-2.31,
        flipped=True,
    ),
    WorstPair(
        record=20,
        prompt="Is 20 a number?",
        chosen="Yes, 20 is one.",
        rejected="No, 20 is none.",
        margin=-1.874,
        flipped=False,
    ),
    WorstPair(
        record=None,
        prompt="Was this asked\nbefore?",
        chosen="<b>No.</b>",
        rejected="Yes, and answered.",
        margin=-0.52,
        flipped=False,
    ),
)


def accuracy(name: str, share: float, pairs: int, margin: float = 0.8) -> Accuracy:
    room = 1.96 * math.sqrt(share * (1 - share) / pairs)
    return Accuracy(
        name=name, pairs=pairs, accuracy=share, low=max(0.0, share - room), high=min(1.0, share + room), margin=margin
    )


def diagnosis(learned: float = 1.0) -> RewardDiagnosis:
    """``learned``: 0 before the first step, 1 at the end."""
    chance = random.Random(5)
    lengths = [chance.randint(4, 90) for _ in range(240)]
    scores = [(0.012 * (n - 45) + chance.gauss(0.5 if i % 2 else -0.5, 0.8)) * learned for i, n in enumerate(lengths)]
    bins = [(0.1 * n, 0.1 * (n + 1), 4 + 6 * abs(n - 5)) for n in range(10)]
    return RewardDiagnosis(
        accuracy=(
            accuracy("train", 0.5 + 0.31 * learned, 512, 1.4 * learned),
            accuracy("heldout", 0.5 + 0.26 * learned, 400, 1.1 * learned),
            accuracy("careful", 0.5 + 0.29 * learned, 180, 1.3 * learned),
            accuracy("hasty", 0.5 + 0.14 * learned, 120, 0.4 * learned),
        ),
        by_length=(
            accuracy("shorter by more than 20", 0.5 + 0.2 * learned, 71, 0.6 * learned),
            accuracy("shorter by up to 20", 0.5 + 0.22 * learned, 93, 0.8 * learned),
            accuracy("of the same length", 0.5 + 0.25 * learned, 88, 0.9 * learned),
            accuracy("longer by up to 20", 0.5 + 0.3 * learned, 90, 1.2 * learned),
            accuracy("longer by more than 20", 0.5 + 0.38 * learned, 58, 1.9 * learned),
        ),
        calibration=tuple(
            CalibrationBin(
                low=low,
                high=high,
                pairs=pairs,
                predicted=(low + high) / 2,
                observed=0.5 + 0.82 * ((low + high) / 2 - 0.5),
            )
            for low, high, pairs in bins
        ),
        ece=0.041,
        points=tuple(
            Scored(tokens=n, score=s, chosen=i % 2 == 1) for i, (n, s) in enumerate(zip(lengths, scores, strict=True))
        ),
        length_correlation=0.31 * learned,
        longer_wins=accuracy("longer wins", 0.58, 400, 6.2),
        worst=WORST,
        level="check" if learned == 1 else "bad",
        verdict=(
            "It is right on 76% of held-out pairs (72–80%), well above guessing and above what length alone reaches (58%).",
            'It does worse on the pairs of "hasty": 64% (55–73%). Look at that person\'s labels.',
            "Longer answers score somewhat higher (correlation 0.31): watch the answers' length while you optimise.",
        ),
    )
