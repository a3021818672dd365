"""The behaviour report: every model answers the same questions, and a table says what moved and what did not.

Questions of knowledge are answered at temperature 0, all others as the models draw at temperature 1: so the mean
log-ratio of those answers is the KL to the base.
"""

import json
import math
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlhf_lab import __version__
from rlhf_lab.core.errors import LabError
from rlhf_lab.data.behaviour import Row, own_words, sentence, summary, table
from rlhf_lab.runs.ask import Answer, Done, Failed, ModelSpec, Reply
from rlhf_lab.runs.behaviour_models import Examined, shared_base
from rlhf_lab.runs.behaviour_questions import RAW_END, Item
from rlhf_lab.runs.folder import write_private
from rlhf_lab.runs.inference import Inference

_LOOK_S = 0.1
"""How long a cancel may go unheard."""


@dataclass(frozen=True)
class BehaviourReport:
    """What was asked, answered and reckoned; changes are against the model ``reference``."""

    models: tuple[Examined, ...]
    items: tuple[Item, ...]
    texts: Mapping[str, tuple[str, ...]]
    values: Mapping[str, tuple[dict[str, float], ...]]
    rows: tuple[Row, ...]
    reference: str
    seconds: float
    notices: tuple[str, ...] = ()

    @property
    def summaries(self) -> list[str]:
        """What moved from the reference to each other model, and what did not."""
        return [summary(self.rows, m.name, self.reference) for m in self.models if m.name != self.reference]

    def counts(self) -> dict[str, int]:
        """How many questions of each kind."""
        kinds = [item.kind for item in self.items]
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


@dataclass(frozen=True)
class Asking:
    """How long answers may be, and the seed of those that are drawn."""

    max_new_tokens: int = 64
    seed: int = 0


