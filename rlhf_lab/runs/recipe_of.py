"""The recipe that would make a run again: its stage, and before it those that it stands on."""

from rlhf_lab.core.recipe import REFERENCES, Recipe, RecipeStage, Scalar
from rlhf_lab.runs.project import Project


def recipe_of(project: Project, run: str) -> Recipe:
    """With the settings that are not the default; raises `LabError` where a run that it stands on is gone."""
    stages: dict[str, RecipeStage] = {}
    _add(project, run, stages, {})
    return Recipe(name=f"as {run}", stages=stages)


def _add(project: Project, run: str, stages: dict[str, RecipeStage], names: dict[str, str]) -> str:
    """The name of the run's stage, which is put behind those that it stands on."""
    if run in names:
        return names[run]
    config = project.run(run).config
    settings: dict[str, Scalar] = {"stage": config.stage}
    settings |= {k: v for k, v in config.model_dump(exclude_defaults=True).items() if v is not None and k != "note"}
    for field in REFERENCES:
        if field in settings:
            settings[field] = _add(project, str(settings[field]), stages, names)
    count = sum(stage.stage == config.stage for stage in stages.values())
    name = config.stage if not count else f"{config.stage}_{count + 1}"
    stages[name] = RecipeStage(settings=settings)
    names[run] = name
    return name
