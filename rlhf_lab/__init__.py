"""RLHF Lab: rank answers, train a reward model, run PPO against it, and see what changed."""

__version__ = "0.1.0"
