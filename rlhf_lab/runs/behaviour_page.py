"""The behaviour report as one page of HTML that loads nothing: what moved in words, pictures, a table, answers.

Everything that came from data or from a model is escaped.
"""

from html import escape

from rlhf_lab.data.behaviour import VERDICT_WORDS, Row, interval_text, p_text, sentence, value_text
from rlhf_lab.runs.behaviour_report import BehaviourReport
from rlhf_lab.runs.report_page import STYLE, as_text
from rlhf_lab.runs.report_plots import WIDTH, nice_ticks

_SHOWN_PER_KIND = 3
_LONGEST_SHOWN = 1500
_LEFT, _RIGHT, _ROW, _TOP, _FOOT = 118, 18, 26, 6, 24
_LONGEST_NAME = 16
_KINDS = {
    "knowledge": "with a known answer",
    "unanswerable": "that nobody can answer",
    "bad": "that should be refused",
    "harmless": "that should not be refused",
    "open": "of other kinds",
}
_MORE_STYLE = """
.whisker { stroke-width: 2; } .whisker.c0 { stroke: var(--a); } .whisker.c1 { stroke: var(--b); }
.whisker.c2 { stroke: var(--c); } .whisker.c3 { stroke: var(--d); } li { margin: .2rem 0; max-width: 52rem; }
.wide { overflow-x: auto; } td small { display: block; color: var(--soft); white-space: nowrap; }
details { margin: .5rem 0; } td.said { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 12rem; }
"""


def render(report: BehaviourReport) -> str:
    """The whole page."""
    names = [model.name for model in report.models]
    heading = "How the models behave" if len(names) == 1 else "What changed, and what did not"
    said = "".join(f"<p>{as_text(text)}</p>" for text in report.summaries)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>RLHF Lab: behaviour of {as_text(", ".join(names))}</title><style>{STYLE}{_MORE_STYLE}</style></head><body>
