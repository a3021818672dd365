"""Every format that the lab reads."""

from rlhf_lab.data.families.alpaca import ALPACA, ALPACA_RANKING
from rlhf_lab.data.families.alpaca_eval import ALPACA_EVAL
from rlhf_lab.data.families.arena import ARENA, ARENA_TABLE
from rlhf_lab.data.families.argilla import ARGILLA
from rlhf_lab.data.families.candidates import CANDIDATES, CANDIDATES_TWO
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.families.generic import GENERIC, GENERIC_FROM_ONE, GENERIC_FROM_ZERO
from rlhf_lab.data.families.hh import HH
from rlhf_lab.data.families.kto import KTO, KTO_CONVERSATIONS, KTO_MESSAGES
from rlhf_lab.data.families.lab_table import LAB_TABLE
from rlhf_lab.data.families.label_studio import LABEL_STUDIO_PAIRWISE, LABEL_STUDIO_RANKER
from rlhf_lab.data.families.messages import MESSAGES, PROMPT_COMPLETION
from rlhf_lab.data.families.native import NATIVE
from rlhf_lab.data.families.nectar import NECTAR
from rlhf_lab.data.families.oasst import OASST
from rlhf_lab.data.families.openai import OPENAI_AXES, OPENAI_COMPARISONS
from rlhf_lab.data.families.prompts import PROMPTS
from rlhf_lab.data.families.sharegpt import SHAREGPT, SHAREGPT_RANKING
from rlhf_lab.data.families.shp import SHP
from rlhf_lab.data.families.trl import TRL_CONVERSATIONAL, TRL_CONVERSATIONAL_IMPLICIT, TRL_EXPLICIT, TRL_IMPLICIT
from rlhf_lab.data.families.ultrafeedback import ULTRAFEEDBACK, ULTRAFEEDBACK_RAW

FAMILIES: tuple[Family, ...] = (
    NATIVE,
    LAB_TABLE,
    HH,
    ULTRAFEEDBACK,
    ULTRAFEEDBACK_RAW,
    OPENAI_COMPARISONS,
    OPENAI_AXES,
    SHP,
    NECTAR,
    ARENA,
    ARENA_TABLE,
    ALPACA_EVAL,
    ARGILLA,
    LABEL_STUDIO_PAIRWISE,
    LABEL_STUDIO_RANKER,
    OASST,
    SHAREGPT_RANKING,
    ALPACA_RANKING,
    TRL_CONVERSATIONAL,
    TRL_CONVERSATIONAL_IMPLICIT,
    TRL_EXPLICIT,
    TRL_IMPLICIT,
    GENERIC,
    GENERIC_FROM_ONE,
    GENERIC_FROM_ZERO,
    KTO,
    KTO_MESSAGES,
    KTO_CONVERSATIONS,
    PROMPT_COMPLETION,
    ALPACA,
    SHAREGPT,
    MESSAGES,
    CANDIDATES,
    CANDIDATES_TWO,
    PROMPTS,
)
"""The narrower first: where two formats fit equally many rows, the first is taken."""

NAMES = {name.lower(): name for family in reversed(FAMILIES) for name in family.columns}
"""Every column that some format has, by its lower-case spelling."""
