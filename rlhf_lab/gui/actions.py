"""What can be done now, and who does it: declared actions find their methods here, panes offer what the project holds.

How to add one stands in `rlhf_lab.gui.models.action_table`.
"""

from collections.abc import Callable, Iterable

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

from rlhf_lab.gui.models.action_table import ACTIONS, EVERYWHERE, Offer

Act = Callable[[], object]


class Actions(QObject):
    """Every pane reaches it as ``lab.actions``."""

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._acts: dict[str, Act] = {}
        self._sources: list[Callable[[], Iterable[Offer]]] = []

    def on(self, name: str, act: Act) -> None:
        """``act`` is what the declared action does from now on; it goes to its pane by itself where it needs to."""
        if name not in ACTIONS:
            raise KeyError(f"no action {name!r} is declared in models/action_table.py")
        self._acts[name] = act

    def offer(self, source: Callable[[], Iterable[Offer]]) -> None:
        """Ask ``source`` for more each time that the palette opens."""
        self._sources.append(source)

    def known(self, name: str) -> bool:
        """Whether somebody does it."""
        return name in self._acts

    def trigger(self, name: str) -> None:
        """Do a declared action."""
        self._acts[name]()

    def offers(self) -> list[Offer]:
        """All that can be done now: the declared ones in their order, then what the project holds."""
        declared = [
            Offer(name, action.title, action.group, self._acts[name], keys_of(name), action.words)
            for name, action in ACTIONS.items()
            if name in self._acts
        ]
        return declared + [offer for source in self._sources for offer in source()]

    def listen(self, window: QWidget) -> None:
        """Make the keys of the actions that act everywhere; the others are bound where they act."""
        for name, action in ACTIONS.items():
            if action.where == EVERYWHERE:
                bind(name, window, lambda name=name: self.trigger(name))

    def help_within(self, dialog: QWidget, topic: str = "") -> None:
        """Give a window beside the main one its F1; ``topic`` stands behind what its parts say of themselves."""
        if topic:
            dialog.setProperty("help", f"help:{topic}")
        bind("help.here", dialog, lambda: self.trigger("help.here"))

    def forget(self) -> None:
        """Let go of all that was given; the window closes."""
        self._acts.clear()
        self._sources.clear()


def bind(name: str, widget: QWidget, act: Act, context: Qt.ShortcutContext = Qt.ShortcutContext.WindowShortcut) -> None:
    """Let the declared keys do ``act`` within ``widget``."""
    for keys in ACTIONS[name].keys:
        QShortcut(QKeySequence(keys), widget, act, context=context)


def keys_of(name: str) -> str:
    """The first of its keys as the system writes them; "" where it has none."""
    return written(ACTIONS[name].keys[0]) if ACTIONS[name].keys else ""


def written(keys: str) -> str:
    """Declared keys as the system writes them."""
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)


def with_keys(words: str, name: str) -> str:
    """Words of a tooltip, with the key in brackets."""
    return f"{words} ({keys_of(name)})"
