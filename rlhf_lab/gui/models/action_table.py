"""Every action with a name or a key, declared once: palette, shortcuts, tooltips and the page of keys follow. No Qt.

To add one: a line in `ACTIONS` here, and where the thing is made ``lab.actions.on("area.verb", self.method)``; it stands in the
palette from then on. Keys that act within one widget alone: ``bind("area.verb", widget, self.method, context)``, see
`rlhf_lab.gui.actions`; they need no ``on``. What depends on the project (runs, data sets, models) is offered by a function:
``lab.actions.offer(self.offers)``.
"""

from collections.abc import Callable
from dataclasses import dataclass

EVERYWHERE = "Everywhere"


@dataclass(frozen=True)
class Action:
    """One entry. ``group``: what stands beside it in the palette; ``where``: the part of the window its keys act in."""

    name: str
    title: str
    group: str
    keys: tuple[str, ...] = ()
    """As `QKeySequence` reads them; the first is shown in tooltips. On macOS Ctrl is Command."""
    where: str = EVERYWHERE
    words: str = ""
    """Other words that people may look for."""


@dataclass(frozen=True)
class Offer:
    """One thing that the palette can do now. ``name`` tells it from all others and is kept among the recent ones."""

    name: str
    title: str
    group: str
    act: Callable[[], object]
    keys: str = ""
    """As the system writes them."""
    words: str = ""


_UNDO, _REDO = ("Ctrl+Z",), ("Ctrl+Shift+Z", "Ctrl+Y")
_SEND = ("Ctrl+Return", "Ctrl+Enter")
_PAIRS, _SEVERAL, _BLIND = "Rank, two answers", "Rank, several answers", "Compare, blind"
_RECORDS, _EDITOR, _PLOTS = "Data, records", "Data, a record that is edited", "A plot"

