"""What records are called."""

import pytest

from rlhf_lab.gui.models.answers import KIND_WORDS, counted


@pytest.mark.parametrize(("kind", "words"), KIND_WORDS.items())
def test_one_is_not_called_many(kind: str, words: str) -> None:
    assert counted(2000, kind) == f"2,000 {words}"
    assert counted(1, kind).startswith("1 ")
    assert counted(1, kind) != f"1 {words}"
