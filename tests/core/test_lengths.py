"""What is reckoned from the lengths of data, held against the plain way to reckon it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.lengths import Lengths

tokens = st.integers(1, 60)


@settings(deadline=None)
@given(
    st.lists(tokens, max_size=5).map(tuple),
    st.lists(st.lists(tokens, min_size=1, max_size=2).map(tuple), max_size=5).map(tuple),
    st.integers(1, 40),
)
def test_the_cache_is_fullest_when_so_many_still_write(prompts, answers, count: int) -> None:
    config = PpoConfig(reward_model="reward-1", batch_size=count, max_prompt_tokens=50, max_new_tokens=40)
    ends = [side for answer in answers for side in answer] or [40]
    drawn = sorted((min(ends[i % len(ends)], 40) for i in range(count)), reverse=True)
    prompt = min(max(prompts, default=50), 50)
    expected = max((i + 1) * (prompt + answer) for i, answer in enumerate(drawn))
    assert Lengths(prompts, answers).cached(config) == expected
