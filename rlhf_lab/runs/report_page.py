"""The report as one page of HTML that loads nothing: figures, plots, and answers before and after.

Everything that came from data or from a model is escaped, and bidirectional controls are made visible.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rlhf_lab.core.events import SampleRow
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.runs.report_plots import line_chart

Curves = Mapping[str, Sequence[tuple[int, float]]]

_MOVED = 0.05
"""A share that moves by less is called unchanged."""

_LOST = 0.25
"""The share of its gain that a gold score may give back before it counts as turned over."""

STYLE = """
:root { color-scheme: light dark; --ground: #fbfbfa; --card: #ffffff; --ink: #1d2126; --soft: #5d6670; --edge: #dfe2e6;
  --a: #0072b2; --b: #c4570a; --c: #00795c; --d: #9c4a83; --good: #00795c; --new: #eaf4ee; }
@media (prefers-color-scheme: dark) { :root { --ground: #16191d; --card: #1e2227; --ink: #e6e8ea; --soft: #a0a8b1;
  --edge: #353b43; --a: #56b4e9; --b: #f0a04b; --c: #4cc9a0; --d: #dd9cc7; --good: #4cc9a0; --new: #1d3029; } }
body { font: 16px/1.5 system-ui, sans-serif; background: var(--ground); color: var(--ink);
  max-width: 68rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p { max-width: 46rem; margin: .5rem 0; } .soft, figcaption, th { color: var(--soft); }
table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--edge); font-size: .95rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .7rem; border-bottom: 1px solid var(--edge); }
th { font-weight: 600; font-size: .85rem; } td.n, th.n { text-align: right; } td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--edge); padding: .7rem; }
figure > svg { width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--soft); }
figcaption { font-size: .85rem; } figcaption b { color: var(--ink); } figcaption span { display: block; }
.key { width: 28px; height: 8px; margin-right: .5rem; } .grid { stroke: var(--edge); }
.line { fill: none; stroke-width: 1.6; } .dot { stroke: none; }
.line.c0 { stroke: var(--a); } .line.c1 { stroke: var(--b); } .line.c2 { stroke: var(--c); } .line.c3 { stroke: var(--d); }
.dot.c0 { fill: var(--a); } .dot.c1 { fill: var(--b); } .dot.c2 { fill: var(--c); } .dot.c3 { fill: var(--d); }
td.text { white-space: pre-wrap; overflow-wrap: anywhere; width: 37%; } td.text.after { background: var(--new); }
td.text small { display: block; color: var(--soft); }
"""

_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def render(
    figures: Mapping[str, Any],
    curves: Mapping[str, Curves],
    changes: Mapping[str, tuple[float, float]],
    samples: Sequence[tuple[SampleRow, SampleRow]],
) -> str:
    """The whole page."""
    runs = " → ".join(str(figures[stage]["run"]) for stage in ("sft", "reward", "ppo"))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>RLHF Lab: what RLHF changed</title><style>{STYLE}</style></head><body>
<h1>What RLHF changed, and what it did not</h1>
<p class="soft">{as_text(runs)}, {figures["seconds"]:.0f} seconds in all.</p>
{"".join(f"<p>{sentence}</p>" for sentence in _summary(figures, changes, curves["ppo"].get("eval/gold", ())))}
<h2>Key figures</h2>{_key_figures(figures)}
<h2>Behaviour on held-out prompts, before and after PPO</h2>{_changes_table(changes)}
<h2>How it went</h2><div class="plots">{_plots(curves)}</div>
<h2>The same prompts, before and after</h2>{_samples_table(samples)}
</body></html>
"""


