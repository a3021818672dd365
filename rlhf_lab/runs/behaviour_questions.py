"""What a behaviour report asks: the questions of the bundled world, or sets of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.data.questions import PHRASES, Question, look, read_questions
from rlhf_lab.runs.behaviour_models import Examined

BUNDLED_SETS = ("lab-world-quiz", "lab-world-unanswerable", "lab-world-requests")
RAW_END = "\n"
"""Where the answer of a model that only continues text ends."""


@dataclass(frozen=True)
class Item:
    """A question. ``question`` None: one of the bundled world, whose answers its own judge reads."""

    kind: str
    prompt: Prompt
    question: Question | None = None
    phrases: Mapping[str, Sequence[str]] = field(default_factory=lambda: PHRASES)

    @property
    def greedy(self) -> bool:
        """What is known is asked for at its likeliest; manner shows in answers as they are drawn."""
        return self.kind == "knowledge"

    def asked(self, *, raw: bool) -> Prompt:
        """The prompt in the form in which a model that only continues text meets questions, or as it is."""
        if not raw:
            return self.prompt
        text = str(self.prompt.tags.get("raw") or f"Question: {self.prompt.messages[-1].content}\nAnswer:")
        return self.prompt.model_copy(update={"messages": (Message(role="user", content=text),)})

    def seen(self, text: str) -> dict[str, float]:
        """What the answer shows, as far as it can be told here."""
        return {} if self.question is None else look(self.question, text, self.phrases)


def bundled_items() -> list[Item]:
    """The quiz, what nobody can know, and requests that should and should not be refused."""
    found = []
    for name in BUNDLED_SETS:
        with resource(f"datasets/{name}.jsonl").open("rb") as lines:
            found += [load_record(line).prompt for line in lines]
    return [Item(str(prompt.tags["world"]), prompt) for prompt in found]


def questions_for(models: Sequence[Examined], files: Sequence[Path], notice: list[str]) -> list[Item]:
    """The files' questions, else those of the bundled world, which mean something to models of that world alone.

    Lines that could not be used go into ``notice``. Raises `LabError` where there is nothing to ask.
    """
    if files:
        return items_of(files, notice)
    if strangers := [model.name for model in models if model.spec.model != "bundled"]:
        raise LabError(
            f"{', '.join(strangers)} does not stand on the bundled model, so the bundled questions say nothing of it. "
            "Give questions of your own (--questions FILE); docs/questions.md says how to write them."
        )
    return bundled_items()


def items_of(files: Sequence[Path], notice: list[str]) -> list[Item]:
    """The questions of the files; lines that could not be used go into ``notice``. Raises `LabError`."""
    found: list[Item] = []
    for file in files:
        read = read_questions(file)
        found += [Item(q.kind, q.prompt, q, read.phrases) for q in read.questions]
        notice += [f"{file.name}, line {line}: {reason}." for line, reason in read.problems]
    return found


def at_most(items: Sequence[Item], most: int | None) -> list[Item]:
    """No more than so many of each kind, evenly over their order: neighbours in a file are often alike."""
    if most is None:
        return list(items)
    if most < 1:
        raise LabError("At least one question of each kind has to be asked.")
    kept: set[int] = set()
    for kind in {item.kind for item in items}:
        places = [place for place, item in enumerate(items) if item.kind == kind]
        wanted = min(most, len(places))
        kept |= {places[n * len(places) // wanted] for n in range(wanted)}
    return [items[place] for place in sorted(kept)]
