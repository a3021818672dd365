"""An inference child that notes what it is asked; the test says what it replies."""

from collections.abc import Callable
from pathlib import Path

from rlhf_lab.core.records import Prompt
from rlhf_lab.runs.ask import Done, Generate, ModelSpec, Reply


class FakeInference:
    """Notes what it is asked; `say` replies."""

    def __init__(self, models_folder: Path, say: Callable[[Reply], object]):
        self.say = say
        self.asked: list[Generate] = []
        self.cancelled: list[int] = []
        self.unloaded = self.closed = 0

    def generate(self, model: ModelSpec, prompts: list[Prompt], **wishes: object) -> int:
        self.asked.append(Generate(id=len(self.asked) + 1, model=model, prompts=tuple(prompts), **wishes))
        return len(self.asked)

    def cancel(self, request: int) -> None:
        self.cancelled.append(request)
        self.say(Done(id=request, cancelled=True))

    def unload(self) -> None:
        self.unloaded += 1

    def close(self) -> None:
        self.closed += 1
