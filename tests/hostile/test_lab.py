"""Every hostile config, run folder and log: refused or read as it should be, in little time and memory, and nothing of it is run."""

from pathlib import Path


def test_nothing_hostile_does_anything(tmp_path: Path) -> None:
    # Late: the corpus takes a second to make, and only one of the test processes needs this part of it.
    from tests.hostile import try_lab

    tried = try_lab.run(tmp_path)
    assert len(tried) > 80
    assert [f"{one.case}: {one.problem}" for one in tried if one.problem] == []
