"""Finding what comes with the lab."""

import pytest

from rlhf_lab.core.resources import resource


@pytest.mark.parametrize("name", ["model/config.json", "datasets", "recipes/guided.toml"])
def test_what_comes_with_the_lab_is_found(name: str) -> None:
    assert resource(name).exists()


def test_what_is_not_there_is_said_with_both_places() -> None:
    with pytest.raises(FileNotFoundError, match=r"'nothing' is in none of: .*resources, .*resources"):
        resource("nothing")
