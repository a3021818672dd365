"""The stages by name. Each is a generator of events that reads top to bottom.

A stage says `Phase` and then `Started` or `Resumed` first, `Finished` last. Step n is what is after n
updates. A stop request keeps the last whole step; so does a loss that becomes NaN or infinite. Any other
exception leaves the generator as it is.
"""

from collections.abc import Callable, Iterator
from typing import Any

from rlhf_lab.core.events import Event
from rlhf_lab.core.naming import Stage
from rlhf_lab.engine import best_of_n, dpo, ppo, reward, rloo, sft
from rlhf_lab.engine.parts import Parts

TRAIN: dict[Stage, Callable[[Any, Parts], Iterator[Event]]] = {
    "sft": sft.train,
    "reward": reward.train,
    "ppo": ppo.train,
    "rloo": rloo.train,
    "dpo": dpo.train,
    "best_of_n": best_of_n.train,
}
"""Config of the stage and parts to events."""