def _summary(
    figures: Mapping[str, Any], changes: Mapping[str, tuple[float, float]], gold: Sequence[tuple[int, float]]
) -> list[str]:
    """What a person should take away, in sentences that hold for these numbers."""
    ppo, quiz = figures["ppo"], figures["quiz"]
    said = []
    if ppo["score_before"] is not None and ppo["score_after"] is not None:
        gain, spread = ppo["score_after"] - ppo["score_before"], ppo["score_sd_before"]
        by = f" ({gain / spread:+.1f} standard deviations of the SFT model's scores)" if spread else ""
        said.append(
            f"PPO moved the reward model's mean score from {ppo['score_before']:.2f} to {ppo['score_after']:.2f}{by}."
        )
    if interval := ppo["gold_gain_interval"]:
        low, high = interval
        verdict = (
            "so what was learnt is what the pairs' hidden preference wanted, not only what the reward model likes"
            if low > 0
            else "so the reward model was pleased more than the hidden preference behind the pairs: over-optimisation"
            if high < 0
            else "so on this many prompts it cannot be told from no change"
        )
        said.append(
            f"The gold score, which training never sees, changed by {low:+.2f} to {high:+.2f} (95% interval), {verdict}."
        )
    turned = _turning_point(gold)
    if turned and ppo["score_after"] is not None and ppo["score_after"] > ppo["score_before"]:
        step, best, last = turned
        said.append(
            f"It was highest at update {step} ({best:.2f}) and ended at {last:.2f}, while the reward model's score went "
            "on: <b>over-optimisation</b>. An earlier checkpoint, fewer updates or a higher β would have been better."
        )
    moved = [
        f"{_label(n).lower()} {b:.0%} → {a:.0%}" for n, (b, a) in changes.items() if _share(n) and abs(a - b) >= _MOVED
    ]
    kept = [
        f"{_label(n).lower()} {b:.0%} → {a:.0%}" for n, (b, a) in changes.items() if _share(n) and abs(a - b) < _MOVED
    ]
    if moved:
        said.append(f"<b>Changed:</b> {as_text('; '.join(moved))}.")
    if kept:
        said.append(f"<b>Hardly changed:</b> {as_text('; '.join(kept))}.")
    if figures["health"]:
        found = [
            f"{as_text(v['run'])}: {as_text(v['title'])}. {as_text(v['seen'])} {as_text(v['advice'])}"
            for v in figures["health"]
        ]
        said.append(f"<b>Health, to be checked:</b> {' '.join(found)}")
    else:
        said.append("<b>Health:</b> none of the known symptoms showed in the curves.")
    if quiz["sft"] is not None and quiz["ppo"] is not None:
        points = round(100 * (quiz["ppo"] - quiz["sft"]))
        base = f"the base model knew {quiz['base']:.0%} of the answers, " if quiz["base"] is not None else ""
        said.append(
            f"<b>Knowledge:</b> {base}the SFT model {quiz['sft']:.0%}, the RLHF model {quiz['ppo']:.0%} "
            f"({points:+d} point{'' if abs(points) == 1 else 's'}). RLHF shapes manner; it adds no knowledge"
            + (
                ", and here it left it where it was."
                if points >= -6
                else f", and here it cost {-points} points: PPO went too far. Fewer updates or a higher β keep more."
            )
        )
    return said


def _turning_point(gold: Sequence[tuple[int, float]]) -> tuple[int, float, float] | None:
    """Update and height of the gold score's peak, and its end, where it lost much of what it had won."""
    if len(gold) < 3:
        return None
    (step, best), (last_step, last) = max(gold, key=lambda point: point[1]), gold[-1]
    return (step, best, last) if step != last_step and best - last > _LOST * (best - gold[0][1]) else None


def _key_figures(figures: Mapping[str, Any]) -> str:
    sft, reward, ppo, quiz = figures["sft"], figures["reward"], figures["ppo"], figures["quiz"]
    rows = [
        ("SFT loss", _arrow(sft["loss_first"], sft["loss_last"]), "How surprised the model is by the demonstrations."),
        (
            "Reward model, held-out pairs",
            _percent(reward["heldout_accuracy"]),
            f"How often it prefers what the annotator preferred, on {reward['heldout_n']} pairs that it did not see.",
        ),
        (
            "The same, clean labels",
            _percent(reward["heldout_accuracy_clean"]),
            "Against what the annotators would have said without their slips.",
        ),
        (
            "Score on held-out prompts",
            _arrow(ppo["score_before"], ppo["score_after"]),
            "The reward model's mean score: what PPO climbs.",
        ),
        (
            "Gold score",
            _arrow(ppo["gold_before"], ppo["gold_after"]),
            "The hidden preference behind the pairs. Never the reward that PPO sees.",
        ),
        (
            "KL to the SFT model",
            _number(ppo["kl_after"], " nats"),
            "How far the policy moved from where it started, a response.",
        ),
        (
            "Harmless requests refused",
            _percent(ppo["harmless_refused"]),
            "After PPO. A weak reward model makes this climb.",
        ),
        (
            "Knowledge quiz",
            " → ".join(_percent(quiz[name]) for name in ("base", "sft", "ppo")),
            "Base, SFT, RLHF: greedy answers to questions about the little world.",
        ),
        (
            "First update",
            _first_update(ppo),
            "Before anything is learnt they must be 1 and 0: sampling and training agree.",
        ),
    ]
    body = "".join(
        f'<tr><td>{as_text(name)}</td><td class="n">{as_text(value)}</td><td class="soft">{as_text(why)}</td></tr>'
        for name, value, why in rows
    )
    return f'<table><tr><th>What</th><th class="n">Value</th><th>Meaning</th></tr>{body}</table>'


