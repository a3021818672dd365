"""The report: its figures from the runs' logs, its page safe and self-contained."""

import json
import math
import random
import re
import time
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rlhf_lab.core.config import PpoConfig, RewardConfig, RunConfig, SftConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Event, Finished, Metrics, Resumed, SampleRow, Samples
from rlhf_lab.runs.folder import Manifest, RunFolder
from rlhf_lab.runs.log import EventLog
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.report import build, gain_interval
from rlhf_lab.runs.report_plots import line_chart, nice_ticks

HOSTILE = "<script>alert(1)</script> & \u202eevil"
RUNS = {"sft": "sft-1", "reward": "reward-1", "ppo": "ppo-1"}
QUIZ = {"base": 0.98, "sft": 0.97, "ppo": 0.96}


@pytest.fixture
def finished(project: Project) -> Project:
    """A project in which the guided experiment has run, as its logs tell."""
    _run(project, "sft-1", SftConfig(), [_at(1, "train/loss", 2.5), _at(9, "train/loss", 0.5)])
    rewards = [_at(0, "eval/accuracy", 0.5), _at(9, "eval/accuracy", 0.75), _at(9, "eval/accuracy_clean", 0.85)]
    _run(project, "reward-1", RewardConfig(eval_size=50), rewards)
    first = {"objective/kl": 0.0, "policy/ratio_first_dev": 2e-6}
    before = {"eval/score": 0.1, "eval/score_sd": 0.8, "eval/gold": 0.0, "eval/kl": 0.0, "eval/bad_refused": 0.5}
    after = {
        "eval/score": 1.1,
        "eval/gold": 1.0,
        "eval/kl": 3.0,
        "eval/harmless_refused": 0.04,
        "eval/bad_refused": 1.0,
    }
    _run(
        project,
        "ppo-1",
        PpoConfig(),
        [
            Metrics(step=0, values=before),
            Samples(step=0, name="heldout", rows=_answers(0.0)),
            Metrics(step=1, values=first),
            Metrics(step=2, values={"objective/kl": math.nan, "loss/policy_avg": math.inf}),
            Samples(step=2, name="rollout", rows=_answers(9.0)),
            Metrics(step=2, values=after),
            Samples(step=2, name="heldout", rows=_answers(1.0)),
            Finished(step=2, outcome="done"),
        ],
    )
    return project


def test_the_figures_are_those_of_the_logs(finished: Project) -> None:
    found = build(finished, RUNS, QUIZ, 12.34)
    low, high = found["ppo"].pop("gold_gain_interval")
    assert 0.6 < low < 1.0 < high < 1.4
    assert found["sft"] == {"run": "sft-1", "loss_first": 2.5, "loss_last": 0.5}
    assert found["reward"] == {
        "run": "reward-1",
        "heldout_accuracy": 0.75,
        "heldout_accuracy_clean": 0.85,
        "heldout_n": 40,
    }
    assert found["ppo"] == {
        "run": "ppo-1",
        "score_before": 0.1,
        "score_after": 1.1,
        "score_sd_before": 0.8,
        "gold_before": 0.0,
        "gold_after": 1.0,
        "kl_after": 3.0,
        "harmless_refused": 0.04,
        "ratio_first_update": 1.000002,
        "kl_first_update": 0.0,
    }
    assert (found["quiz"], found["seconds"]) == (QUIZ, 12.3)
    numbers = json.loads((Path(found["report"]).parent / "report.json").read_text())
    assert numbers["before_and_after"]["eval/bad_refused"] == {"before": 0.5, "after": 1.0}
    assert numbers["curves"]["sft"]["train/loss"] == [[1, 2.5], [9, 0.5]]


