"""A stored run as a pane shows it. No Qt; called in a background thread with a store of its own."""

from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.store import Store

KINDS = ("started", "histogram", "samples", "diagnosis", "changed", "warned", "health", "finished")
"""Events that are read in full; curves come reduced to numbers, and what was superseded is gone already."""


def load_history(store: Store, run: str) -> RunHistory:
    """Read everything that a run has said so far."""
    history = RunHistory(run)
    history.load_curves(store.curves(run))
    history.feed(store.events(run, KINDS))
    return history
