from hypothesis import given
from hypothesis import strategies as st

from rlhf_lab.core.grouping import PRICE_OF_A_GROUP, micro_batches


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 2000))
def test_micro_batches_hold_each_row_once_with_little_padding(lengths: list[int], size: int, tokens: int) -> None:
    groups = micro_batches(lengths, size, tokens)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert 1 <= len(group) <= size
        assert len(group) == 1 or len(group) * lengths[group[0]] <= tokens
        assert sum(lengths[group[0]] - lengths[i] for i in group) <= PRICE_OF_A_GROUP
    assert lengths[groups[0][0]] == max(lengths)
