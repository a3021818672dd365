"""Runs that would see few examples very often: a word beforehand. Nothing is refused, since some do it on purpose."""

from rlhf_lab.core.config import DpoConfig, RewardConfig, RunConfig, SftConfig
from rlhf_lab.core.naming import so_many
from rlhf_lab.store import Store

TIMES = 20
"""What is seen more often is learned by heart rather than learned from: one pass is usual for pairs, and InstructGPT's 16
over its demonstrations fitted them too well after the first."""
WANTED = 50
"""With fewer, an accuracy over all of them could be off by more than 14 points."""
_PASSES = 3
_DRAWN = frozenset({"ranking", "rated", "mixed"})


def foretold(config: RunConfig, store: Store) -> str:
    """The same as `by_heart` before a run is made; "" where its examples are still to be drawn from rankings."""
    row = next((row for row in store.datasets() if row.name == config.dataset), None)
    return by_heart(config, row.train) if row is not None and row.kind not in _DRAWN else ""


def by_heart(config: RunConfig, examples: int) -> str:
    """What to say of a run that trains on so many examples; "" where they are enough for its steps."""
    if not isinstance(config, SftConfig | RewardConfig | DpoConfig) or not examples:
        return ""
    times = config.max_steps * config.batch_size / examples
    if times <= TIMES:
        return ""
    what = "demonstration" if isinstance(config, SftConfig) else "pair"
    said = f"{so_many(examples, what)}, seen about {times:,.0f} times"
    said += " each: the model will learn them by heart." if examples != 1 else ": the model will learn it by heart."
    steps = -(-_PASSES * examples // config.batch_size)
    more = f"{WANTED} or more are wanted" if examples < WANTED else "Take more"
    return f"{said} {more}, or fewer steps: {steps:,} for {_PASSES} passes."
