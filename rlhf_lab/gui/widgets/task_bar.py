"""How far a long task is: a bar, what is done, and how long the rest takes at this pace."""

from collections.abc import Callable

from PySide6.QtCore import QElapsedTimer
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QSizePolicy, QWidget

from rlhf_lab.gui.run_state import in_words
from rlhf_lab.gui.widgets.plain_text import PlainLabel

_JUDGED_FROM_MS = 1_500
_STEPS = 1000


class TaskBar(QWidget):
    """``words`` tells of done and total, such as "12 of 600 MB"; "" where there is nothing to tell."""

    def __init__(self, name: str, words: Callable[[int, int], str]):
        super().__init__()
        self._words = words
        self._clock = QElapsedTimer()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(name)
        self.told = PlainLabel(role="muted")
        policy = self.told.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Minimum)
        self.told.setSizePolicy(policy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addWidget(self.bar, 1)
        row.addWidget(self.told)

    def begin(self) -> None:
        """It has begun; nobody knows yet how long it takes."""
        self._clock.start()
        self.bar.setRange(0, 0)
        self.told.setText("")

    def show_progress(self, done: int, total: int) -> None:
        """It is so far. Totals may be larger than an int of C."""
        if not total:
            return
        self.bar.setRange(0, _STEPS)
        self.bar.setValue(min(_STEPS, _STEPS * done // total))
        said = [self._words(done, total)]
        passed = self._clock.elapsed()
        if 0 < done < total and passed > _JUDGED_FROM_MS:
            said.append(f"{in_words(passed / 1000 * (total - done) / done)} left")
        self.told.setText(", ".join(filter(None, said)))
