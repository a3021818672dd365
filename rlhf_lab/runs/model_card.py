"""The card of an exported model: how to load it, what it went through, how that went, and its limits.

Written for whoever gets the folder: no path of this machine, no note that was meant for oneself. Whatever came from
data is shown as it stands, never as markup.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlhf_lab import __version__
from rlhf_lab.core.config import RunConfig, steps_in_words
from rlhf_lab.core.config_toml import render_toml
from rlhf_lab.core.events import Finished, Resumed, Started
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.core.naming import STAGE_NAMES, Stage
from rlhf_lab.core.redact import without_secrets
from rlhf_lab.core.small_files import read_text
from rlhf_lab.runs.exporting import Form
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.log import said_so_far
from rlhf_lab.runs.report import RunStory, read_story

BUNDLED = "the model that RLHF Lab brings along"

_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
_LICENCE = re.compile(r"^license:\s*[\"']?([\w.+-]{1,60})[\"']?\s*$", re.MULTILINE)
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#!&~])")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_PRIVATE = frozenset({"note"})
_NOT_SHOWN = ("time/", "perf/", "optim/", "first/")
_TASKS: Mapping[Stage, str] = {
    "sft": "It imitates demonstrations",
    "reward": "It scores answers, as people ranked them",
    "ppo": "It was optimised against a reward with PPO",
    "rloo": "It was optimised against a reward with RLOO",
    "dpo": "It was optimised on preference pairs with DPO",
    "best_of_n": "It is a choice among answers",
}


@dataclass(frozen=True)
class Made:
    """What was written, as far as the run's folder does not say it."""

    form: Form
    base: str
    base_files: dict[str, str]
    base_licence: str | None
    licence_files: tuple[str, ...]
    files: dict[str, str]
    precision: str
    trained_in: str
    rank: int
    scale: dict[str, Any] | None


def base_name(model: str) -> str:
    """What others call the base: a hub id, or the end of a path."""
    if model == "bundled":
        return BUNDLED
    path = Path(model)
    return path.name if path.is_absolute() else model


def licence_of(folder: Path, model: str) -> str | None:
    """What the base's own card says of its licence, as the hub writes it."""
    if model == "bundled":
        return "apache-2.0"
    try:
        front = _FRONT.match(read_text(folder / "README.md"))
    except (OSError, ValueError):
        return None
    found = _LICENCE.search(front[1]) if front else None
    return found[1].lower() if found else None


def notes(folder: RunFolder, made: Made) -> list[str]:
    """What a person should know at once."""
    found = []
    if made.form == "adapter" and folder.manifest.start_runs:
        found.append(f"One adapter of rank {made.rank} for the original base: {' + '.join(_chain(folder))}.")
    if made.form == "adapter" and made.trained_in == "bf16" and folder.manifest.start_runs:
        found.append(
            "It was trained on a base in bf16 with the earlier adapter merged and rounded: on the original base its "
            "logits differ by that rounding. The merged model, or adapter and base, keep it."
        )
    if made.form in ("merged", "reward") and made.precision == "bf16":
        found.append("The weights are rounded to bf16, so the logits are not exactly those of the lab.")
    if made.scale is not None:
        found.append("score = (logit − score_mean) / score_std; the card says more.")
        if made.scale["heads"] > 1:
            which = "the mean" if made.scale["head"] == "mean" else f"head {made.scale['head']}"
            found.append(f"Of its {made.scale['heads']} heads, {which} is in it; their disagreement is not.")
    if made.base_licence is None:
        found.append("The base does not say its licence: look it up before you give this away.")
    return found


def card(folder: RunFolder, made: Made) -> str:
    """The whole README.md."""
    manifest, story = folder.manifest, read_story(folder)
    every = _lineage(folder)
    return without_secrets(
        "\n".join(
            [
                *_front(folder, made),
                f"# {_plain(folder.run)}: {STAGE_NAMES[manifest.stage]} on {_plain(made.base)}",
                "",
                f"{_what(made.form)} {_TASKS[manifest.stage]}. Exported from "
                f"RLHF Lab {__version__} on {datetime.now(UTC):%Y-%m-%d}.",
                *_section("Use it", _usage(folder, made)),
                *_section("What it went through", _stages(every)),
                *_section("The base", _base(made)),
                *_section("How it went", _curves(story)),
                *_section("Health", _health(story)),
                *_section("Settings", _settings(every)),
                *_section("Versions", _versions(folder)),
                *_section("Files", [f"- `{name}`: SHA-256 `{digest}`" for name, digest in made.files.items()]),
                *_section("Limits", _limits(folder, made)),
                "",
            ]
        )
    )


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _front(folder: RunFolder, made: Made) -> list[str]:
    stage = folder.manifest.stage
    peft = made.form.startswith("adapter")
    lines = ["---", f"library_name: {'peft' if peft else 'transformers'}"]
    if made.base == folder.config.model and made.base.count("/") == 1:
        lines.append(f"base_model: {made.base}")
    lines.append(f"license: {made.base_licence or 'unknown'}")
    lines.append(f"pipeline_tag: {'text-classification' if stage == 'reward' else 'text-generation'}")
    tags = ["rlhf", "rlhf-lab", stage, *(["lora"] if peft else [])]
    return [*lines, "tags:", *(f"- {tag}" for tag in tags), "---", ""]


