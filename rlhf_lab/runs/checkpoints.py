"""The saves of a run that can be asked, by the names that people give them: ``ppo-3@40`` is PPO 3 after step 40."""

import re
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.runs.folder import RunFolder

_FOLDER = re.compile(r"step-([0-9]{1,15})")
_NAMED = re.compile(r"([^@]+)@([0-9]{1,15})")


def saved_steps(folder: RunFolder) -> list[int]:
    """Steps after which the run was saved and the save is still there, the newest first.

    A save appears as a whole; whether a byte of it was changed since is seen when it is loaded.
    """
    places = folder.checkpoints.iterdir() if folder.checkpoints.is_dir() and not folder.checkpoints.is_symlink() else ()
    named = [(_FOLDER.fullmatch(place.name), place) for place in places]
    return sorted(
        (int(match[1]) for match, place in named if match and (place / "manifest.json").is_file()), reverse=True
    )


def at_step(folder: RunFolder, step: int) -> Path:
    """The save of that step; raises `LabError` that names those there are."""
    steps = saved_steps(folder)
    if step not in steps:
        there = " and ".join(f"{folder.run}@{found}" for found in steps)
        raise LabError(
            f"{folder.title} has no save of step {step}. "
            + (f"There are: {there}." if there else "It has none yet: see its setting checkpoint_every.")
        )
    return folder.checkpoints / f"step-{step}"


def split_name(name: str) -> tuple[str, int | None]:
    """The run and the step that ``run@step`` names; without a step, the name as it is."""
    match = _NAMED.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, None)
