"""All checks, in the order of the table."""

from collections.abc import Callable, Iterator

from rlhf_lab.engine.oracles import arithmetic, bandit, direct, forward, update, whole_runs
from rlhf_lab.engine.oracles.bench import Bench
from rlhf_lab.engine.oracles.oracle import Oracle

Check = Callable[[Bench], Iterator[Oracle]]

QUICK: tuple[Check, ...] = (
    arithmetic.whitening,
    arithmetic.advantages,
    arithmetic.divergence,
    arithmetic.rewards_of_tokens,
    arithmetic.ppo_losses,
    arithmetic.preferences,
    direct.preference_losses,
    direct.answers_of_pairs,
    direct.best_of_n,
    forward.reference,
    forward.layout,
    forward.readings,
    forward.merging,
    forward.sampling,
    forward.precision,
    update.first_update,
    update.leave_one_out,
    update.cutting_up,
    update.after_the_end,
    bandit.ppo_bandit,
    bandit.rloo_bandit,
    bandit.dpo_bandit,
)
"""Under half a minute on one core."""
EVERY: tuple[Check, ...] = (*QUICK, whole_runs.reward_model, whole_runs.resuming, whole_runs.two_processes)
"""For the record."""
