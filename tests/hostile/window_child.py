"""The window in one process, offscreen: a project full of hostile texts is opened, and each is shown.

One JSON line a request, one a reply: {"text": ...} for one text in every widget that shows texts, {"project": folder}
for the whole window on a project.
"""

import json
import sys
import traceback
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import SampleRow, Samples
from rlhf_lab.core.records import Completion, Message, Pair, Prompt
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView, one_line, plain_tip, visible
from rlhf_lab.gui.widgets.reading_view import ReadingView
from rlhf_lab.gui.widgets.sample_viewer import SampleViewer
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.source import RunSource

_CONTROLS = {chr(c) for c in (*range(9), *range(11, 32), 0x7F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


class Shown:
    """The widgets that show texts from data, one of each."""

    def __init__(self) -> None:
        self.label = PlainLabel(wrap=True)
        self.view, self.reading, self.samples = PlainView(), ReadingView(), SampleViewer("No samples yet.")
        for widget in (self.label, self.view, self.reading, self.samples):
            widget.resize(600, 400)
            widget.show()

    def show(self, text: str) -> str:
        """What is wrong with how they show it; "shown" where nothing is."""
        prompt = Prompt(messages=(Message(role="user", content=text),))
        pair = Pair(prompt=prompt, chosen=Completion(text=text, source=text[:200]), rejected=Completion(text="no"))
        row = SampleRow(prompt=text, completion=text, values={text[:50] or "x": 1.0}, tags={"x": text[:100]})
        self.label.setText(text[:2000])
        self.view.set_text(text)
        self.reading.show_record(pair)
        history = RunHistory("sft-1")
        history.feed([Samples(name="heldout", rows=(row,))])
        self.samples.show_history(history)
        self.label.setToolTip(plain_tip(text[:2000]))
        QApplication.processEvents()
        for widget in (self.label, self.view, self.reading, self.samples):
            widget.grab()
        there = [self.label.text(), self.view.toPlainText(), one_line(text), visible(text[:100_000])]
        if any(_CONTROLS & set(seen) for seen in there):
            return "a control character is shown as nothing"
        return _marked_up((self.label, self.reading, self.samples)) or "shown"


def _marked_up(widgets: tuple[QWidget, ...]) -> str:
    """A label that would read markup in what it shows."""
    for widget in widgets:
        for label in (*widget.findChildren(QLabel), *([widget] if isinstance(widget, QLabel) else [])):
            plain = label.textFormat() == Qt.TextFormat.PlainText
            if not plain and Qt.mightBeRichText(label.text()):
                return f"a label reads markup: {label.text()[:100]!r}"
    return ""


def whole(folder: str) -> str:
    """Open the window on a project and go through its panes."""
    with Project.open(folder, busy_ms=50) as project:
        project.recover()
        lab = Lab(project, _nothing_begins)
        window = MainWindow(lab, Settings(Path(folder) / "settings.ini"))
        window.resize(1280, 800)
        window.show()
        for place in ("data", "rank", "sft", "reward", "policy", "compare", "runs"):
            lab.pane_asked.emit(place, {})
            QApplication.processEvents()
            window.grab()
        for row in project.store.runs():
            lab.run_asked.emit(row.run)
            QApplication.processEvents()
            window.grab()
        said = (
            _marked_up((window,))
            or f"shown: {len(project.store.datasets())} data sets, {len(project.store.runs())} runs"
        )
        lab.let_go()
        window.close()
        window.deleteLater()
        QApplication.processEvents()
        return said


def _nothing_begins(folder: RunFolder, how: str) -> RunSource:
    raise LabError(f"{folder.run} is not to be started here ({how}).")


def main() -> None:
    """Serve until the end of input."""
    requests, out = sys.stdin, sys.stdout
    _application = QApplication(["window"])
    shown = Shown()
    for line in requests:
        request = json.loads(line)
        try:
            said = shown.show(request["text"]) if "text" in request else whole(request["project"])
        except LabError as error:
            said = str(error)
        except Exception as error:  # what nobody foresaw is what this is for
            said = f"UNFORESEEN {type(error).__name__}: {error} {traceback.format_exc()[-1500:]}"
        out.write(json.dumps(said) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
