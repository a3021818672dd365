"""How rows of different length are cut into micro-batches: said once, for the engine and for what foretells its memory."""

from collections.abc import Sequence

PRICE_OF_A_GROUP = 64
"""Tokens that cost as much time as starting a forward and backward pass: measured on one core, 2M parameters."""

UNBOUNDED = 2**31
"""Tokens, where only the number of rows decides."""


def micro_batches(lengths: Sequence[int], size: int, tokens: int) -> list[list[int]]:
    """Split ``range(len(lengths))`` into groups of at most ``size`` rows and ``tokens`` tokens, longest first.

    A row that is longer than ``tokens`` is a group of its own. A group also ends when its padding would cost more
    than the fixed price of one more group. Longest first: what does not fit into memory fails at once. Grouping
    changes no result, because losses are sums over the whole batch.
    """
    groups: list[list[int]] = []
    longest = waste = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        waste += longest - lengths[i]
        fits = groups and len(groups[-1]) < size and (len(groups[-1]) + 1) * longest <= tokens
        if not fits or waste > PRICE_OF_A_GROUP:
            groups.append([])
            longest, waste = lengths[i], 0
        groups[-1].append(i)
    return groups


def first_groups(
    lengths: Sequence[int], size: int, tokens: int, kept: int, adapters: int
) -> tuple[list[list[int]], int]:
    """How a rollout is cut up to be scored, and how many tokens' graphs of the ``adapters`` are kept for the first step.

    As many as ``size`` rows of the longest have; ``kept``, where all rows may be one micro-batch and memory alone
    bounds what is kept. Where that holds the first adapter's and half of the second's, groups are small enough to use it.
    """
    groups = micro_batches(lengths, size, tokens)
    room = kept if size >= len(lengths) and tokens < UNBOUNDED else min(tokens, size * max(lengths))
    whole = sum(len(group) * lengths[group[0]] for group in groups)
    spare = room - whole
    if adapters > 1 and spare < whole <= 2 * spare:
        groups = micro_batches(lengths, size, min(tokens, spare))
    return groups, room
