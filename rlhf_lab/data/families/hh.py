"""HH-RLHF: whole dialogues as text, chosen and rejected, alike up to the assistant's last turn."""

import re

from rlhf_lab.core.records import Message, Pair
from rlhf_lab.data.build import Builder, Turns, Unreadable, text
from rlhf_lab.data.families.family import Family, is_text
from rlhf_lab.data.families.prefix import common_prefix
from rlhf_lab.data.rows import Row

_ASSISTANT = "\n\nAssistant:"
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):")


def _is_dialogue(found: str) -> bool:
    return found.lstrip().startswith("Human:") and _ASSISTANT in found


def _matches(row: Row) -> bool:
    return (
        "prompt" not in row
        and is_text(row, "chosen", "rejected")
        and _is_dialogue(row["chosen"])
        and _is_dialogue(row["rejected"])
    )


def _read(row: Row, build: Builder) -> Pair:
    chosen, rejected = text(row, "chosen"), text(row, "rejected")
    cut = common_prefix(chosen, rejected).rfind(_ASSISTANT)
    if cut < 0:
        raise Unreadable("the two dialogues differ before the assistant's first turn, expected one prompt for both")
    end = cut + len(_ASSISTANT)
    return build.pair(dialogue_turns(chosen[:cut]), chosen[end:].strip(), rejected[end:].strip())


def dialogue_turns(dialogue: str) -> Turns:
    """The turns of a text in which "Human:" and "Assistant:" begin each; a last one that says nothing is left out."""
    dialogue = dialogue.rstrip().removesuffix("Assistant:")
    pieces = _TURN.split(dialogue.strip())
    if pieces[0].strip():
        raise Unreadable('the dialogue does not begin with "Human:"')
    roles = {"Human": "user", "Assistant": "assistant"}
    spoken = zip(pieces[1::2], pieces[2::2], strict=True)
    return tuple(Message.model_validate({"role": roles[who], "content": said.strip()}) for who, said in spoken)


HH = Family(
    "HH-RLHF",
    "pair",
    ("chosen", "rejected"),
    "prompt = what both dialogues begin with, up to the last “Assistant:”",
    _matches,
    _read,
    note="Human-written attempts to provoke harm: some texts of this kind of data are offensive.",
    instead_of=("TRL, implicit prompt",),
)
