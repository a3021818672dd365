"""What the help shows: a topic of the catalogue, a metric, a config field, the keys; each as Markdown. No Qt.

A place in the help is named as its links are: ``help:pane.data``, ``help:keys``, ``metric:objective/kl``, ``field:ppo.kl_coef``.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rlhf_lab.core.config import STAGES
from rlhf_lab.core.help import KINDS, topic, topics
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.gui.models.action_table import ACTIONS, EVERYWHERE
from rlhf_lab.gui.models.form import questions, shown

KEYS, CONTENTS = "help:keys", "help:contents"
_KIND_TITLES = {"page": "To begin with", "pane": "Panes", "control": "Parts of them", "concept": "Words of the field"}
_MARKUP = re.compile(r"([\\`*_<>\[\]|#~])")


@dataclass(frozen=True)
class Page:
    """One page: what it is about, and its text."""

    ref: str
    title: str
    markdown: str


def page(ref: str, written: Callable[[str], str] = str) -> Page:
    """The page of that name; ``written`` says keys as the system does. `KeyError` for one that there is not."""
    kind, _, name = ref.partition(":")
    if kind == "metric":
        return _metric(name)
    if kind == "field":
        return _field(*name.split(".", 1))
    if kind != "help":
        raise KeyError(f"no page of help is called {ref!r}")
    if ref == KEYS:
        return Page(ref, "Keys", _keys(written))
    if ref == CONTENTS:
        return Page(ref, "Help", _contents())
    found = topic(name)
    lead = "\n\n".join(plain(part) for part in found.tip.split("\n\n"))
    return Page(ref, found.title, f"{_ended(lead)}\n\n{found.text}".strip())


def composed(refs: Sequence[str], written: Callable[[str], str] = str) -> Page:
    """Help for what has the keyboard: the nearest in full, with all metrics of a plot; what it stands in as links."""
    if not refs:
        return page(CONTENTS, written)
    metrics = [ref for ref in refs if ref.startswith("metric:")]
    pages = [page(ref, written) for ref in (metrics if refs[0] in metrics else refs[:1])]
    around = [page(ref) for ref in refs if ref not in {known.ref for known in pages}]
    text = "\n\n".join([pages[0].markdown, *(f"### {known.title}\n\n{known.markdown}" for known in pages[1:])])
    if around:
        text += "\n\n---\n\nSee also: " + " · ".join(f"[{other.title}]({other.ref})" for other in around)
    return Page(refs[0], pages[0].title, text)


def places() -> Iterator[tuple[str, str, str]]:
    """Every page as its name, its title and other words for it; for the palette."""
    yield KEYS, "Keys", "shortcuts keyboard"
    for kind in KINDS:
        for name, found in topics(kind).items():
            yield f"help:{name}", found.title, found.tip
    for name, metric in METRICS.items():
        yield f"metric:{name}", f"{metric.label} ({name})", "metric"
    told = set()
    for stage in STAGES:
        for question in questions(stage):
            if question.name not in told:
                told.add(question.name)
                yield f"field:{stage}.{question.name}", f"{question.label} ({question.name})", "setting field"


def plain(text: str) -> str:
    """Text that is no Markdown, as Markdown that shows it as it is."""
    return _MARKUP.sub(r"\\\1", text)


def _metric(name: str) -> Page:
    metric = METRICS[name]
    parts = [f"`{name}`" + (f", in {metric.unit}" if metric.unit else ""), plain(metric.meaning)]
    bounds = [
        f"{words} {bound:g}"
        for words, bound in (("at least", metric.low), ("at most", metric.high))
        if bound is not None
    ]
    if bounds:
        parts.append(f"**Healthy:** {' and '.join(bounds)}.")
    if metric.advice:
        parts.append(f"**What to do:** {plain(metric.advice)}")
    return Page(f"metric:{name}", metric.label, "\n\n".join(parts))


def _field(stage: str, name: str) -> Page:
    question = next(
        (q for known, model in STAGES.items() if known == stage for q in questions(known) if q.name == name), None
    )
    if question is None:
        raise KeyError(f"no setting of {stage!r} is called {name!r}")
    parts = [f"`{name}`" + (f", in {question.unit}" if question.unit else ""), plain(question.help)]
    if question.choices:
        parts.append("One of " + ", ".join(f"`{choice}`" for choice in question.choices) + ".")
    elif question.limits:
        parts.append(f"{question.limits[0].upper()}{question.limits[1:]}.")
    parts.append(f"Default: {plain(shown(question.default)) or 'none'}. In a terminal: `--set {name}=…`")
    return Page(f"field:{stage}.{name}", question.label, "\n\n".join(parts))


def _keys(written: Callable[[str], str]) -> str:
    keyed = [action for action in ACTIONS.values() if action.keys]
    keyed.sort(key=lambda action: (action.where != EVERYWHERE, action.where))
    parts = ["[Find an action](do:window.palette) reaches everything else, with a few letters of its name."]
    for where, actions in groupby(keyed, key=lambda action: action.where):
        rows = [
            f"| {plain(action.title)} | {', '.join(plain(written(keys)) for keys in action.keys)} |"
            for action in actions
        ]
        parts.append("\n".join([f"| {plain(where)} | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def _contents() -> str:
    parts = []
    for kind in KINDS:
        entries = [f"[{found.title}](help:{name})" for name, found in topics(kind).items()]
        entries += [f"[Keys]({KEYS})"] if kind == "page" else []
        parts.append(f"### {_KIND_TITLES[kind]}\n\n" + " · ".join(entries))
    parts.append(
        "### Numbers and settings\n\nGo to a plot or a field of a form, by click or by Tab, and press F1. "
        "[Find an action](do:window.palette) finds each of them by name."
    )
    return "\n\n".join(parts)


def _ended(text: str) -> str:
    return text if text[-1:] in ".!?)" else f"{text}."
