"""Every hostile checkpoint, and what else lies in a run that is resumed: passed over or refused, in little time and memory."""

from pathlib import Path


def test_nothing_hostile_does_anything(tmp_path: Path) -> None:
    # Late: the corpus takes a second to make, and only one of the test processes needs this part of it.
    from tests.hostile import try_checkpoints

    tried = try_checkpoints.run(tmp_path)
    assert len(tried) > 50
    assert [f"{one.case}: {one.problem}" for one in tried if one.problem] == []
