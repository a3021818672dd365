"""A run whose reward is a person's function, from the approval to its end, in the real processes."""

from pathlib import Path

import psutil
import pytest

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.events import AnyEvent, Checkpointed, Finished, Metrics
from rlhf_lab.runs.approval import approve, read_function
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.source import ProcessRun

from .conftest import follow_on

SCORES = """
def reward(prompts, answers, tags):
    return [float("hello" in answer.lower()) for answer in answers]
"""
RAISES = """
calls = []

def reward(prompts, answers, tags):
    calls.append(len(answers))
    if len(calls) > 2:
        raise ValueError(f"call {len(calls)}")
    return [0.0] * len(answers)
"""
HANGS = """
import subprocess, sys

def reward(prompts, answers, tags):
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])
"""


def run(tmp_path: Path, text: str, **settings: object) -> tuple[list[AnyEvent], Finished, Path]:
    file = tmp_path / "mine.py"
    file.write_text(text)
    approve(read_function(file))
    config = PpoConfig(
        dataset="lab world prompts",
        reward_function=str(file),
        updates=2,
        batch_size=4,
        epochs=1,
        eval_size=2,
        max_prompt_tokens=48,
        max_new_tokens=4,
        lora_r=2,
        threads=1,
        **settings,
    )
    with Project.open(tmp_path / "project") as project:
        folder = project.create_run(config)
        source = ProcessRun(folder)
        source.start()
        events, finished = follow_on(source)
    assert finished is not None
    return events, finished, file


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_it_trains_on_what_the_function_says(tmp_path: Path) -> None:
    events, finished, _ = run(tmp_path, SCORES)
    assert finished.outcome == "done", finished.message
    scores = [e.values["objective/scores"] for e in events if isinstance(e, Metrics) and "objective/scores" in e.values]
    assert len(scores) == 2
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.usefixtures("warm_children", "bundled_data")
@pytest.mark.parametrize(
    ("text", "line", "words", "updates"),
    [
        (RAISES, 'line 7 (raise ValueError(f"call {len(calls)}"))', "ValueError: call 3", 1),
        (HANGS, "line 5 (subprocess.run(", "it took longer than 1 s for 2 answers", 0),
    ],
)
def test_a_function_that_fails_ends_the_run_with_its_line(
    tmp_path: Path, text: str, line: str, words: str, updates: int
) -> None:
    before = {process.pid for process in psutil.process_iter()}
    events, finished, file = run(tmp_path, text, reward_function_seconds=1)
    assert finished.outcome == "failed"
    assert finished.message.startswith(f"The reward function {file}, {line}")
    assert words in finished.message
    assert finished.message.endswith(f"What was learned up to update {updates} is kept.")
    saved = [event.path for event in events if isinstance(event, Checkpointed)]
    assert saved[-1] == f"checkpoints/step-{updates}"
    born = [process for process in psutil.process_iter(["cmdline"]) if process.pid not in before]
    assert [p for p in born if "time.sleep(600)" in " ".join(p.info["cmdline"] or ())] == []
