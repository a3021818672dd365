"""Is the run healthy? Verdicts from its curves alone, as an experienced eye would give them.

`RULES` is the table of symptoms with every threshold and its reason. A `Watch` takes the events of one run in
their order and says `Health` events; `standing` tells which of those still hold. Nothing here computes
with tensors or reads a file. Rules are heuristics: a person is told to check, with the numbers, never given
a proof; only what cannot be anything but a fault has the level "stop".
"""

from rlhf_lab.core.health.rule import Rule
from rlhf_lab.core.health.rules import RULES
from rlhf_lab.core.health.watch import Watch, as_json, standing

__all__ = ["RULES", "Rule", "Watch", "as_json", "standing"]
