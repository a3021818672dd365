"""The counters above the answers: how much is done, how fast, and whether the labels are any good."""

from PySide6.QtWidgets import QHBoxLayout, QWidget

from rlhf_lab.data.share import Share
from rlhf_lab.gui.models.rank_tally import Tally
from rlhf_lab.gui.widgets.still_text import StillNumber

_ENOUGH = 10
"""Cases below which a share says nothing."""

_CERTAIN = 30
"""Cases from which a habit is warned of."""

_FAR = 0.1
"""From a half, at least."""


class Counters(QWidget):
    """A row of them."""

    def __init__(self) -> None:
        super().__init__()
        self.done = StillNumber("done", "Verdicts of yours that count in this data set.")
        self.pace = StillNumber("an hour", "At the pace of your last thirty verdicts.")
        self.agreement = StillNumber(
            "agreement", "How often you and others put the same two answers in the same order."
        )
        self.first = StillNumber(
            "for the first shown",
            "How often the answer that stood first was preferred. Sides are random, so half is fair: far from it you "
            "may be choosing by place.",
        )
        self.longer = StillNumber(
            "for the longer",
            "How often the longer answer was preferred. It can be better; but a reward model will learn to like length.",
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(22)
        for counter in (self.done, self.pace, self.agreement, self.first, self.longer):
            row.addWidget(counter)
        row.addStretch(1)

    def show_tally(self, tally: Tally) -> None:
        """Show the newest counts."""
        self.done.show_number(f"{tally.done:,}")
        pace = tally.per_hour
        self.pace.show_number("–" if pace is None else f"{min(pace, 9999):,.0f}")
        self._share(self.agreement, Share(tally.agreed, tally.shared), swayed=False)
        self._share(self.first, Share(tally.first, tally.decided), swayed=True)
        self._share(self.longer, Share(tally.longer, tally.unequal), swayed=True)

    def _share(self, counter: StillNumber, share: Share, *, swayed: bool) -> None:
        if share.of < _ENOUGH:
            counter.show_number("–", f"{share.of:,} of the {_ENOUGH} comparisons that this needs at least.")
            return
        strays = swayed and share.of >= _CERTAIN and not share.is_chance and abs(share.value - 0.5) > _FAR
        counter.show_number(f"{share.value:.0%}", f"{share.text} of {share.of:,} comparisons.", warn=strays)
