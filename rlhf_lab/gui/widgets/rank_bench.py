"""Where ranking happens: the prompt, the answers, the line below them, and every key."""

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Verdict
from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.models.rank_words import outcome_words, verdict_words
from rlhf_lab.gui.models.ranking import Desk, Item, Said
from rlhf_lab.gui.widgets.rank_foot import RankFoot
from rlhf_lab.gui.widgets.rank_pair import PairBoard
from rlhf_lab.gui.widgets.rank_prompt import PromptCard
from rlhf_lab.gui.widgets.rank_several import SeveralBoard


class Bench(QWidget):
    """Shows what the desk has, and gives the desk what the person says: durable before the next is shown."""

    said = Signal(object, int)
    """A `Said`, and 1 where it counts from now on, −1 where it was taken back."""
    ran_out = Signal()
    """There is nothing to show."""
    running_low = Signal()
    """The desk wants more records."""
    filled = Signal()
    """There is something to show (again)."""

    def __init__(self, desk: Desk):
        super().__init__()
        self.desk = desk
        self.prompt = PromptCard()
        self.pair = PairBoard()
        self.several = SeveralBoard()
        self.foot = RankFoot()
        self.boards = QStackedWidget()
        for board in (self.pair, self.several):
            self.boards.addWidget(board)
            board.verdict_given.connect(self._judge)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(self.prompt)
        column.addWidget(self.boards, 1)
        column.addWidget(self.foot)
        self.foot.skip_asked.connect(self._skip)
        self.foot.undo_asked.connect(self.undo)
        self.foot.redo_asked.connect(self.redo)
        self.foot.note_left.connect(self.take_focus)
        self.foot.confirm_toggled.connect(self._confirm)

    def add_shortcuts(self, parent: QWidget) -> None:
        """Undo and redo work anywhere in the parent: also where the queue is empty."""
        inside = Qt.ShortcutContext.WidgetWithChildrenShortcut
        bind("rank.undo", parent, self.undo, inside)
        bind("rank.redo", parent, self.redo, inside)

    def show_current(self, *, note: str = "") -> None:
        """Show the desk's record; ``note`` is that of a verdict that was undone."""
        item = self.desk.current
        if item is None:
            self.ran_out.emit()
            return
        board = self._board(item)
        self.prompt.show_prompt(item.record.prompt)
        board.show_item(item)
        if self.boards.currentWidget() is not board:
            self.boards.setCurrentWidget(board)
            self.foot.offer_confirm(board is self.pair)
        self.foot.take_note(note)
        self.filled.emit()
        self.desk.looking()
        self.take_focus()
        if self.desk.wants_more:
            self.running_low.emit()

    @Slot()
    def take_focus(self) -> None:
        """The keyboard is in the answers."""
        if self.desk.current is not None and self.isVisible():
            self._board(self.desk.current).take_focus()

    @Slot()
    def undo(self) -> None:
        """Take back the newest verdict of this person and show its record again."""
        said = self._step(self.desk.undo, "There is nothing to undo.")
        if said is not None:
            self.said.emit(said, -1)
            self.show_current(note=said.judgement.note)
            self.foot.show_last(f"Undone: {verdict_words(said)}")

    @Slot()
    def redo(self) -> None:
        """Give the verdict again that was undone last."""
        said = self._step(self.desk.redo, "There is nothing to redo.")
        if said is not None:
            self.show_current()
            self.said.emit(said, 1)
            self.foot.show_last(f"Given again: {outcome_words(said)}")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """What the part in focus did not want, the answers may."""
        item = self.desk.current
        if item is not None and self._board(item).take_key(event):
            return
        plain = not event.modifiers() and not event.isAutoRepeat() and item is not None
        if plain and event.key() == Qt.Key.Key_S:
            self._skip()
        elif plain and event.key() == Qt.Key.Key_N:
            self.foot.open_note()
        else:
            super().keyPressEvent(event)

    @Slot(str, tuple, int)
    def _judge(self, verdict: Verdict, ranks: tuple[int, ...], strength: int) -> None:
        item = self.desk.current
        if item is None:
            return
        try:
            said = self.desk.judge(verdict, ranks, strength=strength, note=self.foot.note_text)
        except LabError as error:
            if self.desk.current is not item:
                self.show_current()
            self.foot.show_last(f"Not stored: {error}", role="bad")
            return
        self.show_current()
        self.foot.show_last(outcome_words(said))
        self.said.emit(said, 1)

    @Slot()
    def _skip(self) -> None:
        self._judge("skip", (), 1)

    def _step(self, act: Callable[[], Said | None], nothing: str) -> Said | None:
        if not self.desk.who:
            return None
        try:
            said = act()
        except LabError as error:
            self.foot.show_last(str(error), role="bad")
            return None
        if said is None:
            self.foot.show_last(nothing)
        return said

    @Slot(bool)
    def _confirm(self, wanted: bool) -> None:
        self.pair.confirm = wanted
        self.take_focus()

    def _board(self, item: Item) -> PairBoard | SeveralBoard:
        return self.pair if len(item.shown) == 2 else self.several