<h1>{heading}</h1>
<p class="soft">{as_text(" · ".join(names))}. {as_text(asked(report))}</p>
{said}
<h2>Row by row</h2>{_sentences(report)}
<h2>Pictures</h2><p class="soft">A dot is the mean over the questions, a line its 95% interval.</p>
<div class="plots">{"".join(_picture(row) for row in report.rows)}</div>
<h2>Table</h2><div class="wide">{_table(report)}</div>
<h2>The same questions, answered by each</h2>{_answers(report)}
<h2>How it was found</h2>{_method(report)}
</body></html>
"""


def asked(report: BehaviourReport) -> str:
    """How many questions of which kinds."""
    counts = [f"{count:,} {_KINDS.get(kind, kind)}" for kind, count in report.counts().items()]
    return f"{len(report.items):,} questions: {', '.join(counts)}."


def _sentences(report: BehaviourReport) -> str:
    said = [as_text(sentence(row, cell, report.reference)) for row in report.rows for cell in row.cells]
    if not said:
        return '<p class="soft">There is no other model to compare with.</p>'
    return f"<ul>{''.join(f'<li>{text}</li>' for text in said)}</ul>"


def _picture(row: Row) -> str:
    """One line per model on a common scale."""
    found = {name: e for name, e in row.estimates.items() if e.n}
    if not found:
        return ""
    share = row.measure.unit == "share"
    low = 0.0 if share else min(0.0, *(e.low for e in found.values()))
    high = 1.0 if share else max(e.high for e in found.values())
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0] if share else nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    height = _TOP + _ROW * len(found) + _FOOT

    def at(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT), 1)

    parts = []
    for tick in ticks:
        x, bottom = at(tick), height - _FOOT
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(
            f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{f"{tick:.0%}" if share else f"{tick:g}"}</text>'
        )
    for place, (name, e) in enumerate(found.items()):
        y, colour = _TOP + _ROW * (place + 0.5), f"c{place % 4}"
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{as_text(short)}</text>')
        parts.append(f'<line class="whisker {colour}" x1="{at(e.low)}" x2="{at(e.high)}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot {colour}" cx="{at(e.value)}" cy="{y}" r="4.5"/>')
    words = ". ".join(
        f"{name}: {value_text(e, row.measure)}, {interval_text(e, row.measure)}" for name, e in found.items()
    )
    label = f'role="img" aria-label="{as_text(f"{row.measure.label}. {words}.")}"'
    unit = "" if share or not row.measure.unit else f" ({escape(row.measure.unit)})"
    caption = f"<figcaption><b>{escape(row.measure.label)}</b>{unit}</figcaption>"
    return f'<figure><svg viewBox="0 0 {WIDTH} {height}" {label}>{"".join(parts)}</svg>{caption}</figure>'


def _table(report: BehaviourReport) -> str:
    names = [model.name for model in report.models]
    head = "".join(f'<th class="n">{as_text(name)}</th>' for name in names)
    body = []
    for row in report.rows:
        verdicts = {cell.model: cell for cell in row.cells}
        cells = []
        for name in names:
            e, cell = row.estimates[name], verdicts.get(name)
            mark = f"<small>{VERDICT_WORDS[cell.verdict]}, {escape(p_text(cell.p))}</small>" if cell else ""
            value = f"{value_text(e, row.measure)}<small>{interval_text(e, row.measure)}</small>{mark}" if e.n else "–"
            cells.append(f'<td class="n">{value}</td>')
        unit = "" if row.measure.unit in ("share", "") else f" ({escape(row.measure.unit)})"
        body.append(f"<tr><td>{escape(row.measure.label)}{unit}</td>{''.join(cells)}</tr>")
    return f"<table><tr><th>What</th>{head}</tr>{''.join(body)}</table>"


def _answers(report: BehaviourReport) -> str:
    """The first questions of each kind, not picked by how they were answered."""
    names = [model.name for model in report.models]
    head = "".join(f"<th>{as_text(name)}</th>" for name in names)
    parts = ['<p class="soft">The first questions of each kind, not picked by how they were answered.</p>']
    for kind in report.counts():
        rows = []
        for place in [p for p, item in enumerate(report.items) if item.kind == kind][:_SHOWN_PER_KIND]:
            said = "".join(f'<td class="said">{as_text(_short(report.texts[name][place]))}</td>' for name in names)
            rows.append(f"<tr><td>{as_text(_short(report.items[place].prompt.text))}</td>{said}</tr>")
        title = f"Questions {_KINDS.get(kind, kind)}"
        parts.append(
            f'<details open><summary>{as_text(title)}</summary><div class="wide"><table><tr><th>Question</th>{head}</tr>'
            f"{''.join(rows)}</table></div></details>"
        )
    return "".join(parts)


def _method(report: BehaviourReport) -> str:
    raw = [model.name for model in report.models if model.raw]
    dtypes = dict.fromkeys(model.spec.dtype for model in report.models)
    said = [
        "Questions with a known answer are answered at temperature 0, all others as the model draws at temperature 1.",
        "Shares have Wilson's 95% interval, other means a bootstrap over the questions. Each model is compared with "
        f"{report.reference} on the same questions: shares with McNemar's exact test, the rest with a sign-flip test; "
        "p has all tests of the table reckoned in (Holm), each interval is of its row alone. “Stayed” means that the whole "
        "interval of the change is too small to matter; “not to be told” means that these questions are too few to say.",
        "What counts as polite, as a refusal or as right is read off the words: look at the answers above as well.",
        f"Computed in {' and '.join(dtypes)}.",
    ]
    if raw:
        said.append(
            f"{', '.join(raw)} only continues text and was asked as “Question: … Answer:”, so some of the difference to "
            "the others is the form."
        )
    said += report.notices
    return "".join(f'<p class="soft">{as_text(text)}</p>' for text in said)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