def examine(
    models: Sequence[Examined],
    items: Sequence[Item],
    models_folder: Path,
    asking: Asking | None = None,
    *,
    progress: Callable[[str, int, int], object] = lambda model, done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> BehaviourReport | None:
    """Ask every model everything; None where it was cancelled. Raises `LabError` where a model cannot be asked.

    The models run in a child process; ``progress`` and ``cancelled`` are called in the caller's thread.
    """
    if not models or not items:
        raise LabError("A report needs a model and a question at least.")
    began, wishes, base = time.monotonic(), asking or Asking(), shared_base(models)
    texts: dict[str, tuple[str, ...]] = {}
    values: dict[str, tuple[dict[str, float], ...]] = {}
    replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    with Inference(models_folder, replies.put) as inference:
        for place, model in enumerate(models):

            def count(done: int, place: int = place, name: str = model.name) -> None:
                progress(name, place * len(items) + done, len(models) * len(items))

            count(0)
            answers = _Conversation(inference, replies, cancelled).hold(model, items, base, wishes, count)
            if answers is None:
                return None
            texts[model.name] = tuple(answer.text for answer in answers)
            values[model.name] = tuple(_values(model, items, answers, base))
    return reckon(models, items, texts, values, time.monotonic() - began)


def reckon(
    models: Sequence[Examined],
    items: Sequence[Item],
    texts: Mapping[str, tuple[str, ...]],
    values: Mapping[str, tuple[dict[str, float], ...]],
    seconds: float = 0.0,
) -> BehaviourReport:
    """The table of what was answered; the first model is the one that the others are compared with."""
    reference = models[0].name
    return BehaviourReport(
        tuple(models), tuple(items), texts, values, tuple(table(values, reference)), reference, seconds
    )


def against(report: BehaviourReport, reference: str) -> BehaviourReport:
    """The same answers, every model compared with ``reference`` instead; it comes first."""
    models = sorted(report.models, key=lambda model: model.name != reference)
    texts = {model.name: report.texts[model.name] for model in models}
    values = {model.name: report.values[model.name] for model in models}
    return replace(reckon(models, report.items, texts, values, report.seconds), notices=report.notices)


def as_json(report: BehaviourReport, *, answers: bool = True) -> dict[str, Any]:
    """All of it, without a number that JSON has no word for and without a path of this machine."""
    found: dict[str, Any] = {
        "version": __version__,
        "reference": report.reference,
        "models": [
            {
                "name": model.name,
                "adapters": len(model.spec.adapters),
                "dtype": model.spec.dtype,
                "asked": "raw" if model.raw else "chat",
            }
            for model in report.models
        ],
        "questions": report.counts(),
        "rows": [_row(row, report.reference) for row in report.rows],
        "summary": report.summaries,
        "notices": list(report.notices),
        "seconds": round(report.seconds, 1),
    }
    if answers:
        found["answers"] = [
            {
                "kind": item.kind,
                "prompt": item.prompt.text,
                "models": {
                    name: {"text": texts[place], "values": _finite(report.values[name][place])}
                    for name, texts in report.texts.items()
                },
            }
            for place, item in enumerate(report.items)
        ]
    return found


def write(report: BehaviourReport, page: str, html: Path) -> Path:
    """Write the page, and beside it all numbers and answers as JSON; the JSON's path. Raises `LabError`."""
    numbers = html.with_suffix(".json")
    if html == numbers:
        raise LabError(f"{html} is where the numbers go. Name a page that ends in .html; they go beside it.")
    try:
        html.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(numbers, json.dumps(as_json(report), indent=1, allow_nan=False))
        write_private(html, page)
    except OSError as error:
        raise LabError(f"The report cannot be written to {html}: {error.strerror or error}.") from None
    return numbers


def in_words(report: BehaviourReport) -> list[str]:
    """The report for a terminal: a line a row, then what it comes to."""
    if not report.summaries:
        (only,) = report.texts
        return [
            f"{row.measure.label}: {e.value:.1%}"
            if row.measure.unit == "share"
            else f"{row.measure.label}: {e.value:.3g}"
            for row in report.rows
            if (e := row.estimates[only]).n
        ]
    lines = [sentence(row, cell, report.reference) for row in report.rows for cell in row.cells]
    return [*lines, "", *report.summaries]


def new_place(project: Path) -> Path:
    """Where the next report of a project goes: ``reports/behaviour-N/report.html``."""
    taken = [p.name.removeprefix("behaviour-") for p in (project / "reports").glob("behaviour-*")]
    number = 1 + max((int(n) for n in taken if n.isdecimal()), default=0)
    return project / "reports" / f"behaviour-{number}" / "report.html"


@dataclass(frozen=True)
class _Conversation:
    inference: Inference
    replies: "queue.SimpleQueue[Reply]"
    cancelled: Callable[[], bool]

    def hold(
        self,
        model: Examined,
        items: Sequence[Item],
        base: ModelSpec | None,
        wishes: Asking,
        count: Callable[[int], object],
    ) -> list[Answer] | None:
        """An answer to each question, in order; None where it was cancelled."""
        answers: dict[int, Answer] = {}
        for greedy in (True, False):
            places = [place for place, item in enumerate(items) if item.greedy is greedy]
            if not places:
                continue
            request = self.inference.generate(
                model.spec,
                [items[place].asked(raw=model.raw) for place in places],
                mode="raw" if model.raw else "chat",
                stop=RAW_END if model.raw else None,
                temperature=0.0 if greedy else 1.0,
                judge=True,
                kl_to=None if greedy or not model.spec.adapters else base,
                max_new_tokens=wishes.max_new_tokens,
                seed=wishes.seed,
            )
            for reply in self._until_done(request):
                if reply is None:
                    return None
                answers[places[reply.index]] = reply
                count(len(answers))
        return [answers[place] for place in range(len(items))]

    def _until_done(self, request: int) -> Iterator[Answer | None]:
        """Each answer as it comes, and None last where the request was cancelled."""
        while True:
            if self.cancelled():  # no word of the child is waited for: it may be loading a large model
                yield None
                return
            try:
                reply = self.replies.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            match reply:
                case Answer():
                    yield reply
                case Failed():
                    raise LabError(reply.message)
                case Done():
                    return


def _values(
    model: Examined, items: Sequence[Item], answers: Sequence[Answer], base: ModelSpec | None
) -> list[dict[str, float]]:
    found = []
    for item, answer, own in zip(items, answers, own_words([a.text for a in answers]), strict=True):
        values = answer.values | item.seen(answer.text) | {"own_words": own}
        if model.raw:
            values.pop("ended", None)  # the end of the line ended it
        if base is not None and not model.spec.adapters and not item.greedy:
            values["kl"] = 0.0  # it is the base
        found.append(values)
    return found


def _row(row: Row, reference: str) -> dict[str, Any]:
    measure = row.measure
    return {
        "name": measure.name,
        "label": measure.label,
        "unit": measure.unit,
        "margin": measure.margin,
        "models": {
            name: _finite({"value": e.value, "low": e.low, "high": e.high}) | {"n": e.n}
            for name, e in row.estimates.items()
        },
        "changes": [
            {
                "model": cell.model,
                "verdict": cell.verdict,
                "p": cell.p,
                "n": cell.change.n,
                "sentence": sentence(row, cell, reference),
            }
            | _finite({name: getattr(cell.change, name) for name in ("before", "after", "difference", "low", "high")})
            for cell in row.cells
        ],
    }


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
