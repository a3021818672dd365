"""The panes, and which of them each stage stands on. No Qt."""

from rlhf_lab.core.naming import POLICY_STAGES

PLACES = ("data", "rank", "sft", "reward", "policy", "compare", "runs")
"""In the order of the work; what each is called and for stands in the catalogue of help."""
STAGE_PLACES: dict[str, str] = {"sft": "sft", "reward": "reward"} | dict.fromkeys(POLICY_STAGES, "policy")