def _what(form: Form) -> str:
    return {
        "adapter": "A LoRA adapter for the base named below.",
        "adapter-and-base": "A LoRA adapter in `adapter/`, and in `base/` the model that it was trained on.",
        "merged": "A whole model.",
        "reward": "A reward model.",
    }[form]


def _usage(folder: RunFolder, made: Made) -> list[str]:
    reward = folder.manifest.stage == "reward"
    kind = "AutoModelForSequenceClassification" if reward else "AutoModelForCausalLM"
    only = ", num_labels=1" if reward else ""
    here = "path/to/this/folder"
    lines = ["```python", "import torch", f"from transformers import {kind}, AutoTokenizer"]
    if made.form in ("merged", "reward"):
        lines += [
            "",
            f'tokenizer = AutoTokenizer.from_pretrained("{here}")',
            f'model = {kind}.from_pretrained("{here}", dtype="auto").eval()',
        ]
    else:
        base = f"{here}/base" if made.form == "adapter-and-base" else "path/or/id/of/the/base"
        own = f"{here}/adapter" if made.form == "adapter-and-base" else here
        dtype = "bfloat16" if made.trained_in == "bf16" else "float32"
        tokenizer = base if made.form == "adapter-and-base" else here
        lines += [
            "from peft import PeftModel",
            "",
            f'tokenizer = AutoTokenizer.from_pretrained("{tokenizer}")',
            f'base = {kind}.from_pretrained("{base}", dtype=torch.{dtype}{only})',
            *(["base.config.pad_token_id = tokenizer.pad_token_id"] if reward else []),
            f'model = PeftModel.from_pretrained(base, "{own}").eval()',
        ]
    return [*lines, *_asked(folder, made), "```"]


def _asked(folder: RunFolder, made: Made) -> list[str]:
    """Asking it as the lab does."""
    if made.scale is not None:
        mean, std = made.scale["score_mean"], made.scale["score_std"]
        return [
            'turns = [{"role": "user", "content": "…"}]',
            "text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)",
            'text += "the answer" + tokenizer.eos_token  # the score is read at the end token',
            'ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids',
            "with torch.no_grad():",
            f"    score = (model(ids).logits[0, 0].item() - {mean!r}) / {std!r}",
        ]
    temperature = getattr(folder.config, "temperature", 1.0)
    return [
        'turns = [{"role": "user", "content": "…"}]',
        'ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)',
        "# As the lab samples; the defaults of transformers cut off what is unlikely.",
        f"out = model.generate(**ids, do_sample=True, temperature={temperature}, top_k=0, top_p=1.0, "
        f"max_new_tokens={folder.config.max_new_tokens})",
        'print(tokenizer.decode(out[0, ids["input_ids"].shape[1]:], skip_special_tokens=True))',
    ]


def _chain(folder: RunFolder) -> list[str]:
    return [*folder.manifest.start_runs, folder.run]


def _lineage(folder: RunFolder) -> list[RunFolder]:
    """Every run that had a part in it, oldest first, as far as their folders are there."""
    manifest = folder.manifest
    names = [*manifest.start_runs]
    if manifest.reward_run:
        names += [*manifest.reward_start_runs, manifest.reward_run]
    others = [RunFolder(folder.path.parent / name) for name in dict.fromkeys(names)]
    return [*(other for other in others if other.is_complete()), folder]


