"""The agreement page at work: verdicts are weighed beside the window, and become data to train on."""

from PySide6.QtCore import Slot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.rank_quality import HEADLINES, about, all_lines
from rlhf_lab.gui.rank_work import Asked, Weighed, make_dataset, weigh
from rlhf_lab.gui.widgets.rank_quality import QualityPage
from rlhf_lab.store import RankedDataset


class AgreementPage(QualityPage):
    """Shows one data set at a time."""

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._asked: Asked | None = None
        self._own = False
        self.train_asked.connect(self._train)

    def open(self, asked: Asked) -> None:
        """Weigh what was said of a data set."""
        self._asked = asked
        self.show_quality(("Looking at the verdicts…", "muted"), "", (), trainable=False)
        self.show_lines({})
        task = self._lab.in_background(weigh(asked))
        task.done.connect(self._weighed)
        task.failed.connect(self._failed)

    @Slot(object)
    def _weighed(self, weighed: Weighed) -> None:
        quality = weighed.quality
        if weighed.asked != self._asked:
            return
        if not quality.verdicts:
            words = "Nobody has ranked this data set yet, and it names no annotators. Rank some records first."
            self.show_quality(("No verdicts yet", "muted"), words, (), trainable=False)
            return
        self._own = weighed.own
        words = about(quality, own=weighed.own)
        self.show_quality(HEADLINES[quality.grade], words, quality.advice, trainable=True, own=weighed.own)
        self.show_lines(all_lines(quality))

    @Slot(str)
    def _failed(self, reason: str) -> None:
        self.show_quality(("The verdicts cannot be read", "bad"), reason, (), trainable=False)

    @Slot(bool)
    def _train(self, each: bool) -> None:
        assert self._asked is not None
        if not self._own:  # labels that came with a data set are trained on as they are
            self._lab.pane_asked.emit("reward", {"dataset": self._asked.dataset})
            return
        task = self._lab.in_background(make_dataset(self._asked.dataset, f"{self._asked.dataset} ranked", each=each))
        task.done.connect(self._made)
        task.failed.connect(self._lab.message)

    @Slot(object)
    def _made(self, made: RankedDataset) -> None:
        self._lab.datasets_changed.emit()
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in made.left_out.items())
        aside = f" Left out: {left_out}." if left_out else ""
        self._lab.message.emit(f"“{made.name}” holds {made.records:,} records made from the verdicts.{aside}")
        self._lab.pane_asked.emit("reward", {"dataset": made.name})
