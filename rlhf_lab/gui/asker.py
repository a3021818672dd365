"""The inference child as the window knows it: ask and forget; replies come as signals in the GUI thread."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.core.events import SampleRow
from rlhf_lab.core.records import Prompt
from rlhf_lab.runs.ask import Answer, Done, Failed, ModelSpec, Reply, Token
from rlhf_lab.runs.inference import Inference

MakeInference = Callable[[Path, Callable[[Reply], object]], Inference]


class Asker(QObject):
    """One child for the whole window, started at the first question."""

    came = Signal(int, str)
    """Request, more text of its answer."""
    answered = Signal(int, str, dict)
    """Request, the whole answer, its numbers."""
    tokens_known = Signal(int, object)
    """Request, a `SampleRow` of its answer: the tokens and what is known of each. Before `answered`."""
    ended = Signal(int, str)
    """Request, and why it failed; "" when it did not. The last thing said of it."""
    _arrived = Signal(object)

    def __init__(self, models_folder: Path, parent: QObject, make: MakeInference = Inference):
        super().__init__(parent)
        # Replies arrive in a thread of the client; a signal to a bound method is what brings them here.
        self._arrived.connect(self._take)
        self._inference = make(models_folder, self._arrived.emit)
        self.destroyed.connect(self._inference.close)

    def ask(self, model: ModelSpec, prompt: Prompt, **wishes: Any) -> int:
        """Ask for one answer, streamed; the id under which it comes. ``wishes``: see `rlhf_lab.runs.ask.Generate`."""
        return self._inference.generate(model, [prompt], stream=True, **wishes)

    def score(self, reward: ModelSpec, prompt: Prompt, text: str) -> int:
        """Ask what a reward model makes of one ready-made answer; the id under which its numbers come."""
        return self._inference.score(reward, [prompt], [text])

    def cancel(self, requests: Sequence[int]) -> None:
        """End these early."""
        for request in requests:
            self._inference.cancel(request)

    def free_memory(self) -> None:
        """Forget the models, since a run needs the memory; they are loaded again on demand."""
        self._inference.unload()

    @Slot()
    def close(self) -> None:
        """End the child."""
        self._inference.close()

    @Slot(object)
    def _take(self, reply: Reply) -> None:
        match reply:
            case Token():
                self.came.emit(reply.id, reply.text)
            case Answer():
                if reply.pieces:
                    self.tokens_known.emit(
                        reply.id,
                        SampleRow(prompt="", completion=reply.text, pieces=reply.pieces, per_token=reply.per_token),
                    )
                self.answered.emit(reply.id, reply.text, reply.values)
            case Done():
                self.ended.emit(reply.id, "")
            case Failed():
                self.ended.emit(reply.id, reply.message)
