"""The inference process, as the window starts it, with every hostile model, template and adapter."""

import queue
from collections.abc import Callable
from pathlib import Path

from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.runs.ask import Answer, Failed, ModelSpec, Reply, Token
from rlhf_lab.runs.inference import Inference
from tests.engine.conftest import make_tokenizer, save_model, tiny_llama
from tests.hostile import adapter_cases, model_cases, template_cases
from tests.hostile.case import MOST_SECONDS, Case, Place, Tried
from tests.hostile.guard import Guard

ASKED = Prompt(messages=(Message(role="user", content="What is tea? " + "x" * 2000),))
FAMILIES = {
    "models and tokenizers": model_cases.cases,
    "chat templates": template_cases.cases,
    "adapters": adapter_cases.cases,
}


def run(folder: Path, chosen: Callable[[Case], bool] = lambda case: True) -> list[Tried]:
    """An answer of each model, a score by each adapter, one inference process for all."""
    found = []
    tokenizer = make_tokenizer()
    with Guard(folder) as guard:
        tiny = save_model(guard.project / "tiny", tiny_llama(len(tokenizer), max_position_embeddings=4096), tokenizer)
        models = guard.project / "models"
        models.mkdir()
        replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        with Inference(models, replies.put) as inference:
            for family, cases in FAMILIES.items():
                for number, case in enumerate(filter(chosen, cases())):
                    if inference._child is None or inference._child.poll() is not None:
                        _first(inference, replies, tiny, guard)
                    place = Place(guard.project / f"{family}-{number}", guard.outside, tiny)
                    place.folder.mkdir()
                    tried = Tried(family, case.name, case.words)
                    made = case.make(place)
                    with guard.measured(tried, inference._child.pid):
                        tried.said = _asked(inference, replies, tiny, made, adapter=family == "adapters")
                    found.append(tried)
    return found


def _first(inference: Inference, replies: "queue.SimpleQueue[Reply]", tiny: Path, guard: Guard) -> None:
    """Let the process import what it imports once; what it then does by itself is not a case's fault."""
    inference.generate(ModelSpec(model=str(tiny)), [ASKED], max_new_tokens=2)
    said = _last(inference, replies)
    assert said.startswith("answered"), said
    seen = guard.seen()
    assert not seen, f"the inference process itself does what it may not: {seen}"


def _asked(
    inference: Inference, replies: "queue.SimpleQueue[Reply]", tiny: Path, made: Path | str, *, adapter: bool
) -> str:
    if adapter:
        inference.score(ModelSpec(model=str(tiny), adapters=(Path(made),)), [ASKED], ["It is milk."])
        return _last(inference, replies).replace("answered", "scored")
    inference.generate(ModelSpec(model=str(made)), [ASKED], max_new_tokens=2)
    return _last(inference, replies)


def _last(inference: Inference, replies: "queue.SimpleQueue[Reply]") -> str:
    answers = 0
    while True:
        try:
            reply = replies.get(timeout=12 * MOST_SECONDS)
        except queue.Empty:
            inference.close()
            return "it never ended"
        if isinstance(reply, Failed):
            return reply.message
        if isinstance(reply, Answer):
            answers += 1
        elif not isinstance(reply, Token):
            return f"answered {answers}"
