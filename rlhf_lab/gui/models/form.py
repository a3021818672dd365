"""A form derived from a config model: what to ask, in which order, and what is wrong with the answers. No Qt."""

import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from rlhf_lab.core.config import STAGES, UNUSED, RunConfig, is_basic
from rlhf_lab.core.naming import Stage
from rlhf_lab.core.recipe_toml import bundled_recipe
from rlhf_lab.core.resources import resource
from rlhf_lab.core.settings import FAST, BaseRun
from rlhf_lab.gui.models.algorithms import GRPO
from rlhf_lab.runs.plan import STARTS

Kind = Literal["dataset", "model", "run", "function", "whole", "real", "switch", "choice", "text"]

RUN_STAGES: dict[str, tuple[Stage, ...]] = {"start_from": STARTS, "reward_model": ("reward",)}
"""The fields that name an earlier run, and the stages that it may be of."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "Rewards": (
        "reward_model_weight",
        "uncertainty_coef",
        "reward_function",
        "reward_function_weight",
        "reward_function_seconds",
        "length_weight",
        "length_target",
        "regex",
        "regex_weight",
        "exact_weight",
        "normalise_rewards",
        "whiten_rewards",
    ),
    "Pairs": ("rankings", "ties", "use_margins"),
    "Loss": ("loss", "label_smoothing"),
    "Scores": ("heads", "centre_coef", "normalise"),
    "Sampling": ("samples", "temperature", "missing_eos", "missing_eos_penalty", "max_prompt_tokens"),
    "KL control": ("adaptive_kl", "target_kl", "kl_horizon", "kl_loss_coef", "early_stop_kl"),
    "Policy update": ("epochs", "minibatches", "clip_range", "advantage", "normalise_advantage", "gamma", "gae_lambda"),
    "Critic": ("value_learning_rate", "value_coef", "value_clip_range", "value_warm_start"),
    "Optimiser and adapter": ("warmup_steps", "max_grad_norm", "lora_r", "lora_alpha", "lora_layers"),
    "Looks and saves": ("eval_every", "eval_size", "checkpoint_every", "note"),
    "Machine": ("device", "dtype", "threads", "micro_batch_size", "gradient_checkpointing", "packing"),
}
"""Where the advanced fields of all stages stand, in the order in which a form shows them."""

FAST_NAME = "Fast, for larger models"

_HIDDEN = frozenset({"stage"})


@dataclass(frozen=True)
class Question:
    """One field of a config, as a form asks it."""

    name: str
    label: str
    help: str
    unit: str
    kind: Kind
    basic: bool
    default: Any
    section: str = ""
    """Of `SECTIONS`; "" for the basic fields, which come before all of them."""
    choices: tuple[str, ...] = ()
    limits: str = ""
    """What a number may be, in words: "a whole number from 1 to 65,536"."""

    @property
    def tip(self) -> str:
        """All that there is to say."""
        limits = f"\n{self.limits[0].upper()}{self.limits[1:]}." if self.limits else ""
        return f"{self.label} ({self.name}). {self.help}{limits}\nDefault: {shown(self.default) or 'none'}"

    def is_default(self, answer: Any) -> bool:
        """Whether the answer, as a person typed it, is what stands there at first."""
        return bool(_typed(self, answer) == self.default)


def questions(stage: Stage) -> list[Question]:
    """What the form of a stage asks: basic fields first, what decides most at their head, then section by section."""
    model, hidden = STAGES[stage], _HIDDEN | UNUSED.get(stage, frozenset())
    asked = [_question(name, info, model) for name, info in model.model_fields.items() if name not in hidden]
    basic = sorted(
        (q for q in asked if q.basic), key=lambda q: _FIRST.index(q.name) if q.name in _FIRST else len(_FIRST)
    )
    return basic + sorted((q for q in asked if not q.basic), key=lambda q: _PLACES[q.name])


def title_of(field: str, stages: Iterable[str]) -> str:
    """What people call a setting that one of these stages has; ``ppo.kl_coef`` in a recipe is that of one step alone."""
    step, _, name = field.rpartition(".")
    for stage in (*stages, step):
        model = STAGES.get(stage)  # type: ignore[call-overload]
        if model is not None and name in model.model_fields:
            title = model.model_fields[name].title or name
            return f"{step}: {title}" if step else title
    return field


_SECTION_OF = {name: section for section, names in SECTIONS.items() for name in names}
_PLACES = {name: place for place, name in enumerate(_SECTION_OF)}
_FIRST = ("dataset", "model", "start_from", "reward_model", "max_steps", "updates", "batch_size", "learning_rate")
"""What decides most comes first."""


def check_answers(stage: Stage, answers: Mapping[str, Any]) -> tuple[RunConfig | None, dict[str, str]]:
    """The config, or for each wrong field a sentence; "" names what no single field is to blame for."""
    by_name = {question.name: question for question in questions(stage)}
    typed = {name: _typed(by_name[name], answer) for name, answer in answers.items()}
    try:
        return STAGES[stage](stage=stage, **typed), {}
    except ValidationError as error:
        problems: dict[str, str] = {}
        for problem in error.errors(include_url=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            problems.setdefault(name, _sentence(by_name.get(name), problem["msg"]))
        return None, problems


def presets(stage: Stage) -> dict[str, dict[str, Any]]:
    """Named answers to all fields but those that name runs; the first is what a form begins with."""
    plain = {q.name: q.default for q in questions(stage) if q.kind != "run"}
    free = ("dataset", "model", "note", "seed")
    defaults = {name: value for name, value in plain.items() if name not in free}
    world = plain | {"model": "bundled"} | {k: v for k, v in _recipe(stage).items() if k in plain}
    if stage == "rloo":
        return {
            "Bundled world": world,
            "Bundled world, GRPO": world | GRPO,
            "Defaults": defaults,
            "GRPO": defaults | GRPO,
            FAST_NAME: defaults | FAST,
            f"GRPO, {FAST_NAME.lower()}": defaults | GRPO | FAST,
        }
    guided = stage in bundled_recipe("guided").stages
    found = {"Bundled world (guided)" if guided else "Bundled world": world, "Defaults": defaults}
    return found | {FAST_NAME: defaults | FAST} if FAST.keys() <= plain.keys() else found


def _recipe(stage: Stage) -> dict[str, Any]:
    """What is known to work on the bundled world."""
    guided = bundled_recipe("guided").stages
    if stage in guided:
        return guided[stage].alone
    found: dict[str, dict[str, Any]] = tomllib.loads(resource("recipes/policies.toml").read_text(encoding="utf-8"))
    return found.get(stage, {})


def shown(value: Any) -> str:
    """A value as a person would type it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        if value != 0 and abs(value) < 1e-2:
            mantissa, exponent = f"{value:e}".split("e")
            short = f"{float(mantissa):g}e{int(exponent)}"
            return short if float(short) == value else repr(value)
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def stepped(question: Question, text: str, up: bool) -> str:
    """The next number up or down: whole ones by one, real ones along 1, 2, 5, 10 …"""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return text
    if question.kind == "whole":
        return str(int(value) + (1 if up else -1))
    if value <= 0:
        return text
    exponent = int(f"{value:e}".split("e")[1])
    ladder = [float(f"{m}e{e}") for e in range(exponent - 1, exponent + 3) for m in (1, 2, 5)]
    if up:
        return shown(next(rung for rung in ladder if rung > value * (1 + 1e-9)))
    return shown(next(rung for rung in reversed(ladder) if rung < value * (1 - 1e-9)))


