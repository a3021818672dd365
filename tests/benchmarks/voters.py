"""Do the intervals of a comparison hold what they promise? ``python tests/benchmarks/voters.py``.

Voters whose preferences are known (Bradley-Terry; some say "tie" or "both bad" where they hardly see a difference) judge
answers of four models, as in the blind comparison: for each vote two of them are drawn. Counted over many trials is how
often a strength's interval, and the interval of each win rate, holds the true value, and of the votes said to be
needed to tell two models apart, how many really were.
"""

import argparse
import json
import math
import random
import statistics
import sys
import time
from itertools import combinations

from rlhf_lab.data.standings import Standings, Vote, standings

STRENGTHS = {"base": -1.2, "SFT": -0.1, "PPO": 0.4, "best of 16": 0.9}


def chance_of(one: str, other: str) -> float:
    """That an answer of ``one`` is preferred."""
    return 1 / (1 + math.exp(STRENGTHS[other] - STRENGTHS[one]))


def ballots(count: int, ties: float, rng: random.Random) -> list[Vote]:
    """That many votes, a share of them ties."""
    given: list[Vote] = []
    for _ in range(count):
        one, other = rng.sample(list(STRENGTHS), 2)
        tie = rng.random() < ties
        given.append(((one, other, 0.5 if tie else float(rng.random() < chance_of(one, other))),))
    return given


def true_strengths(ties: float) -> dict[str, float]:
    """What the fit tends to with endless votes: where a tie is half a win for either, ties bring strengths together."""
    if not ties:
        return STRENGTHS
    endless: list[Vote] = []
    for one, other in combinations(STRENGTHS, 2):
        share = ties / 2 + (1 - ties) * chance_of(one, other)
        wins = round(20_000 * share)
        endless += [((one, other, 1.0),)] * wins + [((one, other, 0.0),)] * (20_000 - wins)
    return {found.model: found.value for found in standings(endless[:: len(endless) // 24_000 or 1]).strengths}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--votes", type=int, nargs="+", default=[40, 100, 300])
    wanted = parser.parse_args()
    found = []
    for count in wanted.votes:
        for ties in (0.0, 0.3):
            truth = true_strengths(ties)
            rng = random.Random(count)
            began = time.monotonic()
            trials = [standings(ballots(count, ties, rng), seed=n) for n in range(wanted.trials)]
            found.append(
                {"votes": count, "ties": ties, **coverage(trials, truth, ties)}
                | {"seconds_each": (time.monotonic() - began) / wanted.trials}
            )
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def coverage(trials: list[Standings], truth: dict[str, float], ties: float) -> dict[str, float]:
    """Shares of the intervals that hold the true value, and the mean width of the strengths'."""
    strengths = [(s.low <= truth[s.model] <= s.high, s.high - s.low) for trial in trials for s in trial.strengths]
    rates = [
        duel.rate.low <= ties / 2 + (1 - ties) * chance_of(duel.one, duel.other) <= duel.rate.high
        for trial in trials
        for duel in trial.duels
    ]
    all_of_one = [all(s.low <= truth[s.model] <= s.high for s in trial.strengths) for trial in trials]
    return {
        "strengths_within": statistics.mean(holds for holds, _ in strengths),
        "all_four_within": statistics.mean(all_of_one),
        "win_rates_within": statistics.mean(rates),
        "mean_width": statistics.mean(width for _, width in strengths),
    }


if __name__ == "__main__":
    main()
