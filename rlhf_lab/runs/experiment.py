"""The guided experiment as data: SFT, then a reward model, then PPO, then a quiz on what is still known."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rlhf_lab.core.config import RunConfig, Stage
from rlhf_lab.core.config_toml import parse_config
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.core.resources import resource
from rlhf_lab.runs.ask import Answer, Reply
from rlhf_lab.runs.inference import Inference
from rlhf_lab.runs.project import Project

QUIZ = "lab world quiz"
RAW_END = "\n"
"""Where the base model's answer to a question in raw form ends."""
_ANSWER_TOKENS = 56


@dataclass(frozen=True)
class Step:
    """One run of the experiment, with what a person is told while it goes on."""

    stage: Stage
    title: str
    sentence: str


GUIDED = (
    Step(
        "sft",
        "1 of 3: Supervised fine-tuning",
        "The base model knows its world but only continues text. It learns here from demonstrations to answer as an "
        "assistant.",
    ),
    Step(
        "reward",
        "2 of 3: Reward model",
        "From pairs of answers, of which people preferred one, a model learns to score any answer. A tenth of the "
        "labels is wrong, as with real people.",
    ),
    Step(
        "ppo",
        "3 of 3: PPO",
        "The assistant writes answers, the reward model scores them, and PPO makes well-scored ones likelier. The KL "
        "penalty keeps it near where it started.",
    ),
)


def guided_config(stage: Stage, seed: int, runs: Mapping[Stage, str]) -> RunConfig:
    """The config of a step; ``runs`` are the steps before it. The figures are in ``resources/recipes/guided.toml``."""
    file = resource("recipes/guided.toml")
    settings = tomllib.loads(file.read_text(encoding="utf-8"))[stage] | {"stage": stage, "seed": seed}
    # The reward model trains on the SFT-merged base, so that it can share the policy's backbone.
    if stage != "sft":
        settings["start_from"] = runs["sft"]
    if stage == "ppo":
        settings["reward_model"] = runs["reward"]
    return parse_config(settings, str(file))


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
