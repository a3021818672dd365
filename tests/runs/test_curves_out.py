"""Curves for other programs, and the card of a model: from the run's log, with nothing lost and nothing leaked."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rlhf_lab.core.config import PpoConfig, RewardConfig
from rlhf_lab.core.events import Event, Finished, Health, Metrics, Resumed, SampleRow, Samples, Started
from rlhf_lab.runs import curves_out, model_card
from rlhf_lab.runs.folder import Manifest, RunFolder
from rlhf_lab.runs.log import EventLog
from rlhf_lab.runs.model_card import Made

HOSTILE = "a <script>|`x`\u202e data"
MADE = Made(
    form="merged",
    base="a/base",
    base_files={"model.safetensors": "b" * 64},
    base_licence=None,
    licence_files=(),
    files={"model.safetensors": "c" * 64},
    precision="fp32",
    trained_in="fp32",
    rank=24,
    scale=None,
)


def _log(folder: RunFolder, attempt: int, *events: Event) -> None:
    with EventLog(folder.events_path, attempt) as log:
        for event in events:
            log.append(event)


@pytest.fixture
def ran(tmp_path: Path) -> RunFolder:
    """A run that was interrupted after step 2 and went on from step 1."""
    folder = _folder(tmp_path, "ppo-1", PpoConfig(model="a/base", reward_model="reward-1", note="secret plan"))
    row = SampleRow(prompt="Why?", completion="So.")
    _log(
        folder,
        1,
        Started(device="cpu, fp32, 1 thread", versions={"torch": "2.13.0"}),
        Metrics(step=0, values={"eval/score": 0.25}),
        Samples(step=0, name="heldout", rows=(row,)),
        Metrics(step=1, values={"objective/kl": 0.1, "mine/own": 7.0}),
        Metrics(step=2, values={"objective/kl": 99.0}),
    )
    _log(
        folder,
        2,
        Resumed(step=1, device="cpu, fp32, 2 threads", versions={"torch": "2.13.1"}),
        Metrics(step=2, values={"objective/kl": 0.2}),
        Metrics(step=2, values={"eval/score": math.nan}),
        Health(step=2, code="x", level="check", title="KL is high", seen="KL is 30.", cause="β.", advice="Raise it."),
        Finished(step=2, outcome="done"),
    )
    return folder


def _folder(tmp_path: Path, run: str, config: Any) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / run)
    folder.path.mkdir(parents=True)
    folder.write_config(config)
    folder.write_manifest(
        Manifest(
            run=run,
            stage=config.stage,
            created=1_700_000_000.0,
            dataset=HOSTILE,
            data_sha256="d" * 64,
            records=1234,
            train=1000,
            heldout=234,
            reward_run=getattr(config, "reward_model", None),
        )
    )
    return folder


def test_csv_has_every_number_that_counts(ran: RunFolder, tmp_path: Path) -> None:
    curves_out.write_csv(ran, tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "time", "objective/kl", "eval/score", "mine/own"]
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    assert [row["objective/kl"] for row in rows] == ["", "0.1", "0.2"]
    assert [row["eval/score"] for row in rows] == ["0.25", "", "nan"]
    assert [row["mine/own"] for row in rows] == ["", "7.0", ""]
    assert all(float(row["time"]) > 0 for row in rows)


def test_the_sheet_draws_every_curve(ran: RunFolder, tmp_path: Path) -> None:
    curves_out.write_svg(ran, tmp_path / "curves.svg")
    drawn = ElementTree.parse(tmp_path / "curves.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert len(drawn.findall(f".//{name}polyline")) == 3
    words = {element.text for element in drawn.iter(f"{name}text")}
    assert {"ppo-1: PPO", "KL (nats)", "Held-out score", "mine/own", "0.1 → 0.2"} <= words


def test_a_run_without_numbers_has_an_empty_sheet(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "ppo-1", PpoConfig())
    _log(folder, 1, Finished(outcome="failed"))
    assert "has said no numbers yet" in curves_out.sheet(folder)


def test_tensorboard_reads_the_same_numbers(ran: RunFolder, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (tmp_path / "tb").mkdir()
    curves_out.write_tensorboard(ran, tmp_path / "tb")
    read = EventAccumulator(str(tmp_path / "tb"))
    read.Reload()
    assert [(point.step, point.value) for point in read.Scalars("objective/kl")] == [
        (1, pytest.approx(0.1)),
        (2, pytest.approx(0.2)),
    ]
    scores = read.Scalars("eval/score")
    assert scores[0].value == 0.25
    assert math.isnan(scores[1].value)
    assert set(read.Tags()["tensors"]) == {"config", "heldout"}
    [file] = (tmp_path / "tb").iterdir()
    assert file.name.endswith(".rlhf-lab")


def test_the_card_tells_the_whole_story(ran: RunFolder, tmp_path: Path) -> None:
    _log(
        _folder(tmp_path, "reward-1", RewardConfig(model=str(tmp_path / "elsewhere"))),
        1,
        Finished(step=9, outcome="done"),
    )
    text = model_card.card(ran, MADE)
    assert text.startswith("---\nlibrary_name: transformers\n")
    assert "base_model: a/base" in text.split("---")[1]
    for told in (
        "d" * 64,
        "b" * 64,
        "c" * 64,
        "1,234",
        "reward-1",
        "9 steps, done",
        "KL is high",
        "torch 2.13.1",
        "0.2",
    ):
        assert told in text
    assert "secret plan" not in text
    assert str(tmp_path) not in text
    assert "<script>" not in text.split("## Settings")[0]
    assert "\u202e" not in text.split("## Settings")[0]
    assert "```toml" in text
    assert "look it up before you give this away" in text


def test_a_fence_outlasts_the_ticks_in_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "ppo-1", PpoConfig(regex="```\n# not a title", regex_weight=1.0))
    _log(folder, 1, Finished(outcome="done"))
    assert "````toml" in model_card.card(folder, MADE)


def test_a_score_says_its_scale_and_what_became_of_the_heads(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "reward-1", RewardConfig(heads=4))
    _log(folder, 1, Finished(outcome="done"))
    scale = {"score_mean": -0.125, "score_std": 0.5, "heads": 4, "head": "mean"}
    made = Made(**{**vars(MADE), "form": "reward", "scale": scale})
    text = model_card.card(folder, made)
    assert "pipeline_tag: text-classification" in text
    assert "- -0.125) / 0.5" in text
    assert "4 heads; in here is their mean" in text
    assert any("Of its 4 heads, the mean is in it" in note for note in model_card.notes(folder, made))


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlanguage: en\nlicense: MIT\n---\n# A model", "mit"),
        ("# A model\nlicense: mit", None),
        ("---\nlicense: [a, b]\n---", None),
        (None, None),
    ],
)
def test_the_licence_is_what_the_base_says(tmp_path: Path, readme: str | None, licence: str | None) -> None:
    if readme is not None:
        (tmp_path / "README.md").write_text(readme)
    assert model_card.licence_of(tmp_path, str(tmp_path)) == licence


@pytest.mark.parametrize(
    ("model", "name"), [("bundled", model_card.BUNDLED), ("a/base", "a/base"), ("/home/me/secret/llama", "llama")]
)
def test_a_base_is_called_without_its_place(model: str, name: str) -> None:
    assert model_card.base_name(model) == name


def test_what_differs_for_one_adapter_is_said(ran: RunFolder, make_started: Callable[[RunFolder], None]) -> None:
    make_started(ran)
    made = Made(**{**vars(MADE), "form": "adapter", "trained_in": "bf16"})
    said = " ".join(model_card.notes(ran, made))
    assert "One adapter of rank 24 for the original base: sft-1 + ppo-1." in said
    assert "differ by that rounding" in said


@pytest.fixture
def make_started() -> Callable[[RunFolder], None]:
    """Let the run have started from an SFT run."""
    return lambda folder: folder.write_manifest(folder.manifest.model_copy(update={"start_runs": ("sft-1",)}))
