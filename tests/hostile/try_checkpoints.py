"""The trainer's own code, in one process under watch, resumes runs that somebody else has had."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.records import dump_record
from tests.engine.conftest import demonstrations, make_tokenizer, save_model, tiny_llama
from tests.hostile.case import Place, Tried
from tests.hostile.checkpoint_cases import RUNS
from tests.hostile.guard import Guard
from tests.hostile.lab_cases import project
from tests.hostile.try_lab import Child

SMALL = {
    "batch_size": 4,
    "micro_batch_size": 4,
    "max_prompt_tokens": 32,
    "max_new_tokens": 8,
    "eval_size": 4,
    "lora_r": 2,
    "threads": 1,
}


def run(folder: Path, chosen: Callable[[str], bool] = lambda name: True) -> list[Tried]:
    """One process for all; a real run of two steps is what each case changes."""
    found = []
    with Guard(folder) as guard:
        template = guard.project / "template"
        made = _made(template, guard)
        child = Child("tests.hostile.train_child")
        try:
            first = child.ask({"run": str(made), "resume": False})
            assert "done at 2" in first, first
            shutil.copytree(made, guard.project / "again" / "runs" / "sft-1")
            child.ask({"run": str(guard.project / "again" / "runs" / "sft-1"), "resume": True})
            seen = guard.seen()
            assert not seen, f"the trainer itself does what it may not: {seen}"
            for number, (name, (words, change)) in enumerate(RUNS.items()):
                if not chosen(name):
                    continue
                place = Place(guard.project / f"case-{number}", guard.outside)
                shutil.copytree(template, place.folder)
                run_folder = place.folder / "runs" / "sft-1"
                change(run_folder, place)
                tried = Tried("checkpoints and commands of a run", name, f"(?s)^(?!.*UNFORESEEN).*({words})")
                with guard.measured(tried, child.pid):
                    tried.said = child.ask({"run": str(run_folder), "resume": True})
                found.append(tried)
                if not child.lives():
                    child = Child("tests.hostile.train_child")
                    child.ask({"run": str(guard.project / "again" / "runs" / "sft-1"), "resume": True})
                    guard.seen()
        finally:
            child.close()
    return found


def _made(folder: Path, guard: Guard) -> Path:
    """A run that can be trained: a tiny model, its data, two steps with a checkpoint each."""
    tokenizer = make_tokenizer()
    model = save_model(guard.project / "tiny", tiny_llama(len(tokenizer)), tokenizer)
    made = project(folder, "sft-1")
    (made / "attempt-1").unlink()
    config = SftConfig(dataset="x", model=str(model), max_steps=2, checkpoint_every=1, eval_every=0, **SMALL)
    (made / "config.json").write_text(config.model_dump_json())
    (made / "data.jsonl").write_bytes(b"".join(dump_record(record) + b"\n" for record in demonstrations()))
    manifest = json.loads((made / "manifest.json").read_text())
    (made / "manifest.json").write_text(json.dumps(manifest | {"dataset": "x"}))
    return made