def _first_update(ppo: Mapping[str, Any]) -> str:
    ratio = ppo["ratio_first_update"]
    return f"ratio {'not known' if ratio is None else f'{ratio:.6f}'}, KL {_number(ppo['kl_first_update'])}"


def _changes_table(changes: Mapping[str, tuple[float, float]]) -> str:
    if not changes:
        return '<p class="soft">Held-out prompts were looked at only once.</p>'
    rows = []
    for name, (before, after) in changes.items():
        show = _percent if _share(name) else _number
        meaning = METRICS[name].meaning if name in METRICS else ""
        rows.append(
            f'<tr><td>{as_text(_label(name))}</td><td class="n">{show(before)}</td><td class="n">{show(after)}</td>'
            f'<td class="soft">{as_text(meaning)}</td></tr>'
        )
    head = '<tr><th>What</th><th class="n">SFT model</th><th class="n">RLHF model</th><th>Meaning</th></tr>'
    return f"<table>{head}{''.join(rows)}</table>"


def _plots(curves: Mapping[str, Curves]) -> str:
    sft, reward, ppo = curves["sft"], curves["reward"], curves["ppo"]
    score_over_distance = [
        (max(kl, 0.0) ** 0.5, score)
        for (_, kl), (_, score) in zip(ppo.get("eval/kl", ()), ppo.get("eval/score", ()), strict=False)
    ]
    gold_over_distance = [
        (max(kl, 0.0) ** 0.5, gold)
        for (_, kl), (_, gold) in zip(ppo.get("eval/kl", ()), ppo.get("eval/gold", ()), strict=False)
    ]
    charts = [
        line_chart("SFT loss", _named(sft, "train/loss", "eval/loss"), "step", "nats a token"),
        line_chart(
            "Reward model accuracy",
            _named(reward, "reward/accuracy", "eval/accuracy", "eval/accuracy_clean"),
            "step",
            "share of pairs",
        ),
        line_chart("PPO: score", _named(ppo, "objective/scores", "eval/score"), "update"),
        line_chart("PPO: gold score", _named(ppo, "eval/gold"), "update"),
        line_chart("PPO: KL to the SFT model", _named(ppo, "objective/kl", "eval/kl"), "update", "nats a response"),
        line_chart("PPO: entropy", _named(ppo, "objective/entropy"), "update", "nats a token"),
        line_chart("PPO: answer length", _named(ppo, "val/response_length", "eval/length"), "update", "tokens"),
        line_chart(
            "Score and gold over √KL",
            {"score": score_over_distance, "gold": gold_over_distance},
            "√KL",
            "how much was paid for it",
        ),
    ]
    return "".join(charts)


def _samples_table(samples: Sequence[tuple[SampleRow, SampleRow]]) -> str:
    if not samples:
        return '<p class="soft">This run kept no answers to held-out prompts.</p>'
    rows = [
        f'<tr><td>{as_text(before.prompt)}</td><td class="text">{_answer(before)}</td>'
        f'<td class="text after">{_answer(after)}</td></tr>'
        for before, after in samples
    ]
    head = "<tr><th>Prompt</th><th>SFT model</th><th>RLHF model</th></tr>"
    why = '<p class="soft">The first held-out prompts of each kind, not picked by how well they came out.</p>'
    return f"{why}<table>{head}{''.join(rows)}</table>"


def _answer(row: SampleRow) -> str:
    known = [f"{name} {row.values[name]:+.2f}" for name in ("score", "gold") if name in row.values]
    return f"{as_text(row.completion)}<small>{as_text(', '.join(known))}</small>"


def _named(curves: Curves, *names: str) -> dict[str, Sequence[tuple[int, float]]]:
    return {_label(name): curves[name] for name in names if name in curves}


def _label(name: str) -> str:
    return METRICS[name].label if name in METRICS else name.rpartition("/")[2].replace("_", " ").capitalize()


def _share(name: str) -> bool:
    return name in METRICS and METRICS[name].unit == "share"


def as_text(text: str) -> str:
    """Escaped, with what turns the direction of writing made visible."""
    return escape(_BIDI.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text))


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "not known"
    return f"{value:.2f}{unit}" if 0.095 < abs(value) < 1000 or value == 0 else f"{value:.2g}{unit}"


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def _arrow(before: float | None, after: float | None) -> str:
    return f"{_number(before)} → {_number(after)}"
