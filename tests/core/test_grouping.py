from hypothesis import given
from hypothesis import strategies as st

from rlhf_lab.core.grouping import PRICE_OF_A_GROUP, UNBOUNDED, first_groups, micro_batches


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 2000))
def test_micro_batches_hold_each_row_once_with_little_padding(lengths: list[int], size: int, tokens: int) -> None:
    groups = micro_batches(lengths, size, tokens)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert 1 <= len(group) <= size
        assert len(group) == 1 or len(group) * lengths[group[0]] <= tokens
        assert sum(lengths[group[0]] - lengths[i] for i in group) <= PRICE_OF_A_GROUP
    assert lengths[groups[0][0]] == max(lengths)


def test_what_is_kept_for_the_first_step_fills_its_room() -> None:
    rows = [96] * 8
    # All of the policy's and half of the critic's, in halves.
    assert first_groups(rows, 8, 800, 1200, 2) == ([[0, 1, 2, 3], [4, 5, 6, 7]], 1200)
    # Of one adapter, or where both fit, or nothing of the second does, groups stay as large as they may be.
    for tokens, kept, adapters in ((800, 1200, 1), (800, 1600, 2), (800, 900, 2)):
        assert first_groups(rows, 8, tokens, kept, adapters) == (micro_batches(rows, 8, tokens), kept)
    # Who asks for small micro-batches, or has no bound of tokens, has no more kept than one may have.
    assert first_groups(rows, 2, 800, 1200, 2) == (micro_batches(rows, 2, 800), 192)
    assert first_groups(rows, 8, UNBOUNDED, 1200, 2) == ([list(range(8))], 768)