def _question(name: str, info: FieldInfo, model: type[BaseRun]) -> Question:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    kind, choices = _kind(name, info)
    return Question(
        name=name,
        label=info.title or name,
        help=info.description or "",
        unit=str(extra.get("unit", "")),
        kind=kind,
        basic=is_basic(name, model),
        default=info.default,
        section="" if is_basic(name, model) else _SECTION_OF[name],
        choices=choices,
        limits=_limits(kind, info),
    )


def _kind(name: str, info: FieldInfo) -> tuple[Kind, tuple[str, ...]]:
    if name in RUN_STAGES:
        return "run", ()
    if name == "dataset":
        return "dataset", ()
    if name == "model":
        return "model", ()
    if name == "reward_function":
        return "function", ()
    wanted = info.annotation
    if get_origin(wanted) in (Union, types.UnionType):
        wanted = next(part for part in get_args(wanted) if part is not type(None))
    if get_origin(wanted) is Literal:
        return "choice", tuple(get_args(wanted))
    kinds: dict[Any, Kind] = {bool: "switch", int: "whole", float: "real"}
    return kinds.get(wanted, "text"), ()


def _limits(kind: Kind, info: FieldInfo) -> str:
    if kind not in ("whole", "real"):
        return ""
    noun = "a whole number" if kind == "whole" else "a number"
    bounds = {type(bound): bound for bound in info.metadata}
    if Ge in bounds and Le in bounds:
        return f"{noun} from {_bound(bounds[Ge].ge)} to {_bound(bounds[Le].le)}"
    words = [
        f"{phrase} {_bound(getattr(bounds[kind], kind.__name__.lower()))}"
        for kind, phrase in ((Ge, "at least"), (Gt, "above"), (Le, "at most"), (Lt, "below"))
        if kind in bounds
    ]
    return f"{noun} {' and '.join(words)}" if words else noun


def _bound(value: Any) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else shown(float(value))


def _typed(question: Question, answer: Any) -> Any:
    """Text from a field as the number that was meant, where it is one; nothing, where nothing is the default."""
    if question.default is None and answer == "":
        return None
    if not isinstance(answer, str) or question.kind not in ("whole", "real"):
        return answer
    text = answer.strip().replace(",", "").replace("−", "-")
    try:
        number = float(text)
    except ValueError:
        return answer
    return int(number) if question.kind == "whole" and number.is_integer() else number


def _sentence(question: Question | None, message: str) -> str:
    if question is not None and question.limits:
        return f"Enter {question.limits}."
    words = message.removeprefix("Value error, ")
    return words if words.endswith(".") else f"{words}."
