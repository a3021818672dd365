"""How every stage begins: with its base, then at its first step or from its newest sound checkpoint."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Event, Resumed, Started, Warned
from rlhf_lab.core.settings import BaseRun
from rlhf_lab.engine import chat, checkpoint, machine
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.parts import Parts


def load_base(config: BaseRun, parts: Parts) -> Backbone:
    """The base that the run starts from; raises `LabError` where it cannot read rows as long as the limits allow."""
    backbone = Backbone.load(
        parts.model,
        start_adapters=parts.start_adapters,
        dtype=config.dtype,
        device=config.device,
        recompute=config.gradient_checkpointing == "on",
    )
    backbone.check_length(config.max_prompt_tokens + config.max_new_tokens)
    return backbone


def begin(
    parts: Parts,
    backbone: Backbone,
    total_steps: int,
    go_back_to: Callable[[int, dict[str, Tensor], dict[str, Any]], None],
    *,
    said_up_to: int | None = None,
) -> Iterator[Event]:
    """Say `Started`; or hand step, tensors and state of a checkpoint to ``go_back_to`` and say `Resumed`.

    The state of every checkpoint has a ``base_hash``. ``said_up_to``: the last step of which nothing will be said
    again, if that is not the checkpoint's.
    """
    damaged: list[str] = []
    found = None
    if parts.resume:
        found = checkpoint.newest(parts.folder / "checkpoints", lambda path, why: damaged.append(f"{path.name}: {why}"))
    device, versions = machine.describe(backbone.device, backbone.dtype), machine.versions()
    step = 0
    if found is None:
        counts = backbone.parameter_counts
        yield Started(device=device, versions=versions, parameters=counts, total_steps=total_steps)
    else:
        if found[2].get("base_hash") != backbone.base_hash:
            raise LabError("The model's files were changed since this run began, so it cannot go on. Start a new run.")
        try:
            go_back_to(*found)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise LabError(
                f"checkpoints/step-{found[0]} is whole, but of no run with these settings ({str(error)[:200]}). "
                "Delete that folder to go on from the save before it, or start a new run."
            ) from error
        step = found[0] if said_up_to is None else said_up_to
        yield Resumed(step=step, device=device, versions=versions, total_steps=total_steps)
    for why in damaged:
        yield Warned(
            step=step,
            code="checkpoint_damaged",
            text=f"A checkpoint is damaged and was not used ({why}). Going on from step {found[0] if found else 0}.",
        )
    if not chat.has_template(backbone.tokenizer):
        yield Warned(
            step=step,
            code="no_chat_template",
            text='The model\'s tokenizer has no chat template: turns are written "User: …" and "Assistant: …".',
        )
