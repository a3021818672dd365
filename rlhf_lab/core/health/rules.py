"""The whole table of symptoms. A row is a rule; every number that decides stands in it, with its reason."""

from rlhf_lab.core.health.fit_rules import FIT_RULES
from rlhf_lab.core.health.policy_rules import POLICY_RULES
from rlhf_lab.core.health.rule import Rule

RULES: tuple[Rule, ...] = POLICY_RULES + FIT_RULES
"""What stops a run stands first."""