_ENTRIES = (
    # Panes
    Action("pane.data", "Data", "Go to", ("Ctrl+1",), words="data sets records"),
    Action("pane.rank", "Rank", "Go to", ("Ctrl+2",), words="judge label annotate"),
    Action("pane.sft", "SFT", "Go to", ("Ctrl+3",), words="fine-tune supervised"),
    Action("pane.reward", "Reward", "Go to", ("Ctrl+4",), words="reward model"),
    Action("pane.policy", "Policy", "Go to", ("Ctrl+5",), words="ppo rloo grpo dpo"),
    Action("pane.compare", "Compare", "Go to", ("Ctrl+6",), words="chat side by side blind vote"),
    Action("pane.runs", "Runs", "Go to", ("Ctrl+7",), words="experiments"),
    # The window
    Action("window.palette", "Find an action", "Window", ("Ctrl+K",), words="command palette search"),
    Action("help.here", "Help for what has the keyboard", "Help", ("F1",)),
    Action("help.contents", "Help: contents", "Help", ("Shift+F1",), words="manual topics"),
    Action("help.keys", "Help: all keys", "Help", words="shortcuts keyboard"),
    Action("help.claims", "What RLHF does and does not do", "Help", words="claims introduction tour"),
    Action("window.settings", "Settings", "Window", ("Ctrl+,",), words="preferences options theme"),
    Action("window.diagnostics", "Copy diagnostics", "Window", words="bug report"),
    Action("window.backups", "Backups", "Window", words="restore database"),
    Action("models.show", "Manage models…", "Window", words="download hub gguf import folder delete size"),
    Action("project.open", "Open project…", "Projects", words="switch change folder"),
    Action("project.new", "New project…", "Projects", words="make create folder"),
    Action("window.quit", "Quit", "Window", ("Ctrl+Q",), words="close exit"),
    Action("theme.system", "Colours like the system", "Settings", words="theme"),
    Action("theme.light", "Light colours", "Settings", words="theme bright"),
    Action("theme.dark", "Dark colours", "Settings", words="theme night"),
    # Runs
    Action("guide.run", "Run the guided experiment", "Runs", words="demo tour"),
    Action("runs.recipe", "Recipe of several stages…", "Runs", words="pipeline chain toml sweep open save"),
    Action("new.sft", "New SFT run", "Runs", words="start train fine-tune"),
    Action("new.reward", "New reward model", "Runs", words="start train run"),
    Action("new.ppo", "New PPO run", "Runs", words="start train policy"),
    Action("new.rloo", "New RLOO run", "Runs", words="start train policy"),
    Action("new.grpo", "New GRPO run", "Runs", words="start train policy"),
    Action("new.dpo", "New DPO run", "Runs", words="start train policy"),
    Action("new.best_of_n", "New best-of-n run", "Runs", words="start baseline"),
    Action("compare.beside", "Models side by side", "Go to", words="chat ask"),
    Action("compare.blind", "Blind vote between two models", "Go to", words="arena"),
    Action("compare.standings", "Standings of the blind votes", "Go to", words="win rates bradley terry strengths"),
    Action("compare.changed", "What changed from model to model", "Go to", words="behaviour report knowledge refusals"),
    Action("policy.objective", "Score and KL of a policy", "Go to", words="objective plots"),
    Action("policy.answers", "Behaviour of a policy: knowledge, refusals, manners", "Go to", words="answers plots"),
    Action("reward.diagnosis", "Diagnosis of a reward model", "Go to", words="calibration accuracy"),
    Action("runs.lineage", "Lineage of a run", "Go to", words="where from stages"),
    Action("runs.trash", "Move the selected runs to the trash", "Runs", ("Del",), "Runs, the table"),
    Action("runs.open", "Open the run", "Runs", ("Return",), "Runs, the table"),
    # Data
    Action("data.import", "Import files…", "Data", ("Ctrl+O",), "Data", "open add load"),
    Action("data.import_folder", "Import a folder…", "Data", ("Ctrl+Shift+O",), "Data", "open add load"),
    Action("data.leave_import", "Leave the import", "Data", ("Esc",), "Data, import"),
    Action("data.leave_export", "Leave the export", "Data", ("Esc",), "Data, export"),
    Action("records.find", "Search the records", "Data", ("Ctrl+F",), _RECORDS),
    Action("records.edit", "Edit the record", "Data", ("F2",), _RECORDS),
    Action("records.remove", "Delete the chosen records", "Data", ("Del",), _RECORDS),
    Action("records.undo", "Undo a change", "Data", ("Ctrl+Z",), _RECORDS),
    Action("records.redo", "Redo it", "Data", ("Ctrl+Shift+Z",), _RECORDS),
    Action("editor.save", "Save the record", "Data", _SEND, _EDITOR),
    Action("editor.leave", "Leave it as it was", "Data", ("Esc",), _EDITOR),
    # Rank
    Action("rank.guidelines", "Guidelines", "Rank", ("Ctrl+G",), "Rank"),
    Action("rank.skip", "Skip", "Rank", ("S",), "Rank"),
    Action("rank.note", "Write a note", "Rank", ("N",), "Rank"),
    Action("rank.undo", "Undo a verdict", "Rank", _UNDO, "Rank"),
    Action("rank.redo", "Redo it", "Rank", _REDO, "Rank"),
    Action("pair.a", "A better", "Rank", ("1", "A"), _PAIRS),
    Action("pair.b", "B better", "Rank", ("2", "B"), _PAIRS),
    Action("pair.much_a", "A much better", "Rank", ("Q",), _PAIRS),
    Action("pair.much_b", "B much better", "Rank", ("W",), _PAIRS),
    Action("pair.tie", "Tie", "Rank", ("3",), _PAIRS),
    Action("pair.bad", "Both bad", "Rank", ("4",), _PAIRS),
    Action("pair.confirm", "Confirm the marked verdict", "Rank", ("Return",), _PAIRS),
    Action("pair.other", "To the other answer", "Rank", ("Space",), _PAIRS),
    Action("several.rank", "Give the answer that rank: 1 to 9", "Rank", ("1", "9"), _SEVERAL),
    Action("several.unrank", "Take its rank away", "Rank", ("0", "Backspace", "Del"), _SEVERAL),
    Action("several.lift", "Lift it, and put it down", "Rank", ("Space",), _SEVERAL),
    Action("several.equal", "All equal", "Rank", ("E",), _SEVERAL),
    Action("several.bad", "All bad", "Rank", ("X",), _SEVERAL),
    Action("several.submit", "Give the order", "Rank", ("Return",), _SEVERAL),
    # Compare
    Action("compare.ask", "Ask the models", "Compare", _SEND, "Compare, the prompt"),
    Action("vote.first", "A is better", "Compare", ("1",), _BLIND),
    Action("vote.second", "B is better", "Compare", ("2",), _BLIND),
    Action("vote.tie", "Tie", "Compare", ("3",), _BLIND),
    Action("vote.both_bad", "Both bad", "Compare", ("4",), _BLIND),
    Action("vote.next", "Next prompt", "Compare", ("Return",), _BLIND),
    # Elsewhere
    Action("reward.score", "Score the text", "Reward", _SEND, "Reward, score a text"),
    Action("plot.step", "Move the crosshair", "Plots", ("Left", "Right"), _PLOTS),
    Action("plot.zoom", "Zoom in and out", "Plots", ("+", "-"), _PLOTS),
    Action("plot.reset", "Show all of it", "Plots", ("Home", "0"), _PLOTS),
    Action("plot.leave", "Take the crosshair away", "Plots", ("Esc",), _PLOTS),
)
ACTIONS: dict[str, Action] = {entry.name: entry for entry in _ENTRIES}
