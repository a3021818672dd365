"""The guided experiment: a recipe of SFT, a reward model and PPO, and then a quiz on what is still known."""

from collections.abc import Callable, Mapping

from rlhf_lab.core.config import RunConfig, Stage
from rlhf_lab.core.recipe import Recipe, expand
from rlhf_lab.core.recipe_toml import bundled_recipe
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.runs.ask import Answer, Reply
from rlhf_lab.runs.inference import Inference
from rlhf_lab.runs.project import Project

QUIZ = "lab world quiz"
RAW_END = "\n"
"""Where the base model's answer to a question in raw form ends."""
_ANSWER_TOKENS = 56


def guided(seed: int = 0) -> Recipe:
    """Its three stages, as ``resources/recipes/guided.toml`` has them."""
    return bundled_recipe("guided").changed({"seed": seed})


def guided_config(stage: Stage, seed: int, runs: Mapping[Stage, str]) -> RunConfig:
    """The config of one of its stages alone; ``runs`` are those of the stages before it."""
    [step] = [step for step in expand(guided(seed)) if step.stage == stage]
    return step.config({str(name): run for name, run in runs.items()})


def take_quiz(
    project: Project, runs: Mapping[Stage, str], progress: Callable[[int, int], object] = lambda done, total: None
) -> dict[str, float]:
    """Share of right answers of the base (in raw form; it is no assistant), the SFT and the PPO model; greedy."""
    prompts = [record.prompt for record in project.store.records(QUIZ)]
    wishes = {"max_new_tokens": _ANSWER_TOKENS, "temperature": 0.0, "judge": True}
    total, done = 3 * len(prompts), 0
    shares: dict[str, float] = {}

    def count(reply: Reply) -> None:
        nonlocal done
        if isinstance(reply, Answer):
            done += 1
            progress(done, total)

    with Inference(project.models_folder) as inference:
        for name, run in (("base", None), ("sft", runs["sft"]), ("ppo", runs["ppo"])):
            spec = project.model_spec(run)
            if run is None:
                request = inference.generate(spec, [_raw(p) for p in prompts], mode="raw", stop=RAW_END, **wishes)
            else:
                request = inference.generate(spec, prompts, **wishes)
            answers = inference.wait_for(request, count)
            shares[name] = sum(answer.values["correct"] for answer in answers) / len(answers)
    return shares


def _raw(prompt: Prompt) -> Prompt:
    return prompt.model_copy(update={"messages": (Message(role="user", content=str(prompt.tags["raw"])),)})