def test_the_page_escapes_what_models_write_and_loads_nothing(finished: Project) -> None:
    page = Path(build(finished, RUNS, QUIZ, 1.0)["report"]).read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert "script" not in tags.seen
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; ⟨U+202E⟩evil" in page
    assert not re.search(r"https?://|src=|@import|url\(", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_says_what_changed_and_what_did_not(finished: Project) -> None:
    page = Path(build(finished, RUNS, QUIZ, 1.0)["report"]).read_text(encoding="utf-8")
    assert "from 0.10 to 1.10 (+1.2 standard deviations" in page
    assert "bad requests refused 50% → 100%" in page
    assert "(-1 point)" in page
    assert "not only what the reward model likes" in page
    assert "over-optimisation" not in page


def test_a_gold_score_that_turned_over_is_called_by_its_name(finished: Project) -> None:
    folder = finished.run("ppo-1")
    with EventLog(folder.events_path, 1) as log:
        for step, gold in ((3, 1.5), (4, 0.2)):
            log.append(_at(step, "eval/gold", gold))
    page = Path(build(finished, RUNS, {**QUIZ, "ppo": 0.5}, 1.0)["report"]).read_text(encoding="utf-8")
    assert "It was highest at update 3 (1.50) and ended at 0.20" in page
    assert "it cost 47 points" in page


def test_runs_without_a_judge_or_a_quiz_are_reported_as_not_known(project: Project) -> None:
    for run, config in (("sft-1", SftConfig()), ("reward-1", RewardConfig()), ("ppo-1", PpoConfig())):
        _run(project, run, config, [Finished(outcome="done")])
    found = build(project, RUNS, {}, 1.0)
    assert found["ppo"]["gold_gain_interval"] is None
    assert found["quiz"] == {"base": None, "sft": None, "ppo": None}
    assert "not known" in Path(found["report"]).read_text(encoding="utf-8")


def test_what_a_later_attempt_superseded_does_not_count(finished: Project) -> None:
    folder = finished.run("sft-1")
    with EventLog(folder.events_path, 2) as log:
        for event in (Resumed(step=1, device="cpu"), _at(9, "train/loss", 0.25)):
            log.append(event)
    assert build(finished, RUNS, QUIZ, 1.0)["sft"]["loss_last"] == 0.25


def test_a_missing_run_is_named(finished: Project) -> None:
    with pytest.raises(LabError, match="ppo-7"):
        build(finished, {**RUNS, "ppo": "ppo-7"}, QUIZ, 1.0)


def test_the_interval_is_paired_and_covers_the_truth() -> None:
    dice = random.Random(1)
    hits = 0
    for _ in range(60):
        base = [dice.gauss(0, 5) for _ in range(60)]  # prompts differ much more than the gain: pairing matters
        before = _rows(base)
        after = _rows([value + dice.gauss(0.5, 1.0) for value in base])
        interval = gain_interval(before, list(reversed(after)))
        assert interval is not None
        low, high = interval
        assert high - low < 0.8
        hits += low <= 0.5 <= high
    assert hits >= 50


def test_no_interval_without_two_gains() -> None:
    assert gain_interval(_rows([1.0]), _rows([2.0])) is None
    assert gain_interval(_rows([1.0, math.nan]), _rows([2.0, 3.0])) is None


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 17.0), (5.0, 5.0), (0.0, 0.0), (1e-7, 3e-7), (-1e9, 1e9)])
def test_ticks_are_round_few_and_cover_the_range(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks == sorted(set(ticks))
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low
    assert ticks[-1] >= high


def test_a_long_curve_is_thinned_without_losing_its_spike() -> None:
    points = [(float(i), 0.0) for i in range(100_000)]
    points[54_321] = (54_321.0, 100.0)
    chart = line_chart("Long", {"curve": points}, "step")
    assert len(chart) < 60_000
    assert re.search(r"points=\"[^\"]*,12\.0 ", chart), "the spike reaches the top of the plot"
    assert line_chart("None", {"curve": []}, "step") == ""


class _Tags(HTMLParser):
    """Notes every tag, and those left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)


def _run(project: Project, run: str, config: RunConfig, events: Iterable[Event]) -> None:
    folder = RunFolder(project.runs_folder / run)
    folder.path.mkdir()
    counts = {"records": 100, "train": 60, "heldout": 40}
    manifest = Manifest(run=run, stage=config.stage, created=time.time(), dataset="d", data_sha256="", **counts)
    folder.write_config(config)
    folder.write_manifest(manifest)
    with EventLog(folder.events_path, 1) as log:
        for event in events:
            log.append(event)


def _at(step: int, name: str, value: float) -> Metrics:
    return Metrics(step=step, values={name: value})


def _answers(gold: float) -> tuple[SampleRow, ...]:
    dice = random.Random(gold)
    return tuple(
        SampleRow(
            prompt=f"Prompt {n} {HOSTILE}",
            completion=f"Answer {HOSTILE}",
            values={"gold": gold + dice.gauss(0, 0.5), "score": gold},
            tags={"world": ("knowledge", "bad")[n % 2]},
        )
        for n in range(40)
    )


def _rows(golds: list[float]) -> list[SampleRow]:
    return [SampleRow(prompt=str(i), completion="", values={"gold": gold}) for i, gold in enumerate(golds)]
