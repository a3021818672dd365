"""What the inference process does with a request: load models, answer, score. See `worker`, which imports this when it is first asked."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.engine import adapters, chat, checkpoint
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.checkpoint_adapter import is_checkpoint
from rlhf_lab.engine.models import resolve
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.rewards import score_scale
from rlhf_lab.engine.sampler import noise_for, sample
from rlhf_lab.engine.scoring import Episodes, score_by_head, score_tokens
from rlhf_lab.runs.ask import Answer, Generate, ModelSpec, Reply, Score, Token, Unload
from rlhf_lab.world.judge import judge

Tick = Callable[[], None]
"""Called between steps; raises where the request is no longer wanted."""

_AT_ONCE = 64
_SCORED_AT_ONCE = 16
_MOST_PROMPT_TOKENS = 4096
_MEMORY_TO_KEEP = 2 << 30


class Models:
    """Backbones by what is merged into them; the adapter on top is beside, so that models share a base."""

    def __init__(self, folder: Path, found: dict[str, Path]) -> None:
        """``found``: folders of models that were checked just now, by name."""
        self._folder = folder
        self._found = found
        self._backbones: dict[tuple[object, ...], Backbone] = {}
        self._names: dict[tuple[int, object], str] = {}

    def get(self, spec: ModelSpec, *, head: bool = False) -> tuple[Backbone, str | None]:
        """The backbone, and the name of the last adapter on it (None: there are no adapters)."""
        merged, last = spec.adapters[:-1], spec.adapters[-1:]
        key = (spec.model, spec.dtype, tuple(map(_version, merged)))
        if key not in self._backbones:
            if psutil.virtual_memory().available < _MEMORY_TO_KEEP:
                self.unload()
            folder = self._found.pop(spec.model, None) or resolve(spec.model, self._folder)
            self._backbones[key] = Backbone.load(folder, start_adapters=merged, dtype=spec.dtype)
        backbone = self._backbones[key]
        if not last:
            return backbone, None
        place = (id(backbone), (head, *_version(last[0])))
        if place not in self._names:
            name = f"adapter{len(self._names)}"
            backbone.load_adapter(name, last[0], head=head)
            self._names[place] = name
        return backbone, self._names[place]

    def unload(self) -> None:
        """Forget everything."""
        self._backbones.clear()
        self._names.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def meet(models: Models, request: Generate | Score | Unload, reply: Callable[[Reply], None], tick: Tick) -> None:
    """Do what is asked."""
    match request:
        case Generate():
            generate(request, models, reply, tick)
        case Score():
            score(request, models, reply, tick)
        case _:
            models.unload()


def generate(request: Generate, models: Models, reply: Callable[[Reply], None], tick: Tick) -> None:
    """Answer in groups that fit, each group's answers sent when it is done."""
    backbone, adapter = models.get(request.model)
    asked = _encode(backbone, request)
    noise = noise_for(torch.Generator().manual_seed(request.seed), request.max_new_tokens, len(asked) * request.best_of)
    if request.best_of > 1 and request.reward is None:
        raise LabError("The best of several answers is chosen by a reward model. Choose one.")
    at_once = max(1, _AT_ONCE // request.best_of)
    for start in range(0, len(asked), at_once):
        part = asked.part(start, at_once).repeated(request.best_of)
        stream = Stream(request.id, start, backbone.tokenizer, reply) if request.stream else None
        answers = sample(
            backbone,
            list(part.ids),
            adapter=adapter,
            temperature=request.temperature,
            max_new_tokens=request.max_new_tokens,
            noise=noise[:, start * request.best_of : (start + at_once) * request.best_of],
            tick=tick,
            stop=request.stop,
            on_token=stream if request.best_of == 1 else None,
        )
        numbers: list[dict[str, float]] = [{} for _ in answers]
        if request.best_of > 1:
            part, answers, numbers = _best(request, models, backbone, Episodes(part, answers), tick)
        found = _measure(request, models, backbone, adapter, Episodes(part, answers), tick)
        for i, (answer, (values, per_token)) in enumerate(zip(answers, found, strict=True)):
            text = _text(backbone, answer, request.stop)
            if request.judge and "world" in part.prompts[i].tags:
                values |= judge(part.prompts[i], text)
            reply(
                Answer(
                    id=request.id,
                    index=start + i,
                    text=text,
                    values=numbers[i] | values,
                    pieces=chat.pieces(backbone.tokenizer, answer) if request.tokens else (),
                    per_token=per_token if request.tokens else {},
                )
            )


def score(request: Score, models: Models, reply: Callable[[Reply], None], tick: Tick) -> None:
    """Score ready-made answers."""
    backbone, adapter = models.get(request.reward, head=True)
    if len(request.prompts) != len(request.texts) or adapter is None:
        raise LabError("Scoring needs a reward run, and one answer for each prompt.")
    room = _prompt_room(backbone, 1)
    ids = [chat.encode_prompt(backbone.tokenizer, prompt, room)[0] for prompt in request.prompts]
    answers = [chat.encode_answer(backbone.tokenizer, text, _prompt_room(backbone, 0)) for text in request.texts]
    episodes = Episodes(Asked(request.prompts, ids), answers)
    found = _reward(request.reward, backbone, adapter, episodes, tick)
    for i, (text, values) in enumerate(zip(request.texts, found, strict=True)):
        reply(Answer(id=request.id, index=i, text=text, values=values | {"tokens": float(len(answers[i]))}))


class Stream:
    """Sends each answer's text as it grows; bytes of an unfinished character wait for the next token."""

    def __init__(self, request: int, first: int, tokenizer: Any, send: Callable[[Reply], None]) -> None:
        self._request, self._first, self._tokenizer, self._send = request, first, tokenizer, send
        self._ids: dict[int, list[int]] = {}
        self._sent: dict[int, int] = {}

    def __call__(self, row: int, token: int) -> None:
        ids = self._ids.setdefault(row, [])
        ids.append(token)
        text = str(self._tokenizer.decode(ids, skip_special_tokens=True)).lstrip()
        sent = self._sent.get(row, 0)
        if len(text) > sent and not text.endswith("\ufffd"):
            self._sent[row] = len(text)
            self._send(Token(id=self._request, index=self._first + row, text=text[sent:]))


def _measure(
    request: Generate,
    models: Models,
    backbone: Backbone,
    adapter: str | None,
    episodes: Episodes,
    tick: Tick,
) -> list[tuple[dict[str, float], dict[str, tuple[float, ...]]]]:
    """The numbers of each answer and those of its tokens, all of the ids that were sampled."""
    eos = backbone.tokenizer.eos_token_id
    found = [{"tokens": float(len(ids)), "ended": float(ids[-1] == eos)} for ids in episodes.answer_ids]
    per_token: list[dict[str, tuple[float, ...]]] = [{} for _ in found]
    if request.kl or request.kl_to is not None:
        other, base = (backbone, None) if request.kl_to is None else models.get(request.kl_to)
        if not chat.same_tokenizer(other.tokenizer, backbone.tokenizer):
            raise LabError("The KL between these models is not defined: they write other tokens.")
        ours, theirs = (
            score_tokens(of, episodes, name, temperature=1.0, micro_batch_size=_SCORED_AT_ONCE, tick=tick)[0]
            for of, name in ((backbone, adapter), (other, base))
        )
        for i, ratios in enumerate((ours - theirs).tolist()):
            found[i]["kl"] = sum(ratios)
            per_token[i]["kl"] = tuple(ratios[: len(episodes.answer_ids[i])])
    if request.reward is not None:
        for values, scored in zip(found, _judged(request.reward, models, backbone, episodes, tick), strict=True):
            values |= scored
    return list(zip(found, per_token, strict=True))


def _best(
    request: Generate, models: Models, backbone: Backbone, episodes: Episodes, tick: Tick
) -> tuple[Asked, list[list[int]], list[dict[str, float]]]:
    """Of each ``best_of`` neighbours the one with the highest score, and what to know of the others."""
    assert request.reward is not None
    scores = [values["score"] for values in _judged(request.reward, models, backbone, episodes, tick)]
    groups = [range(at, at + request.best_of) for at in range(0, len(scores), request.best_of)]
    best = [max(group, key=scores.__getitem__) for group in groups]
    asked = Asked([episodes.asked.prompts[i] for i in best], [episodes.asked.ids[i] for i in best])
    more = [
        {"best_of": float(request.best_of), "mean_score": sum(scores[i] for i in group) / len(group)}
        for group in groups
    ]
    return asked, [episodes.answer_ids[i] for i in best], more


def _judged(
    spec: ModelSpec, models: Models, writer: Backbone, episodes: Episodes, tick: Tick
) -> list[dict[str, float]]:
    """What a reward model makes of ids that another model wrote."""
    backbone, name = models.get(spec, head=True)
    if name is None or not chat.same_tokenizer(backbone.tokenizer, writer.tokenizer):
        raise LabError("This reward model cannot score these answers: it reads other tokens than the model writes.")
    return _reward(spec, backbone, name, episodes, tick)


def _reward(
    spec: ModelSpec, backbone: Backbone, adapter: str, episodes: Episodes, tick: Tick
) -> list[dict[str, float]]:
    """The score of each answer, and of an ensemble how far its heads are apart, both on the scale of its run.

    Differences of ``raw_score`` are log-odds, as they were trained.
    """
    mean, std = score_scale(adapters.read_lab(spec.adapters[-1]))
    raw = score_by_head(backbone, episodes, adapter, micro_batch_size=_SCORED_AT_ONCE, tick=tick)
    by_head = (raw - mean) / std
    found = [
        {"score": score, "raw_score": value}
        for score, value in zip(by_head.mean(-1).tolist(), raw.mean(-1).tolist(), strict=True)
    ]
    if by_head.shape[1] > 1:
        for values, spread in zip(found, by_head.std(-1, correction=0).tolist(), strict=True):
            values["score_sd"] = spread
    return found


def _encode(backbone: Backbone, request: Generate) -> Asked:
    room = _prompt_room(backbone, request.max_new_tokens)
    prompts = [_with_system(prompt, request.system) for prompt in request.prompts]
    if request.mode == "raw":
        ids = [chat.encode_raw(backbone.tokenizer, prompt.messages[-1].content)[-room:] for prompt in prompts]
    else:
        ids = [chat.encode_prompt(backbone.tokenizer, prompt, room)[0] for prompt in prompts]
    return Asked(prompts, ids)


def _with_system(prompt: Prompt, system: str | None) -> Prompt:
    if not system or any(message.role == "system" for message in prompt.messages):
        return prompt
    return prompt.model_copy(update={"messages": (Message(role="system", content=system), *prompt.messages)})


def _prompt_room(backbone: Backbone, max_new_tokens: int) -> int:
    backbone.check_length(max_new_tokens + 1)
    return min(_MOST_PROMPT_TOKENS, (backbone.context or _MOST_PROMPT_TOKENS) - max_new_tokens)


def _text(backbone: Backbone, ids: list[int], stop: str | None) -> str:
    text = str(backbone.tokenizer.decode(ids, skip_special_tokens=True))
    return (text.split(stop)[0] if stop else text).strip()


def _version(adapter: Path) -> tuple[str, float]:
    """An adapter's folder and when it was written: a resumed run writes it anew."""
    saved = is_checkpoint(adapter)
    file = adapter / (checkpoint.TENSORS if saved else "adapter_model.safetensors")
    if not file.is_file() and saved:
        raise checkpoint.gone(adapter)
    if not file.is_file():
        raise LabError(f"There is no adapter in {adapter}: the run has left no result yet, or it was deleted.")
    return str(adapter), file.stat().st_mtime
