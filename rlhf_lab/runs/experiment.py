"""The guided experiment: a recipe of SFT, a reward model and PPO, and then a quiz on what is still known."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.naming import Stage
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


class Quiz:
    """What models know of the bundled world: the share of right answers, greedy.

    The questions are put by `ask` and answered in a process of the quiz's own, beside whatever goes on; `shares` waits.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._inference = Inference(project.models_folder)
        self._asked: dict[str, int] = {}

    @cached_property
    def _prompts(self) -> list[Prompt]:
        return [record.prompt for record in self._project.store.records(QUIZ)]

    def ask(self, name: str, run: str | None) -> None:
        """Put all questions to a run's model, or to the base, which is no assistant, in raw form. Never waits."""
        spec = self._project.model_spec(run)
        wishes: dict[str, Any] = {"max_new_tokens": _ANSWER_TOKENS, "temperature": 0.0, "judge": True}
        prompts = self._prompts
        if run is None:
            prompts, wishes = [_raw(prompt) for prompt in prompts], wishes | {"mode": "raw", "stop": RAW_END}
        self._asked[name] = self._inference.generate(spec, prompts, **wishes)

    def ask_all(self, runs: Mapping[Stage, str]) -> None:
        """Put them to the base, and to the SFT and the PPO model as far as they are there; to each once."""
        for name, run in (("base", None), ("sft", runs.get("sft")), ("ppo", runs.get("ppo"))):
            if name not in self._asked and (run is not None or name == "base"):
                self.ask(name, run)

    def shares(
        self,
        progress: Callable[[int, int], object] = lambda done, total: None,
        look: Callable[[], object] = lambda: None,
    ) -> dict[str, float]:
        """Wait for all that was asked; by name. Raises `LabError` when a model cannot answer.

        ``look`` is called now and then, also while no model says anything; what it raises ends the waiting.
        """
        total, done = len(self._asked) * len(self._prompts), 0

        def count(reply: Reply) -> None:
            nonlocal done
            if isinstance(reply, Answer):
                done += 1
                progress(done, total)

        def stopped() -> bool:
            look()
            return False

        found = {}
        for name, request in self._asked.items():  # they are answered in this order
            answers = self._inference.wait_for(request, count, stopped)
            found[name] = sum(answer.values["correct"] for answer in answers) / len(answers)
        return found

    def __enter__(self) -> "Quiz":
        return self

    def __exit__(self, *_: object) -> None:
        self._inference.close()


def _raw(prompt: Prompt) -> Prompt:
    return prompt.model_copy(update={"messages": (Message(role="user", content=str(prompt.tags["raw"])),)})