def _stages(every: list[RunFolder]) -> list[str]:
    lines = [
        "| run | stage | starts from | scored by | data | records | SHA-256 of the data | made | ended |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for folder in every:
        found = folder.manifest
        end = said_so_far(folder.events_path, Finished)[-1:]
        ended = (
            f"{steps_in_words(found.stage, end[0].step)}, {end[0].outcome}"
            if end and isinstance(end[0], Finished)
            else "not yet"
        )
        start = found.start_runs[-1] if found.start_runs else "the base"
        cells = (
            folder.run,
            STAGE_NAMES[found.stage],
            start,
            _scored_by(folder.config),
            found.dataset,
            f"{found.records:,}",
            found.data_sha256,
            f"{datetime.fromtimestamp(found.created, UTC):%Y-%m-%d %H:%M} UTC",
            ended,
        )
        lines.append(f"| {' | '.join(map(_plain, cells))} |")
    return lines


def _scored_by(config: RunConfig) -> str:
    found = [reward] if (reward := getattr(config, "reward_model", None)) else []
    found += ["a Python function"] if getattr(config, "reward_function", None) else []
    for name, words in (("length_weight", "length"), ("regex_weight", "a pattern"), ("exact_weight", "known answers")):
        found += [words] if getattr(config, name, 0) else []
    return " + ".join(str(name) for name in found) or "nothing"


def _base(made: Made) -> list[str]:
    whose = "the lab's own" if made.base == BUNDLED else "as its own card says"
    licence = f"`{made.base_licence}`, {whose}" if made.base_licence else "not said in its folder"
    where = (
        " It comes with the program, in `resources/model`; `rlhf-lab doctor` says where that is."
        if made.base == BUNDLED
        else ""
    )
    copied = f" Its own texts are here: {', '.join(f'`{name}`' for name in made.licence_files)}." * bool(
        made.licence_files
    )
    return [
        f"{_plain(made.base)}.{where} Licence: {licence}.{copied} What is made of a base stands under its licence too; the "
        "lab does not know the licences of the data.",
        "",
        *(f"- `{name}`: SHA-256 `{digest}`" for name, digest in made.base_files.items()),
    ]


def _curves(story: RunStory) -> list[str]:
    names = [name for name in METRICS if name in story.curves and not name.startswith(_NOT_SHOWN)]
    if not names:
        return ["The run has said no numbers."]
    lines = ["![Every curve of the run](curves.svg)", "", "Every number of every step is in `curves.csv`.", ""]
    lines += ["| metric | first | last | what it is |", "| --- | ---: | ---: | --- |"]
    for name in names:
        metric, points = METRICS[name], story.curves[name]
        shown = [f"{value:.1%}" if metric.unit == "share" else f"{value:.4g}" for _, value in (points[0], points[-1])]
        unit = f" ({metric.unit})" if metric.unit and metric.unit != "share" else ""
        lines.append(f"| {_plain(metric.label)}{unit} | {shown[0]} | {shown[1]} | {_plain(metric.meaning)} |")
    return lines


def _health(story: RunStory) -> list[str]:
    if not story.verdicts:
        return ["None of the known symptoms stood in the curves at the end. That is no proof: look at answers, too."]
    return [
        f"- **{_plain(verdict.title)}** (since step {verdict.step}). {_plain(verdict.seen)} Likely: "
        f"{_plain(verdict.cause)} {_plain(verdict.advice)}"
        for verdict in story.verdicts
    ]


def _settings(every: list[RunFolder]) -> list[str]:
    lines = []
    for folder in every:
        config = folder.config
        known = {"model": config.model if config.model == "bundled" else base_name(config.model)}
        if function := getattr(config, "reward_function", None):
            known["reward_function"] = Path(function).name
        text = render_toml(config.model_copy(update=known), without=_PRIVATE).rstrip()
        fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", text)), default=0))
        lines += [f"{_plain(folder.run)}:", "", f"{fence}toml", text, fence, ""]
    return lines[:-1]


def _versions(folder: RunFolder) -> list[str]:
    begun = [e for e in said_so_far(folder.events_path, Started, Resumed) if isinstance(e, Started | Resumed)]
    lines = [f"- {_plain(name)} {_plain(version)}" for event in begun[-1:] for name, version in event.versions.items()]
    return [*lines, *(f"- trained on: {_plain(event.device)}" for event in begun[-1:])] or ["Not noted."]


def _limits(folder: RunFolder, made: Made) -> list[str]:
    config, stage = folder.config, folder.manifest.stage
    lines = [
        f"- Trained on prompts of up to {config.max_prompt_tokens} tokens and answers of up to "
        f"{config.max_new_tokens}; beyond that nothing was tried.",
        f"- Held-out numbers come from at most {config.eval_size:,} examples of the data named above.",
    ]
    if made.scale is not None:
        lines += [
            f"- score = (logit − {made.scale['score_mean']:.6g}) / {made.scale['score_std']:.6g}. The head's bias has no "
            "place in these classes and is in that mean. Scores of different reward models cannot be compared.",
            "- It is a model of the people who ranked, on data like theirs. Whatever is optimised against it will find "
            "its mistakes.",
        ]
        if made.scale["heads"] > 1:
            which = "their mean" if made.scale["head"] == "mean" else f"number {made.scale['head']} alone"
            lines.append(
                f"- It was trained with {made.scale['heads']} heads; in here is {which}, not how far they disagree."
            )
    else:
        lines.append(
            "- Fine-tuning shapes manner: tone, refusals, format, length. It adds no knowledge, and answers "
            "can be wrong with confidence."
        )
    if stage in ("ppo", "rloo"):
        lines.append("- A score that rises is no proof of better answers: the reward is not the goal.")
    lines += [f"- {note}" for note in notes(folder, made) if "score =" not in note and "heads" not in note]
    return lines


def _plain(text: object) -> str:
    """Text from anywhere as one line that no reader of Markdown takes for markup."""
    return _MARKUP.sub(r"\\\1", _CONTROLS.sub(" ", str(text)))
